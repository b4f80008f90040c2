"""The three versions of the catalog by which the histories are judged: one text, and what differs."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

TEXT = Path(__file__).with_name("catalog.toml")
VERSIONS = (1, 2, 3)

_PRICES = (
    ('percent = "10"', 'percent = "20"'),
    ('percent = "12"', 'percent = "22"'),
    ('fixed = "9.00"', 'fixed = "10.00"'),
)
_TIERS = {42: "gold", 43: "platinum"}
_STATUS = {44: ("pending",) * 3, 45: ("blocked",) * 3, 46: ("active", "blocked", "blocked")}
_STATUS[47] = ("pending", "active", "active")


def text(version: int, midnight_s: int, directory: Path) -> str:
    """The catalog file; what it says of days counts from the play's."""
    payout, revenue = _PRICES[version - 1]
    day = datetime.fromtimestamp(midnight_s, UTC).date()
    found = TEXT.read_text("utf-8")
    for name, value in {
        "{13}": "paused" if version == 2 else "active",
        "{21 payout}": payout,
        "{21 revenue}": revenue,
        "{dir}": str(directory),
        "{affiliates}": "\n".join(_affiliate(number, version) for number in (*range(41, 48), *range(60, 70))),
        **{f"{{-{days}d}}": str(day - timedelta(days)) for days in (5, 10, 400)},
    }.items():
        found = found.replace(name, value)
    return found


def _affiliate(number: int, version: int) -> str:
    status = _STATUS.get(number, ("active",) * 3)[version - 1]
    tier = _TIERS.get(number, "standard")
    return f'[[affiliates]]\nid = {number}\nname = "A{number}"\nstatus = "{status}"\ntier = "{tier}"\n'


def advertisers() -> dict[int, int]:
    """Whose each offer is, by its number."""
    offers = tomllib.loads(text(1, 0, Path()))["offers"]
    return {offer["id"]: offer["advertiser_id"] for offer in offers}
