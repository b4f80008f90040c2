"""Reads histories that were judged by hand: their facts, their catalogs, and what must come out of them."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from schemas.catalog import Catalog, Goal, Key, Network, Permission, PostbackProofs, Price, Term
from schemas.decisions import Conversion
from schemas.facts import AnyFact, Statement
from schemas.money import Rate
from tests.streams import facts_of_a_shop as shop
from tests.streams.facts_of_a_shop import CATALOG, LEAD, SALE, SHOP, with_blog, with_goal, with_offer

TABLE: Final = Path(__file__).with_name("judged_histories.txt")
_FIRST_CHARACTERS: Final = {"random": "06cv", "derived": "d", "affiliate": "a"}

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FACTS: Final[dict[str, Any]] = {
    "click": shop.click,
    "impression": shop.impression,
    "pixel": shop.pixel,
    "iframe": shop.iframe,
    "postback": shop.postback,
    "adjustment": shop.adjustment,
}
_FIELDS: Final = {
    "v": "catalog_version",
    "order": "conversion_unique_id",
    "amount": "sale_amount",
    "cur": "sale_currency",
    "goal": "goal_id",
    "named": "goal",
    "offer": "offer_id",
    "aff": "affiliate_id",
    "sub": "aff_sub",
    "proven": "proven_by",
    "country": "country_code",
    "device": "device_type",
    "bot": "is_bot",
    "file": "by_file",
}
_NUMBERS: Final = ("catalog_version", "goal_id", "offer_id", "affiliate_id", "redirect_reason")
_MONEY: Final = ("sale_amount", "payout", "revenue")
_COLUMNS: Final = {
    "paid": "payout",
    "nominal": "payout_nominal",
    "rule": "payout_rule",
    "rate": "payout_rate",
    "credited": "credited_by",
    "aff": "affiliate_id",
    "sub": "aff_sub",
    "obs": "observations",
    "sale": "sale_amount",
    "cur": "sale_currency",
    "version": "catalog_version",
}


def _percent(text: str) -> Price:
    return Price(percent=Decimal(text))


def _dollars(text: str) -> Price:
    return Price(fixed=Decimal(text))


def _shop(**fields: Any) -> Catalog:
    return msgspec.structs.replace(CATALOG, advertisers=(msgspec.structs.replace(SHOP, **fields),))


def _proofs(**proofs: Any) -> Catalog:
    return _shop(postback=PostbackProofs(**proofs))


def _offer(catalog: Catalog, **fields: Any) -> Catalog:
    changed = msgspec.structs.replace(catalog.offers[0], **fields)
    return msgspec.structs.replace(catalog, offers=(changed, *catalog.offers[1:]))


def _sale(catalog: Catalog, **fields: Any) -> Catalog:
    changed = msgspec.structs.replace(catalog.offers[0].goals[0], **fields)
    return _offer(catalog, goals=(changed, *catalog.offers[0].goals[1:]))


_TOKEN: Final = "sha256:" + "0" * 64
_KEY: Final = Key(id="k1", secret="env:SHOP_KEY")  # noqa: S106  where it lies, not what it is
_POUNDS: Final = Rate(from_="GBP", to="USD", rate=Decimal("1.3"), since=date(2026, 1, 1))
_TERMS: Final = (
    Term(affiliate=(43,), payout=_percent("9")),
    Term(tier=("gold",), country=("DE", "AT"), payout=_percent("10")),
    Term(device=("mobile",), source=("mail",), payout=_dollars("1.50")),
)
_VIP: Final = Goal(id=9, name="VIP", payout=_dollars("20"), currency="USD")

CATALOGS: Final = {
    "plain": CATALOG,
    "month": CATALOG,
    "week": with_offer(click_window="7d"),
    "view 1h": with_offer(view_window="1h"),
    "ten seconds": with_offer(min_time="10s"),
    "lead 1h": with_goal(LEAD, dedupe_window="1h"),
    "lead 3": with_goal(LEAD, payout=_dollars("3")),
    "dearer": _sale(CATALOG, payout=_percent("12")),
    "manual": _sale(CATALOG, approval="manual"),
    "address": _proofs(allow_from=("203.0.113.0/24",)),
    "token": _proofs(token=_TOKEN),
    "keys": _proofs(token=_TOKEN, keys=(_KEY,)),
    "token asked of nobody": _offer(_proofs(token=_TOKEN), proof="none"),
    "token and confirmation": _sale(_proofs(token=_TOKEN), confirm="postback"),
    "knows gut": _shop(status_words={**SHOP.status_words, "gut": "approved"}),
    "postbacks only": with_offer(tracking=("postback",)),
    "postbacks only, dearer": _sale(with_offer(tracking=("postback",)), payout=_percent("12")),
    "paused": with_offer(status="paused"),
    "paused, dearer": _sale(with_offer(status="paused"), payout=_percent("12")),
    "blocked": with_blog(status="blocked"),
    "applied for": with_offer(affiliates=(Permission(id=42, status="pending"),)),
    "goal paused": _sale(CATALOG, status="paused"),
    "no shoes": msgspec.structs.replace(CATALOG, offers=CATALOG.offers[1:]),
    "vip": _offer(CATALOG, goals=(SALE, LEAD, _VIP)),
    "bots count": with_offer(bots="count"),
    "terms": _sale(CATALOG, terms=_TERMS),
    "revenue first": _sale(CATALOG, terms=(Term(country=("DE",), revenue=_percent("20")), _TERMS[1])),
    "both": _sale(CATALOG, payout=Price(fixed=Decimal(1), percent=Decimal(8))),
    "revenue in euro": _sale(CATALOG, currency="", payout_currency="USD", revenue_currency="EUR"),
    "pounds": msgspec.structs.replace(CATALOG, network=Network(rates=(_POUNDS,))),
    "yen": _sale(CATALOG, payout=_dollars("1.5"), payout_currency="JPY"),
    "tenth": _sale(CATALOG, payout=_percent("10")),
}


class Judged(NamedTuple):
    """A history: `told` in words, each line of it a fact; `expected`, each line a conversion."""

    title: str
    identifier: str
    catalogs: tuple[Catalog, ...]
    told: list[list[str]]
    expected: list[list[str]]
    late: int

    def facts(self, mark: int = 0) -> list[AnyFact]:
        """Its facts; another mark gives other facts, that say the same under another ID."""
        transaction_id = f"{_FIRST_CHARACTERS[self.identifier]}{mark:05}".ljust(32, "0")
        made = [_fact(number, *line, of=transaction_id) for number, line in enumerate(self.told, start=1)]
        return [msgspec.structs.replace(one, receipt_id=_marked(one.receipt_id, mark)) for one in made]

    def bundles(self, given: Sequence[AnyFact]) -> list[list[AnyFact]]:
        """What of its facts is decided together: under an affiliate's identifier each order by itself."""
        if self.identifier != "affiliate":
            return [list(given)]
        said = {_order(one) for one in given} - {""}
        return [[one for one in given if _order(one) in ("", order)] for order in sorted(said)]


