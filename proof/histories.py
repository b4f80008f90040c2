"""Facts of known ground truth: what edges may have accepted of many transactions, in the order of shipping.

Everything is a function of seed and moment. Clicks, impressions, pixels, iframes, postbacks with and without
order numbers, tests, the network's statements, later and earlier than what they speak of, by two versions of
the catalog, under random, derived and affiliate identifiers. No fact is so old that its state has expired.
"""

import base64
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from schemas import facts, times, transaction_id
from schemas.catalog import Affiliate, Catalog, Derived, Goal, Offer, PartnerPostback, Price
from schemas.catalog_check import check
from schemas.facts import GOAL_UNRESOLVED, Adjustment, AnyFact, Click, Impression, Pixel, Postback
from schemas.transaction_id import Keyring
from service.kafka import Outgoing

EPOCH: Final = "06cvproof00000000000000"
KEYS: Final = Keyring({1: b"the joiner's proof has its key"}, 1)
BASE: Final = Path(__file__).with_name("catalog.toml")
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

BY_AFFILIATE: Final = 20  # offers whose identifier is not random
BY_PERSON: Final = 21
SALE: Final = 0

NEAR_MS: Final = (0, 1_000, MINUTE, 9 * MINUTE, 11 * MINUTE)  # within and beyond a goal's dedupe window
# From the visit to the first statement: within and beyond the windows, and before it, as clocks have it.
AFTER_CLICK_MS: Final = (-2 * SECOND, 30 * SECOND, 3 * MINUTE, HOUR, 2 * HOUR, 29 * DAY, 31 * DAY)
AFTER_VIEW_MS: Final = (30 * SECOND, HOUR, 25 * HOUR, 4 * DAY)
WORDS: Final = ("", "", "", "", "approved", "rejected", "cancelled", "pending", "what?")
TOPIC_OF: Final = {kind: topic for topic, kind in facts.TYPES.items()}
SPREAD: Final = 0.15  # of the whole shipping: how far apart facts of a transaction may be shipped
SHARED_SHARE: Final = 0.2  # of the transactions


class Told(NamedTuple):
    """All that was ever said under one identifier, in the order of shipping, each fact once.

    is_random: nothing else has this identifier.
    """

    identifier: str
    facts: list[AnyFact]
    is_random: bool


class Histories(NamedTuple):
    """told: by identifier. shipped: every fact, some of them again, in the order of shipping."""

    told: dict[str, Told]
    shipped: list[AnyFact]


def catalogs() -> tuple[Catalog, Catalog]:
    """The two versions: the later one pays otherwise, knows other words, and has blocked somebody."""
    base, complaints = check(BASE.read_text("utf-8"))
    if base is None:
        raise ValueError(f"{BASE}: {complaints}")
    first = msgspec.structs.replace(
        base,
        affiliates=tuple(map(_told, base.affiliates)),
        offers=(
            *base.offers,
            _shared(BY_AFFILIATE, "affiliate"),
            _shared(BY_PERSON, Derived(derived=("email",))),
        ),
    )
    return first, _later(first)


def _told(affiliate: Affiliate) -> Affiliate:
    calls = (
        PartnerPostback(
            url="https://tracker.example/cb?cid={aff_click_id}&sum={payout}", on=("approved", "rejected")
        ),
        PartnerPostback(url="https://tracker.example/any?s={status}", on=("pending", "rejected"), id="any"),
    )
    return msgspec.structs.replace(affiliate, postbacks=calls[: 1 + affiliate.id % 2])


def _shared(number: int, identifier: Any) -> Offer:
    goal = Goal(
        id=SALE,
        name="sale",
        payout=Price(percent=Decimal(8)),
        revenue=Price(percent=Decimal(10)),
        currency="EUR",
    )
    return Offer(
        id=number,
        advertiser_id=1,
        name=f"Shoes {number}",
        url="https://shop.example/",
        proof="none",
        identifier=identifier,
        goals=(goal,),
    )


def _later(first: Catalog) -> Catalog:
    """The catalog that is in force from the middle on."""
    shop = msgspec.structs.replace(
        first.advertisers[0], status_words={"ok": "approved", "cancelled": "pending"}
    )
    shoes = first.offers[0]
    sale = msgspec.structs.replace(shoes.goals[0], payout=Price(percent=Decimal("12.5")))
    changed = msgspec.structs.replace(shoes, goals=(sale, *shoes.goals[1:]))
    blocked = msgspec.structs.replace(first.affiliates[2], status="blocked")
    return msgspec.structs.replace(
        first,
        advertisers=(shop, *first.advertisers[1:]),
        affiliates=(*first.affiliates[:2], blocked),
        offers=(changed, *first.offers[1:]),
    )


