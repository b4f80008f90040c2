"""docs/reference.md lists what the code has: commands, topics, reasons, metrics; no more and no less."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import roundtrip
from console import lookout
from ingest.counters import Counters
from ingest.journal import counters as journal
from ingest.shipping import figures as shipping
from schemas.reasons import Reason
from schemas.topics import TOPICS
from service.health import Health
from sinks import notifier, writer
from streams.metrics import Metrics

ROOT = Path(__file__).parents[2]


def metrics() -> Iterator[tuple[str, str]]:
    """Each metric of ours, as Prometheus shows it, and what it says of itself."""
    registry = Health("joiner").registry
    for make in (
        Counters,
        journal.Counters,
        shipping.Figures,
        Metrics,
        writer.Figures,
        notifier.Figures,
        lookout.Figures,
    ):
        make(registry)
    for metric in registry.collect():
        if metric.name.startswith("roundtrip_"):
            yield (f"{metric.name}_total" if metric.type == "counter" else metric.name), metric.documentation


TRUTH = {
    "Commands": {f"`{name}`": about for name, (_, about) in roundtrip.COMMANDS.items()},
    "Topics": {f"`{name}`": topic.why for name, topic in TOPICS.items()},
    "Reasons": {str(int(reason)): reason.sentence for reason in Reason},
    "Metrics": {f"`{name}`": about for name, about in metrics()},
}


def listed(section: str) -> dict[str, str]:
    """The first and the last column of the section's table."""
    page = (ROOT / "docs/reference.md").read_text("utf-8")
    (text,) = [part for part in re.split(r"^## ", page, flags=re.MULTILINE) if part.startswith(section)]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")][2:]
    return {row[0].strip(): row[-1].strip() for row in rows}


def test_the_page_says_which_reasons_nothing_gives_yet() -> None:
    page = (ROOT / "docs/reference.md").read_text("utf-8")
    reserved = page.partition("Reserved, and given by nothing yet:")[2].partition("##")[0]
    packages = ("ingest", "streams", "sinks", "console", "service")
    code = "".join(path.read_text("utf-8") for each in packages for path in (ROOT / each).rglob("*.py"))
    given = set(re.findall(r"\bReason\.([A-Z_]+)", code))
    assert set(map(int, re.findall(r"\d+", reserved))) == {
        int(each) for each in Reason if each.name not in given
    }


@pytest.mark.parametrize("section", TRUTH)
def test_the_page_lists_what_the_code_has(section: str) -> None:
    assert TRUTH[section]
    assert listed(section) == TRUTH[section]
