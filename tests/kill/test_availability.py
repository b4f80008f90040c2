"""Kafka, ClickHouse and the joiner gone, killed or held still: all is accepted, and found later, once."""

from pathlib import Path

import pytest

from proof import availability
from proof.availability import Wanted
from proof.own_stack import OwnStack
from proof.traffic import CATALOG

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("kind", "minutes"), [("gone", 1.0), ("silent", 0.3)])
def test_a_click_never_waits_for_the_pipeline(kind: str, minutes: float, tmp_path: Path) -> None:
    with OwnStack(tmp_path / "state", CATALOG) as stack:
        assert availability.run(stack, Wanted(minutes=minutes, kind=kind, live_s=3.0)) == 0