def _order(fact: AnyFact) -> str:
    return fact.conversion_unique_id or fact.receipt_id if isinstance(fact, Statement) else ""


def histories() -> Iterator[Judged]:
    """All of the table."""
    _, _, table = TABLE.read_text("utf-8").partition("\n# ")
    for paragraph in table.split("\n\n"):
        title, *lines = paragraph.strip().splitlines()
        if lines:
            yield _history(title, [line.strip() for line in lines])


def _history(title: str, lines: Iterable[str]) -> Judged:
    said: dict[str, str] = {}
    told, expected = [], []
    for line in lines:
        if line.startswith("="):
            expected.append(shlex.split(line[1:]))
        elif named := re.match("(catalogs|identifier|late): (.*)", line):
            said[named[1]] = named[2]
        else:
            told.append(shlex.split(line))
    catalogs = tuple(CATALOGS[name.strip()] for name in said.get("catalogs", "plain").split("|"))
    return Judged(
        title, said.get("identifier", "random"), catalogs, told, expected, int(said.get("late", "0"))
    )


def _fact(number: int, when: str, kind: str, *words: str, of: str) -> AnyFact:
    fields: dict[str, Any] = {"transaction_id": of}
    for word in words:
        name, _, text = word.partition("=")
        if name == "receipt":
            number = int(text)
        elif name == "happened":
            fields["occurred_at"] = shop.at(_ms(text))
        else:
            field = _FIELDS.get(name, name)
            fields[field] = _read(field, text, is_flag="=" not in word)
    if "sale_amount" in fields:
        fields.setdefault("sale_currency", "USD")
    made: AnyFact = _FACTS[kind](number, _ms(when), **fields)
    return made


