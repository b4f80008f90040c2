"""The command: names every subcommand, imports late."""
def main() -> int:
    return 0
