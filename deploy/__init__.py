"""How it runs: the embedded stack, migrations, a sample catalog."""