def _marked(receipt_id: str, mark: int) -> str:
    epoch, _, sequence = receipt_id.partition("-")
    return f"{epoch[:-5]}{mark:05}-{sequence}"


def _read(field: str, text: str, *, is_flag: bool) -> Any:
    if is_flag:
        return True
    if field in _MONEY:
        return Decimal(text)
    if field == "proven_for":
        return (int(text),)
    return int(text) if field in _NUMBERS else text


def _ms(text: str) -> int:
    """`30d+1ms` in milliseconds; `0` is the click's own moment."""
    parts = re.findall(r"([+-]?)(\d+)(ms|[smhd])", text)
    return sum((-1 if sign == "-" else 1) * int(count) * _UNITS_MS[unit] for sign, count, unit in parts)


def differences(judged: Judged, found: Iterable[tuple[int, Conversion]], mark: int = 0) -> list[str]:
    """What was expected and did not come out, and what came out and was not expected."""
    left = list(found)
    scene = _Scene({one.conversion_id: one.conversion_unique_id for _, one in left}, judged.facts(mark)[0])
    differ = []
    for wanted in judged.expected:
        match = next((each for each in left if scene.is_as(wanted, *each)), None)
        if match:
            left.remove(match)
        else:
            differ.append("expected " + " ".join(wanted))
    return differ + [f"found    {_told(*each)}" for each in left]


class _Scene(NamedTuple):
    """What an expectation speaks of. orders: by conversion ID. of: any fact of the transaction."""

    orders: dict[str, str]
    of: AnyFact

    def is_as(self, wanted: list[str], goal: int, one: Conversion) -> bool:
        """Whether this conversion is what was wanted."""
        order, status, reason, *more = wanted
        if (order.strip("-"), status, int(reason)) != (one.conversion_unique_id, one.status, one.reason):
            return False
        return all(self._holds(*each.split("=", 1), goal, one) for each in more)

    def _holds(self, name: str, text: str, goal: int, one: Conversion) -> bool:
        special = {
            "says": lambda: text in one.reason_detail,
            "dup": lambda: self.orders[one.duplicate_of] == text,
            "flags": lambda: ",".join(one.flags) == text,
            "test": lambda: one.test is (text == "1"),
            "id": lambda: one.conversion_id == self._id(text),
            "absorbs": lambda: one.absorbs == tuple(sorted(map(self._id, text.split()))),
        }
        if name in special:
            return special[name]()
        value = goal if name == "goal" else getattr(one, _COLUMNS.get(name, name))
        return value == Decimal(text) if isinstance(value, Decimal) else str(value) == text

    def _id(self, parts: str) -> str:
        """An ID out of its parts (docs/rules.md, names): `0|c:1` is of goal 0 and the click of receipt 1."""
        epoch = self.of.receipt_id.partition("-")[0]
        whole = re.sub(r"\b([cr]):(\d+)", rf"\1:{epoch}-\2", f"{self.of.transaction_id}|{parts}")
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


def _told(goal: int, one: Conversion) -> str:
    money = f"paid={one.payout} nominal={one.payout_nominal} rule={one.payout_rule} aff={one.affiliate_id}"
    credit = f"credited={one.credited_by} sub={one.aff_sub} obs={one.observations} goal={goal}"
    what = f"{one.conversion_unique_id or '-'} {one.status} {one.reason}"
    return f"{what} {money} {credit} test={one.test}: {one.reason_detail}"