def record(fact: AnyFact) -> Outgoing:
    """The fact as an edge ships it."""
    return Outgoing(TOPIC_OF[type(fact)], fact.transaction_id.encode(), facts.encode(fact))


def histories(seed: str, transactions: int, now_ms: int) -> Histories:
    """So many transactions, the last of them stated now."""
    return _Teller(random.Random(seed), now_ms).tell(transactions)


class _Teller:
    """Draws the facts; each is given its receipt when it is drawn."""

    def __init__(self, chance: random.Random, now_ms: int) -> None:
        self._chance = chance
        self._now_ms = now_ms
        self._receipts = 0

    def tell(self, transactions: int) -> Histories:
        order: list[tuple[float, AnyFact]] = []
        for _ in range(transactions):
            found = self._shared() if self._happens(SHARED_SHARE) else self._random()
            order += self._shipping(found)
        order.sort(key=lambda each: (each[0], each[1].receipt_id))
        shipped = [fact for _, fact in order]
        told: dict[str, dict[str, AnyFact]] = defaultdict(dict)
        for fact in shipped:
            told[fact.transaction_id].setdefault(fact.receipt_id, fact)
        return Histories(
            {name: Told(name, [*each.values()], name[0] not in "ad") for name, each in told.items()}, shipped
        )

    def _shipping(self, found: Sequence[AnyFact]) -> list[tuple[float, AnyFact]]:
        """When each is shipped: near each other, one now and then far too early or late, and some twice."""
        chance = self._chance
        home = chance.random()
        near = [(home + number * 1e-3 + chance.uniform(0, 3e-3), fact) for number, fact in enumerate(found)]
        moved = [
            (at + chance.uniform(-SPREAD, SPREAD) if self._happens(0.2) else at, fact) for at, fact in near
        ]
        again = [(at + chance.uniform(0, SPREAD), fact) for at, fact in moved if self._happens(0.1)]
        return moved + again

    # One transaction with an identifier of its own

    def _random(self) -> list[AnyFact]:
        chance = self._chance
        stated_ms = self._now_ms - int(chance.uniform(HOUR, 2 * DAY))
        offer_id = chance.choice([7, 7, 7, 8, 8, 9, 10, 11, 12])
        visits = [self._visit(offer_id, stated_ms) for _ in range(chance.choice([0, 1, 1, 1, 1, 1, 1, 2]))]
        made_ms = min([times.to_ms(visit["occurred_at"]) for _, visit in visits], default=stated_ms)
        name = transaction_id.make(KEYS, made_ms, chance.randbytes(7))
        found: list[AnyFact] = [kind(**{**fields, "transaction_id": name}) for kind, fields in visits]
        spoken = range(chance.choice([0, 1, 1, 2, 2, 3, 5]))
        found += [self._statement(name, offer_id, stated_ms + number * 17) for number in spoken]
        if len(found) > len(visits) and self._happens(0.1):
            found.append(self._adjustment(name, stated_ms + HOUR // 2))
            if self._happens(0.3):  # another line of the same file, or the same file again
                found.append(self._adjustment(name, stated_ms + HOUR // 2 + MINUTE))
        return found or [self._statement(name, offer_id, stated_ms)]

    def _visit(self, offer_id: int, stated_ms: int) -> tuple[type[Click] | type[Impression], dict[str, Any]]:
        chance = self._chance
        kind: type[Click | Impression] = Click if self._happens(0.8) else Impression
        far = chance.choice(AFTER_CLICK_MS if kind is Click else AFTER_VIEW_MS)
        fields = {
            "offer_id": offer_id,
            "affiliate_id": chance.choice([42, 42, 43, 44]),
            "advertiser_id": 2 if offer_id in (9, 10, 12) else 1,
            "aff_click_id": chance.randbytes(6).hex(),
            "country_code": chance.choice(["", "DE"]),
            "device_type": chance.choice(["desktop", "mobile"]),
            "source": chance.choice(["", "newsletter"]),
            "is_bot": self._happens(0.1),
        }
        if kind is Click and self._happens(0.05):
            fields["redirect_reason"] = 212
        return kind, self._common("", stated_ms - far - int(chance.uniform(0, SECOND)), fields)

    def _statement(self, name: str, offer_id: int, at_ms: int) -> Pixel | Postback:
        chance = self._chance
        kind = chance.choice(["pixel", "iframe", "postback", "postback"])
        goal = chance.choice([*[""] * 9, "newsletter", "71", "77", "nonsense"])
        fields: dict[str, Any] = {
            "kind": kind,
            "status": chance.choice(WORDS),
            "conversion_unique_id": chance.choice(["", "", "A", "B", "C"]),
            "offer_id": chance.choice([0, 0, 0, 0, offer_id, 8]),
            "test": self._happens(0.1),
            "goal": goal,
            "goal_id": int(goal or 0) if not goal or goal.isdigit() else GOAL_UNRESOLVED,
            **self._amount(),
        }
        at_ms += chance.choice(NEAR_MS)
        common = self._common(name, at_ms, fields)
        if kind == "postback" and self._happens(0.15):  # reported late, by what the shop says
            common["occurred_at"] = times.from_ms(at_ms - int(chance.uniform(0, DAY)))
        return Postback(**common) if kind == "postback" else Pixel(**common)

    def _amount(self) -> dict[str, Any]:
        chance = self._chance
        if self._happens(0.4):
            return {}
        amount = Decimal(chance.choice(["0", "49.90", "100.00", "33.333333"]))
        return {"sale_amount": amount, "sale_currency": chance.choice(["", "USD", "EUR", "CHF"])}

    def _adjustment(self, name: str, at_ms: int) -> Adjustment:
        chance = self._chance
        fields = {
            "kind": "adjustment",
            "stated_by": "Anna",
            "status": chance.choice(["", "approved", "rejected", "pending"]),
            "conversion_unique_id": chance.choice("ABC"),
            "payout": chance.choice([None, Decimal("3.00")]),
            "key": chance.choice(["", "line 2"]),
        }
        return Adjustment(**self._common(name, at_ms, fields))

    # A visit and its order under an identifier that others have, too

    def _shared(self) -> list[AnyFact]:
        """Some clicks and an order of somebody whose clicks have one identifier, in one place or another."""
        chance = self._chance
        by_affiliate = self._happens(0.5)
        offer_id = BY_AFFILIATE if by_affiliate else BY_PERSON
        affiliate_id = chance.choice([42, 43])
        who = f"affiliate {affiliate_id}" if by_affiliate else f"person {chance.randrange(10**9)}"
        name = shared_id("a" if by_affiliate else "d", who)
        at_ms = self._now_ms - int(chance.uniform(HOUR, 2 * DAY))
        found: list[AnyFact] = []
        for _ in range(chance.choice([0, 1, 1, 2, 4])):
            clicked_ms = (
                at_ms - chance.choice([-3 * SECOND, MINUTE, HOUR, DAY]) - int(chance.uniform(0, SECOND))
            )
            fields = {"offer_id": offer_id, "affiliate_id": affiliate_id, "advertiser_id": 1}
            found.append(Click(**self._common(name, clicked_ms, fields)))
        number = f"N{chance.randrange(10**9)}" if self._happens(0.85) else ""
        for step in range(chance.choice([0, 1, 1, 1, 2])):
            kind = chance.choice(["pixel", "postback"])
            stated = {"kind": kind, "conversion_unique_id": number, "offer_id": offer_id, **self._amount()}
            common = self._common(name, at_ms + step * 23, stated)
            found.append(Postback(**common) if kind == "postback" else Pixel(**common))
        return found or self._shared()

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _common(self, name: str, at_ms: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._receipts += 1
        return {
            "receipt_id": f"{EPOCH}-{self._receipts}",
            "transaction_id": name,
            "received_at": times.from_ms(at_ms),
            "occurred_at": times.from_ms(at_ms),
            "edge": "proof",
            "catalog_version": self._chance.choice([1, 1, 2]),
            **fields,
        }


def shared_id(letter: str, who: str) -> str:
    """An identifier that is the same for all that belongs to this one, in the form of its kind."""
    digits = base64.b32hexencode(hashlib.sha256(who.encode()).digest()).decode().lower()
    return (letter + digits.translate(_CROCKFORD))[: transaction_id.LENGTH]


_CROCKFORD: Final = str.maketrans("0123456789abcdefghijklmnopqrstuv", "0123456789abcdefghjkmnpqrstvwxyz")


def by_topic(shipped: Iterable[AnyFact]) -> dict[str, list[AnyFact]]:
    """What lies in each topic, in order, each fact once."""
    found: dict[str, dict[str, AnyFact]] = defaultdict(dict)
    for fact in shipped:
        found[TOPIC_OF[type(fact)]].setdefault(fact.receipt_id, fact)
    return {topic: list(each.values()) for topic, each in found.items()}
