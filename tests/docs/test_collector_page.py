"""docs/collector.md names what the code has: every metric of a collector, its settings and commands."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import roundtrip
from ingest import replay
from ingest.counters import Counters
from ingest.inspection import command as inspection
from ingest.inspection.command import ROOT
from ingest.journal import cursor, reader, segments
from ingest.journal.counters import Counters as JournalCounters
from ingest.shipper import LOOK_S, TOGETHER_S
from ingest.shipping.figures import Figures
from service.health import Health
from service.settings import Settings, names

PAGE = (Path(__file__).parents[2] / "docs/collector.md").read_text("utf-8")


def metrics() -> Iterator[str]:
    registry = Health("collector").registry
    for make in (Counters, JournalCounters, Figures):
        make(registry)
    for metric in registry.collect():
        if metric.name.startswith("roundtrip_"):
            yield f"{metric.name}_total" if metric.type == "counter" else metric.name


def test_every_metric_says_what_to_alarm_on() -> None:
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `roundtrip_")]
    told = {name for row in rows for name in re.findall(r"`(roundtrip_\w+)`", row)}
    told |= {"roundtrip_shipping_waiting_events", "roundtrip_journal_events_total"}  # told with another
    assert told == set(metrics())


def test_every_metric_that_is_named_exists() -> None:
    assert set(re.findall(r"`(roundtrip_\w+)", PAGE)) - set(metrics()) == set()


def test_every_setting_that_is_named_exists_and_each_of_the_journal_is_named() -> None:
    named = set(re.findall(r"ROUNDTRIP_[A-Z_]+", PAGE))
    assert named <= set(names())
    assert {name for name in names() if name.startswith("ROUNDTRIP_JOURNAL_")} <= named


@pytest.mark.parametrize(("command", "module"), [("journal", inspection), ("replay", replay)])
def test_a_command_is_shown_with_all_its_options(command: str, module: object) -> None:
    (line,) = re.findall(rf"^    roundtrip {command} (\S.*)$", PAGE, re.MULTILINE)
    parser = argparse.ArgumentParser()
    module.arguments(parser)  # type: ignore[attr-defined]
    options = {word for action in parser._actions for word in action.option_strings} - {"-h", "--help"}
    assert set(re.findall(r"--\w+", line)) == options


def test_every_command_that_is_named_exists() -> None:
    assert set(re.findall(r"roundtrip ([a-z]+)", PAGE)) <= set(roundtrip.COMMANDS)


def test_files_and_figures_are_the_code_s() -> None:
    assert f"ROUNDTRIP_DIR/{ROOT}/N/" in PAGE.replace("`", "")
    assert f"| `{segments.name(1)}`" in PAGE
    assert f"| `{cursor.NAME}`" in PAGE
    assert f"| `{reader.DAMAGED}/SEGMENT-OFFSET`" in PAGE
    assert f"files of {Settings().journal_segment_mib} MiB" in PAGE
    assert f"kept {Settings().journal_kept_hours:g} h" in PAGE
    assert f"no more than {Settings().journal_kept_gib:g} GiB" in PAGE
    assert f"not answered for {Settings().journal_wait_s:g} s" in PAGE
    assert f"it looks {TOGETHER_S:g} s after its start, then every {LOOK_S:g} s" in PAGE
