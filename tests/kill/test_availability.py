"""Kafka, ClickHouse and the joiner gone: every request is accepted all the same, and found later, once."""

from pathlib import Path

import pytest

from proof import availability
from proof.availability import Wanted
from proof.own_stack import OwnStack
from proof.traffic import CATALOG

pytestmark = [pytest.mark.stack, pytest.mark.kill, pytest.mark.timeout(1800)]


def test_a_click_never_waits_for_the_pipeline(tmp_path: Path) -> None:
    """Longer than a minute: what waits then begins to tell Kafka that it lives, and nobody hears it."""
    with OwnStack(tmp_path / "state", CATALOG) as stack:
        assert availability.run(stack, Wanted(minutes=1.2, live_s=3.0)) == 0
