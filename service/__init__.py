"""What every process of ours needs: settings, connections, catalog, health, ordered start and stop."""
