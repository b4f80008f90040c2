"""`python -m deploy.catalog_again`: a catalog that the directory keeps is published to a log without one."""

import sys

from console.catalog_log import KafkaLog, kept_values, restore
from deploy.terminal import complain, say
from service import settings
from service.errors import Problem, Unavailable


def main() -> None:
    """Only for `up`, which knows that log and directory belong together: elsewhere they would be foreign."""
    mine = settings.read("catalog")
    if again := restore(KafkaLog(mine), kept_values(mine.dir)):
        say(f"catalog: Kafka had none; versions {again[0]} to {again[-1]} published again from {mine.dir}")


if __name__ == "__main__":
    try:
        main()
    except (Problem, Unavailable) as problem:
        complain(f"catalog_again: {problem}")
        sys.exit(getattr(problem, "exit_code", 3))
