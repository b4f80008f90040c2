"""The writer fills ClickHouse; the notifier calls the affiliates' trackers."""
