"""A worker that was presumed dead: what it had decided, and not sent, is never sent.

Others decided since, from more facts. An older case would be known for one; a notice that went out is told.
"""

import os
import signal

import pytest

from tests.streams.installation import Installation, expected, is_held, story
from tests.streams.joining import click, postback

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("moment", ["stored", "queued"])
def test_what_a_worker_had_not_sent_when_it_was_presumed_dead_is_never_sent(here: Installation, moment: str):
    """Whether it was held still before it handed its records over, or after."""
    told, taken_back = [click(), postback()], postback("t1", 3, status="never")
    here.migrate().feed(told)
    dead = here.joiner(moment, "1", "STOP")
    here.waits_for(lambda: is_held(dead))
    here.feed([taken_back])
    other = here.joiner(directory="elsewhere")
    here.waits_for(here.committed_all)
    assert here.sent("conversions", "notices") == []
    os.kill(dead.pid, signal.SIGCONT)
    here.waits_for(
        lambda: all("roundtrip_joiner_partitions 2.0" in each.ask("metrics") for each in (dead, other))
    )
    more = story(10, 41)
    here.feed(more)
    here.waits_for(lambda: here.final().items() >= expected(more).items())
    here.waits_for(here.committed_all)
    assert not any(case.conversions for (name, _), case in here.final().items() if name == "t1")
    assert [each for each in here.sent("notices") if each.key == b"t1"] == []
