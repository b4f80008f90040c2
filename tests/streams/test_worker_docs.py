"""The joiner's pages tell all of its state, and all that it says: metrics, checks, lines, last words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.health import Health
from streams.metrics import Metrics
from streams.readiness import Readiness
from streams.state.partition import FAMILIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "joiner.md").read_text()
AT_NIGHT = (ROOT / "docs" / "joiner_at_night.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()  # has the last words about a state
LEVELS = ("info", "warning", "error")


def test_every_metric_is_listed_and_no_other():
    registry = CollectorRegistry()
    Metrics(registry)
    said = re.findall(r"^# HELP (\S+) ", generate_latest(registry).decode(), re.MULTILINE)
    assert {name for name in said if not name.endswith("_created")} == set(
        re.findall(r"^\| `(roundtrip_\w+)`", AT_NIGHT, re.MULTILINE)
    )


def test_every_family_of_the_state_is_told():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(rows))) == set(FAMILIES)


def test_every_module_has_its_place():
    modules = {path.name for path in (ROOT / "streams").rglob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", PAGE.partition("## Where what is")[2])) == modules


def test_every_check_of_readyz_is_told_and_no_other():
    health = Health("joiner")
    Readiness.add_to(Readiness.__new__(Readiness), health)
    assert set(re.findall(r"^\| `([a-z]+)` \|", AT_NIGHT, re.MULTILINE)) == set(health._checks)


def said() -> Iterator[tuple[str, str]]:
    """Where, and which text with an ellipsis for what is filled in: lines of the log and last words."""
    for path in [*sorted((ROOT / "streams").rglob("*.py")), ROOT / "service" / "outage.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and (text := _text(node)):
                yield f"{path.name}:{node.lineno}", text


def _text(call: ast.Call) -> str:
    """What a call of a logger or of Problem says, where it says anything by itself."""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        if call.func.value.id != "log" or call.func.attr not in LEVELS:
            return ""
    elif not (isinstance(call.func, ast.Name) and call.func.id in ("Problem", "Busy")):
        return ""
    first = call.args[0]
    parts = first.values if isinstance(first, ast.JoinedStr) else [first]
    literal = [part.value if isinstance(part, ast.Constant) else "%s" for part in parts]
    return re.sub(r"(%[-.\d]*[a-z])+", "…", "".join(map(str, literal)))


@pytest.mark.parametrize(("where", "text"), list(said()), ids=lambda each: each[:50])
def test_every_line_that_it_may_say_is_explained(where: str, text: str):
    """By the first words of it that are its own."""
    parts = [part.strip(" :,.()") for part in re.split("[…;]", text)]
    words = next((part for part in parts if len(part) > len("records")), "")  # none: others say it all
    pages = f"{AT_NIGHT}\n{OPERATIONS}".replace("`", "")
    assert words in pages, f"docs/joiner_at_night.md does not explain what {where} says: {text}"
