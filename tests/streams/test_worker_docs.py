"""docs/joiner.md names every metric, every check of /readyz and every family of the state."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from service.health import Health
from streams.metrics import Metrics
from streams.state import FAMILIES
from streams.worker import Worker

PAGE = (Path(__file__).parents[2] / "docs" / "joiner.md").read_text()


def test_every_metric_is_listed_and_no_other():
    registry = CollectorRegistry()
    Metrics(registry)
    said = re.findall(r"^# HELP (\S+) ", generate_latest(registry).decode(), re.MULTILINE)
    assert {name for name in said if not name.endswith("_created")} == set(
        re.findall(r"^\| `(roundtrip_\w+)`", PAGE, re.MULTILINE)
    )


def test_every_family_of_the_state_is_told():
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {name for name in listed if not name.startswith("roundtrip_")} == set(FAMILIES)


def test_every_check_of_readyz_is_told():
    health = Health("joiner")
    Worker._add_checks(Worker.__new__(Worker), health)
    assert all(f"(`{name}`)" in PAGE for name in health._checks)
