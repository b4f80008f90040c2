"""What a decision costs: CPU of a case by the shape of its facts, by a small catalog and by a large one.

`python -m proof.deciding [--rounds N] [--offers N]` prints microseconds, the best of many short rounds: the
machine may have other work. A fixed calculation in the same rounds tells how fast the machine is.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from deploy.terminal import say
from proof import large_catalog
from proof.histories import KEYS, shared_id
from schemas import times, transaction_id
from schemas.catalog_check import check
from schemas.catalog_versions import CatalogVersion, History
from schemas.facts import Adjustment, AnyFact, Click, Pixel, Postback
from streams.rules.decide import decide_transaction

OFFER: Final = 7  # both catalogs have it
SMALL: Final = 10  # offers
CASES: Final = 100  # a round and shape
SQUARES: Final = 10_000
CLICKED_MS: Final = times.to_ms("2026-11-01T12:00:00.000Z")
SECOND, HOUR = 1_000, 3_600_000
RANDOM: Final = transaction_id.make(KEYS, CLICKED_MS, b"decided")

Shape = Sequence[AnyFact]


def shapes() -> dict[str, Shape]:
    """By name the facts of a transaction whose conversions are one case."""
    return {
        "a postback, its click not known": [_postback(2, HOUR)],
        "click, postback": [_click(), _postback(2, HOUR)],
        "click, pixel, iframe, postback": _ordinary(),
        "the same, and an adjustment": [*_ordinary(), _adjustment(5, 3 * HOUR)],
        "the same, by an affiliate identifier": _under(shared_id("a", "affiliate"), _ordinary()),
        "the same, by a derived identifier": _under(shared_id("d", "person"), _ordinary()),
        "click, 50 statements, a goal that repeats": [_click(), *_repeated(50)],
    }


def history(offers: int) -> History:
    """A catalog of so many offers."""
    catalog, complaints = check(large_catalog.written(offers))
    if catalog is None:
        raise ValueError(complaints)
    applied = {"applied_at": times.from_ms(CLICKED_MS), "applied_by": "proof"}
    return History([CatalogVersion(version=1, catalog=catalog, **applied)])


def measured(decided: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """By name the microseconds of CPU that each takes, the best of so many rounds through all of them."""
    best = dict.fromkeys(decided, float("inf"))
    for _ in range(rounds):
        for name, decide in decided.items():
            began_ns = time.process_time_ns()
            for _ in range(CASES):
                decide()
            best[name] = min(best[name], (time.process_time_ns() - began_ns) / CASES / 1000)
    return best


def squares() -> int:
    """The fixed calculation."""
    return sum(number * number for number in range(SQUARES))


def main() -> int:
    """The table on standard output."""
    parser = argparse.ArgumentParser(prog="python -m proof.deciding", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="of which the best counts (default: 100)")
    parser.add_argument("--offers", type=int, default=large_catalog.OFFERS, help="of the large catalog")
    args = parser.parse_args()
    histories = {offers: history(offers) for offers in (SMALL, args.offers)}
    decided: dict[str, Callable[[], object]] = {"": squares}
    for name, facts in shapes().items():
        for offers, known in histories.items():
            decided[f"{name} {offers}"] = partial(decide_transaction, facts, known)
    best = measured(decided, args.rounds)
    say(f"{'µs of CPU a case':<46}{SMALL:>8} offers{args.offers:>8} offers")
    for name in shapes():
        say(f"{name:<46}" + "".join(f"{best[f'{name} {offers}']:>15.1f}" for offers in histories))
    say(f"in these rounds {SQUARES} squares were added up in {best['']:.0f} µs")
    return 0


def _ordinary() -> list[AnyFact]:
    return [_click(), _pixel(2, "pixel", HOUR), _pixel(3, "iframe", HOUR + 5), _postback(4, 2 * HOUR)]


def _repeated(statements: int) -> list[AnyFact]:
    """Orders of a goal that repeats, told by the page and then by the server."""
    found: list[AnyFact] = []
    for number in range(2, 2 + statements, 2):
        order = {"conversion_unique_id": f"N{number}", "goal_id": large_catalog.lead_of(OFFER)}
        found.append(_pixel(number, "pixel", number * HOUR, **order))
        found.append(_postback(number + 1, number * HOUR + SECOND, **order))
    return found


def _under(identifier: str, facts: Shape) -> Shape:
    return [type(fact)(**{**_fields(fact), "transaction_id": identifier}) for fact in facts]


def _fields(fact: AnyFact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in fact.__struct_fields__}


def _common(number: int, offset_ms: int) -> dict[str, Any]:
    moment = times.from_ms(CLICKED_MS + offset_ms)
    return {
        "receipt_id": f"06cvproof00000000000000-{number}",
        "transaction_id": RANDOM,
        "received_at": moment,
        "occurred_at": moment,
        "edge": "proof",
        "catalog_version": 1,
    }


def _click() -> Click:
    return Click(
        offer_id=OFFER,
        affiliate_id=42,
        advertiser_id=large_catalog.advertiser_of(OFFER),
        aff_click_id="abc",
        aff_sub="s",
        **_common(1, 0),
    )


def _pixel(number: int, kind: Any, offset_ms: int, **fields: Any) -> Pixel:
    return Pixel(kind=kind, **_amount(), **fields, **_common(number, offset_ms))


def _postback(number: int, offset_ms: int, **fields: Any) -> Postback:
    fields = {"conversion_unique_id": "A", "proven_by": "token", **_amount(), **fields}
    return Postback(kind="postback", **fields, **_common(number, offset_ms))


def _adjustment(number: int, offset_ms: int) -> Adjustment:
    common = _common(number, offset_ms)
    return Adjustment(
        kind="adjustment",
        status="rejected",
        conversion_unique_id="A",
        stated_by="Anna",
        why="returned",
        **common,
    )


def _amount() -> dict[str, Any]:
    return {"sale_amount": Decimal(50), "sale_currency": "USD"}


if __name__ == "__main__":
    sys.exit(main())
