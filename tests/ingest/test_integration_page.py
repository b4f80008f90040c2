"""docs/integration.md says what the code does: parameters, aliases, paths, statuses."""

import re
from pathlib import Path

from ingest.answers import ENDINGS
from ingest.parameters import CONVERSION, VISIT
from ingest.routes import PATHS, Endpoint

PAGE = (Path(__file__).parents[2] / "docs" / "integration.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    after = PAGE.split(heading, 1)[1].lstrip("\n")
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()[2:]]


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def parameters(heading: str) -> dict[str, tuple[str, ...]]:
    return {names(row[0])[0]: names(row[2]) for row in rows(heading)}


def test_visit_parameters_are_the_code_s() -> None:
    assert parameters("### Click and impression parameters") == dict(VISIT)


def test_conversion_parameters_are_the_code_s() -> None:
    assert parameters("### Conversion parameters: postback, pixel, iframe") == dict(CONVERSION)


def test_paths_are_the_code_s() -> None:
    stated = {names(row[0])[0]: (row[1], row[2]) for row in rows("## Paths, and links of other platforms")}
    assert list(stated) == list(PATHS)
    for path, (what, dialect) in stated.items():
        assert (dialect == "HasOffers") == PATHS[path].hasoffers
        assert PATHS[path].endpoint is Endpoint.NONE or what.startswith(PATHS[path].endpoint.value)


def test_statuses_are_the_code_s() -> None:
    stated = {int(row[0]) for row in rows("## Statuses")}
    assert stated == {302} | {kind.status for kind in ENDINGS.values()}
