"""Histories drawn by chance that reach every rule: all that was said under one identifier, and two catalogs.

Unlike proof.histories they need not be likely: windows are met to the millisecond, receipts are of one
moment, catalogs change in between. A function of their seed.
"""

import random
from decimal import Decimal
from typing import Any, Final

import msgspec

from proof import invented_catalog
from proof.expected import at_the_edge
from proof.invented_catalog import HATS, SHOES, Settings
from schemas import times
from schemas.catalog import Catalog, Derived
from schemas.facts import Adjustment, AnyFact, Click, Impression, Pixel, Postback

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
START_MS: Final = times.to_ms("2026-11-18T21:00:00.000Z")  # a rate changes an hour and two days later
KINDS: Final = "00da"  # the first digits of identifiers: random ones, a person's, an affiliate's
CROWD: Final = 1 / 1_000  # of the histories: one over the limit of observations
AGAIN: Final = 0.05  # one order told again, late
RELEASED: Final = 0.1  # what the network created and took back, by whatever number or none
CROWDED: Final = 1_000  # facts

VISITED_MS: Final = (0, 0, 0, 0, 1, SECOND, HOUR, 20 * DAY, 35 * DAY, 100 * DAY, 130 * DAY)
# From one of the visits to a statement: the edges of every window, and what clocks do.
AFTER_MS: Final = (
    *(*(2 * MINUTE, 2 * HOUR, 3 * HOUR, 6 * DAY) * 6, MINUTE, HOUR, 25 * HOUR, 20 * DAY, 31 * DAY),
    *(0, -1, -5 * SECOND, -5 * SECOND - 1, -HOUR, MINUTE - 1, HOUR - 1, *(HOUR + 1,) * 3, DAY, DAY + 1),
    *(7 * DAY, 7 * DAY + 1, 30 * DAY, 30 * DAY + 1, 119 * DAY, 120 * DAY, 120 * DAY + 1, 150 * DAY),
)
NEAR_MS: Final = (0, 0, 1, SECOND, MINUTE, MINUTE + 1, 9 * MINUTE, 10 * MINUTE, 10 * MINUTE + 1, DAY)
WORDS: Final = (*[""] * 10, "ok", "OK ", "cancelled", "approved", "rejected", "pending", "open", "what?")
GOALS: Final = (*[""] * 8, "0", "sale", "Purchase", "lead", "5", "sign up", "77", "nonsense")
AMOUNTS: Final = ("0", "49.90", "100.00", "33.333333", "0.3125", "0.4375", "999999999999")
PROOFS: Final = ("", "", "token", "signature:k1", "allow_from")


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was said under one identifier, and the catalogs by their versions.

    settings: what these say. seed: what draws it again.
    """

    identifier: str
    facts: list[AnyFact]
    catalogs: dict[int, Catalog]
    settings: list[Settings] = []
    seed: str = ""


def history(seed: str) -> History:
    """A function of its seed."""
    return msgspec.structs.replace(_Inventor(random.Random(seed)).history(), seed=seed)


class _Inventor:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._identifier = f"{chance.choice(KINDS)}{chance.randrange(10**31):031d}"
        epoch = self._identifier[1:23]  # of two edges, that answer nobody else
        self._epochs = f"{epoch}0", f"{epoch}1"
        self._numbers = chance.sample(range(1, 40), 30)  # of receipts: 9 and 10 are not in the order of texts

    def history(self) -> History:
        chance = self._chance
        drawn = invented_catalog.settings(chance)
        kind: Any = {"d": Derived(derived=("email",)), "a": "affiliate"}.get(self._identifier[0], "random")
        catalogs = {n: invented_catalog.catalog(each, kind) for n, each in enumerate(drawn, 1)}
        visits = [
            self._visit(START_MS + chance.choice(VISITED_MS))
            for _ in range(chance.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, 3]))
        ]
        moments = [times.to_ms(one.occurred_at) for one in visits] or [START_MS]
        base_ms = chance.choice(moments) + chance.choice(AFTER_MS)
        said: list[AnyFact] = []
        for _ in range(chance.choice([1, 1, 2, 2, 3, 4, 5, 6])):
            if self._happens(0.2):
                base_ms = chance.choice(moments) + chance.choice(AFTER_MS)
            at_ms = base_ms + chance.choice(NEAR_MS)
            said.append(
                self._adjustment(at_ms, catalogs) if self._happens(0.2) else self._report(at_ms, catalogs)
            )
        if self._happens(AGAIN):
            said += self._again(base_ms, catalogs)
        if self._happens(AGAIN):
            said += self._unclear(base_ms, catalogs)
        if self._happens(RELEASED):
            said += self._released(base_ms, catalogs)
        if self._happens(CROWD):
            said += self._crowd(base_ms)
        facts = [*visits, *said]
        facts += [one for one in facts if self._happens(0.05)]
        chance.shuffle(facts)
        return History(identifier=self._identifier, facts=facts, catalogs=catalogs, settings=[*drawn])

    def _visit(self, at_ms: int) -> Click | Impression:
        chance = self._chance
        fields = {
            "offer_id": SHOES,
            "advertiser_id": 1,
            "affiliate_id": chance.choice([*[42] * 8, 43, 43, 43, 99]),
            "country_code": chance.choice(["", "DE"]),
            "device_type": chance.choice(["desktop", "mobile"]),
            "source": chance.choice(["", "blog"]),
            "is_bot": self._happens(0.06),
        }
        if self._happens(0.25):
            return Impression(**self._common(at_ms, at_ms, fields))
        if self._happens(0.05):
            fields["redirect_reason"] = chance.choice([212, 213, 217])
        return Click(**self._common(at_ms, at_ms, fields))

    def _report(self, at_ms: int, catalogs: dict[int, Catalog]) -> Pixel | Postback:
        chance = self._chance
        kind = chance.choice(["pixel", "iframe", "postback", "postback", "postback"])
        occurred_ms = at_ms
        if kind == "postback" and self._happens(0.2):  # what the shop says
            occurred_ms += chance.choice([4 * MINUTE, -MINUTE, -HOUR, -2 * DAY, -40 * DAY])
        fields = {
            **self._stated(0.6),
            "kind": kind,
            "status": chance.choice(WORDS),
            "offer_id": chance.choice([*[0] * 10, *[SHOES] * 5, HATS, 99]),
            "advertiser_id": chance.choice([0, 0, 0, 1, 2]),
        }
        if kind == "postback":
            fields["proven_by"] = chance.choice(PROOFS)
            fields["proven_for"] = chance.choice([(1,), (1,), (1, 2), (2,)]) if fields["proven_by"] else ()
        common = self._named(self._common(at_ms, occurred_ms, fields), catalogs)
        return Postback(**common) if kind == "postback" else Pixel(**common)

    def _adjustment(self, at_ms: int, catalogs: dict[int, Catalog]) -> Adjustment:
        chance = self._chance
        action = chance.choice(["state", "state", "create", "release"])
        own: dict[str, Any] = {"action": action}
        if action != "release":
            own = {
                **own,
                "status": chance.choice(["", "approved", "rejected", "pending"]),
                "payout": chance.choice([None, None, Decimal("3.00"), Decimal("2.345")]),
                "revenue": chance.choice([None, None, Decimal("4.00")]),
            }
        stated = self._stated(0.3 if action != "release" else 0)
        fields = {
            **stated,
            **own,
            "kind": "adjustment",
            "stated_by": chance.choice(["Anna", "Ben"]),
            "why": chance.choice(["", "returned"]),
            "by_file": self._happens(0.3),
            "key": chance.choice(["", "", "line 1", "line 2"]),
            "offer_id": chance.choice([0, 0, SHOES]),
        }
        at_ms += chance.choice([0, 0, 1, HOUR, 3 * DAY, 60 * DAY])
        occurred_ms = at_ms - chance.choice([0, 0, 2 * HOUR]) if action == "create" else at_ms
        return Adjustment(**self._named(self._common(at_ms, occurred_ms, fields), catalogs))

    def _stated(self, share: float) -> dict[str, Any]:
        chance = self._chance
        fields = {
            "goal": chance.choice(GOALS),
            "conversion_unique_id": chance.choice(["", "", "", "A", "A", "B", "C"]),
            "test": self._happens(0.1),
        }
        if self._happens(share):
            fields["sale_amount"] = Decimal(chance.choice(AMOUNTS))
            fields["sale_currency"] = chance.choice(["", "", "USD", "EUR", "GBP"])
        return fields

    def _named(self, common: dict[str, Any], catalogs: dict[int, Catalog]) -> dict[str, Any]:
        """With what the edge makes of the goal's word."""
        catalog = catalogs[common["catalog_version"]]
        return {**common, "goal_id": at_the_edge(catalog, common["offer_id"], common["goal"])}

    def _again(self, at_ms: int, catalogs: dict[int, Catalog]) -> list[AnyFact]:
        """One order told again: when nothing corrects it any more, or after it was created and released."""
        number = {"conversion_unique_id": "A", "goal": "", "goal_id": 0, "test": False}
        if self._happens(0.5):
            far_ms = at_ms + self._chance.choice([119, 121, 150]) * DAY
            first: list[Any] = [self._report(at_ms, catalogs)]
        else:
            far_ms = at_ms + 40 * DAY
            made = self._adjustment(at_ms, catalogs), self._adjustment(at_ms + HOUR, catalogs)
            release = {"action": "release", "status": "", "payout": None, "revenue": None}
            actions: list[dict[str, Any]] = [{"action": "create"}, release]
            first = [
                msgspec.structs.replace(one, key="", **how) for one, how in zip(made, actions, strict=True)
            ]
        again = [*first, self._report(far_ms, catalogs)]
        visits = [self._visit(far_ms - HOUR)] if self._happens(0.5) else []
        return [*visits, *(msgspec.structs.replace(one, **number) for one in again)]

    def _released(self, at_ms: int, catalogs: dict[int, Catalog]) -> list[AnyFact]:
        """Created, released and reported, in any order, under one order number, two, or none."""
        chance = self._chance
        release = {"action": "release", "status": "", "payout": None, "revenue": None, "sale_amount": None}
        actions = [
            "create",
            "release",
            "report",
            *chance.choices(["create", "release", "state", "report"], k=2),
        ]
        found: list[AnyFact] = []
        for action in chance.sample(actions, len(actions)) if self._happens(0.3) else actions:
            made: Any = self._report(at_ms, catalogs)
            if action != "report":
                made = self._adjustment(at_ms, catalogs)
                how = release if action == "release" else {"action": action}
                made = msgspec.structs.replace(made, key="", **how)
            number = chance.choice(["", "", "A", "A", "B"])
            found.append(
                msgspec.structs.replace(made, conversion_unique_id=number, goal="", goal_id=0, test=False)
            )
            at_ms += chance.choice([0, 1, SECOND, MINUTE, HOUR, 2 * DAY, 40 * DAY, 121 * DAY])
        if self._happens(0.5):
            found.append(self._visit(at_ms - HOUR))
        return found

    def _unclear(self, at_ms: int, catalogs: dict[int, Catalog]) -> list[AnyFact]:
        """Two orders, and a word that could mean each of them where the goal repeats."""
        word: AnyFact = self._report(at_ms + SECOND, catalogs)
        if self._happens(0.5):
            word = self._adjustment(at_ms + SECOND, catalogs)
        word = msgspec.structs.replace(word, conversion_unique_id="", sale_amount=None, status="rejected")
        orders = (
            msgspec.structs.replace(self._report(at_ms, catalogs), conversion_unique_id=each) for each in "AB"
        )
        return [msgspec.structs.replace(one, goal="", goal_id=0, test=False) for one in (*orders, word)]

    def _crowd(self, at_ms: int) -> list[AnyFact]:
        """More observations than a case may have; the more trusted come last."""
        return [
            Postback(
                kind="postback",
                **{
                    **self._common(at_ms + number // 3, at_ms, {"conversion_unique_id": f"N{number % 7}"}),
                    "receipt_id": f"{self._epochs[0]}-{100 + number}",
                },
                sale_amount=Decimal(number),
                proven_by="token" if number > 900 else "",  # noqa: PLR2004
                proven_for=(1,) if number > 900 else (),  # noqa: PLR2004
            )
            for number in range(1_010)
        ]

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _common(self, received_ms: int, occurred_ms: int, fields: dict[str, Any]) -> dict[str, Any]:
        number = self._numbers.pop() if self._numbers else 99
        return {
            "receipt_id": f"{self._chance.choice(self._epochs)}-{number}",
            "transaction_id": self._identifier,
            "received_at": times.from_ms(received_ms),
            "occurred_at": times.from_ms(occurred_ms),
            "edge": "proof",
            "catalog_version": self._chance.choice([1, 1, 2]),
            **fields,
        }
