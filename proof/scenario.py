"""What people and shops do in a simulation: outcome classes with their shares, and the plan they give.

A plan is a function of seed, number and catalog: the same three give the same journeys. Nothing here says how
a journey ends; that is proof/expected's affair.
"""

import random
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from proof import people
from schemas.catalog import Catalog, Goal, Offer

MINUTE_MS = 60_000
UNKNOWN_GOAL = "999999"
LOOPBACK = "127.0.0.1"  # where the simulated shops call from
FAR_AHEAD_S = 240  # the edge honours a claim up to 5 minutes ahead

Id = Literal["exact", "upper", "alias", "cookie", "made up", "mistyped", "cut"]
BROKEN_IDS = frozenset({"made up", "mistyped", "cut"})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request about a sale.

    path: /pixel, /iframe or /postback. stated: parameters without the ID.
    id_as: how the ID is written; `cookie` sends none and leaves it to the browser's cookie.
    claim_s: the sale's time as claimed, in seconds from the sending, None for no claim.
    times: how often the very same request is sent.
    """

    path: Literal["/pixel", "/iframe", "/postback"]
    stated: dict[str, str]
    id_as: Id = "exact"
    claim_s: int | None = None
    times: int = 1

    @property
    def is_refused(self) -> bool:
        """Whether the edge must refuse it."""
        return self.id_as in BROKEN_IDS


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """A person's way: an ad or a click or both, then what the shop reports.

    outcome: the row of CLASSES. exact: False where an answer that is lost leaves more than one truth.
    visit: parameters of click and impression.
    """

    number: int
    outcome: str
    offer_id: int
    affiliate_id: int
    browser: people.Browser
    visit: dict[str, str]
    clicks: bool
    sees_ad: bool
    steps: tuple[Step, ...]
    exact: bool = True


class Place(msgspec.Struct, frozen=True):
    """An offer and goal where something happens, with what is needed to know about its catalog."""

    offer: Offer
    goal: Goal
    affiliates: tuple[int, ...]
    approved_word: str
    rejected_word: str
    foreign: tuple[str, ...]
    other_offer: int

    @property
    def is_plain(self) -> bool:
        """Whether a sale a moment after its click is inside every window."""
        offer = self.offer
        return offer.min_time_ms == 0 and offer.click_window_ms >= 60 * MINUTE_MS

    def tracks(self, *kinds: str) -> bool:
        """Whether the offer tracks by all of these kinds."""
        return set(kinds) <= set(self.offer.tracking)


Draw = Callable[[random.Random, Place], Sequence[Step]]
Suits = Callable[[Place], bool]


class Class(msgspec.Struct, frozen=True, kw_only=True):
    """A class of outcomes: its share in ten thousand journeys, where it can happen, what is sent.

    bot: the click is a program's. ad_only: there is no click, only an ad that was seen.
    exact: False where an answer that is lost leaves more than one truth.
    """

    name: str
    share: int
    steps: Draw
    suits: Suits
    bot: bool = False
    ad_only: bool = False
    exact: bool = True


def _sale(rng: random.Random, place: Place, **more: str) -> dict[str, str]:
    """What an advertiser states of a sale; the offer is named in half of all cases."""
    stated = {
        "amount": f"{rng.randrange(500, 40_000) / 100:.2f}",
        "adv_sub": rng.choice(("web", "app", "shop 7")),
    }
    if place.goal.id or rng.random() < 0.2:  # noqa: PLR2004  a fifth of shops names the default goal too
        stated["goal_id"] = rng.choice((str(place.goal.id), place.goal.name, *place.goal.aliases))
    if rng.random() < 0.5:  # noqa: PLR2004
        stated["offer_id"] = str(place.offer.id)
    return stated | {name: value for name, value in more.items() if value}


def _order(rng: random.Random) -> str:
    return f"R-{rng.randrange(16**8):08X}"


def _nothing(_rng: random.Random, _place: Place) -> Sequence[Step]:
    return ()


def _postback(rng: random.Random, place: Place) -> Sequence[Step]:
    id_as: Id = rng.choice(("exact", "exact", "upper", "alias"))
    return [Step(path="/postback", stated=_sale(rng, place, conversion_unique_id=_order(rng)), id_as=id_as)]


def _unnumbered(rng: random.Random, place: Place) -> Sequence[Step]:
    return [Step(path="/postback", stated=_sale(rng, place))]


def _pixel(rng: random.Random, place: Place) -> Sequence[Step]:
    return [Step(path="/pixel", stated=_sale(rng, place, conversion_unique_id=_order(rng)))]


def _iframe(rng: random.Random, place: Place) -> Sequence[Step]:
    return [Step(path="/iframe", stated=_sale(rng, place, conversion_unique_id=_order(rng)))]


def _cookie(rng: random.Random, place: Place) -> Sequence[Step]:
    stated = _sale(rng, place, offer_id=str(place.offer.id), conversion_unique_id=_order(rng))
    return [Step(path="/pixel", stated=stated, id_as="cookie")]


def _dual(rng: random.Random, place: Place) -> Sequence[Step]:
    stated = _sale(rng, place, conversion_unique_id=_order(rng))
    steps = [
        Step(path="/pixel", stated=stated),
        Step(path="/postback", stated=stated, times=rng.choice((1, 2))),
    ]
    rng.shuffle(steps)
    return steps


def _all_kinds(rng: random.Random, place: Place) -> Sequence[Step]:
    stated = _sale(rng, place, conversion_unique_id=_order(rng))
    return [
        Step(path="/pixel", stated=stated, times=2),
        Step(path="/iframe", stated=stated),
        Step(path="/postback", stated=stated, times=2),
    ]


def _retried(rng: random.Random, place: Place) -> Sequence[Step]:
    stated = _sale(rng, place, conversion_unique_id=_order(rng))
    return [Step(path="/postback", stated=stated, times=rng.choice((2, 3)))]


def _statuses(*words: str) -> Draw:
    """One order whose status is stated again; `approved` and `rejected` in the advertiser's own words."""

    def draw(rng: random.Random, place: Place) -> Sequence[Step]:
        own = {"approved": place.approved_word, "rejected": place.rejected_word}
        stated = _sale(rng, place, conversion_unique_id=_order(rng))
        return [Step(path="/postback", stated={**stated, "status": own.get(word, word)}) for word in words]

    return draw


def _amounts(rng: random.Random, place: Place) -> Sequence[Step]:
    order = _order(rng)
    first, second = (_sale(rng, place, conversion_unique_id=order) for _ in range(2))
    later = {**first, "amount": second["amount"]}
    pixel = {**first, "amount": "1.00"}
    return [Step(path="/postback", stated=first), Step(path="/postback", stated=later)] + (
        [Step(path="/pixel", stated=pixel)] if place.tracks("pixel") else []
    )


def _several_orders(rng: random.Random, place: Place) -> Sequence[Step]:
    return [
        Step(
            path="/postback",
            stated=_sale(rng, place, conversion_unique_id=_order(rng)),
            times=rng.choice((1, 1, 2)),
        )
        for _ in range(3)
    ]


def _pairs(rng: random.Random, place: Place) -> Sequence[Step]:
    """Two sales on a repeating goal, each told by a pixel and a postback, none with an order number."""
    stated = _sale(rng, place)
    return [Step(path="/pixel", stated=stated), Step(path="/postback", stated=stated)] * 2


def _second_number(rng: random.Random, place: Place) -> Sequence[Step]:
    """Two order numbers on a goal that counts once; the more trusted one may come second."""
    first = rng.choice(["/pixel", "/postback"]) if place.tracks("pixel") else "/postback"
    one, two = (_sale(rng, place, conversion_unique_id=_order(rng)) for _ in range(2))
    return [
        Step(path="/pixel" if first == "/pixel" else "/postback", stated=one),
        Step(path="/postback", stated=two),
    ]


def _test(rng: random.Random, place: Place) -> Sequence[Step]:
    tested = Step(path="/postback", stated=_sale(rng, place, test="1", conversion_unique_id="TEST-1"))
    return [tested] if rng.random() < 0.5 else [tested, *_postback(rng, place)]  # noqa: PLR2004


def _foreign(rng: random.Random, place: Place) -> Sequence[Step]:
    currency = rng.choice(place.foreign)
    if rng.random() < 0.5:  # noqa: PLR2004  currencies come in any case
        currency = currency.lower()
    return [
        Step(path="/postback", stated=_sale(rng, place, currency=currency, conversion_unique_id=_order(rng)))
    ]


def _no_rate(rng: random.Random, place: Place) -> Sequence[Step]:
    return [
        Step(path="/postback", stated=_sale(rng, place, currency="XPF", conversion_unique_id=_order(rng)))
    ]


def _unknown_goal(rng: random.Random, place: Place) -> Sequence[Step]:
    goal = rng.choice((UNKNOWN_GOAL, "no such goal"))
    return [
        Step(
            path="/postback", stated={**_sale(rng, place, conversion_unique_id=_order(rng)), "goal_id": goal}
        )
    ]


def _wrong_kind(rng: random.Random, place: Place) -> Sequence[Step]:
    """A kind that the offer does not track, alone or beside one that it tracks."""
    kind = next(kind for kind in ("pixel", "iframe", "postback") if not place.tracks(kind))
    stated = _sale(rng, place, conversion_unique_id=_order(rng))
    steps = [_step(kind, stated)]
    return steps if rng.random() < 0.5 else [*steps, _step(place.offer.tracking[0], stated)]  # noqa: PLR2004


def _step(kind: str, stated: dict[str, str]) -> Step:
    path: Literal["/pixel", "/iframe", "/postback"] = "/postback"
    if kind == "pixel":
        path = "/pixel"
    if kind == "iframe":
        path = "/iframe"
    return Step(path=path, stated=stated)


def _other_offer(rng: random.Random, place: Place) -> Sequence[Step]:
    stated = _sale(rng, place, conversion_unique_id=_order(rng))
    goal = {"goal_id": str(place.goal.id)}  # by ID: a name would be looked up in the offer that is stated
    return [Step(path="/postback", stated={**stated, **goal, "offer_id": str(place.other_offer)})]


def _claimed(low_s: int, high_s: int) -> Draw:
    """A postback that says when the sale was, within these bounds."""

    def draw(rng: random.Random, place: Place) -> Sequence[Step]:
        stated = _sale(rng, place, conversion_unique_id=_order(rng))
        return [Step(path="/postback", stated=stated, claim_s=rng.randrange(low_s, high_s))]

    return draw


def _broken(id_as: Id) -> Draw:
    """Reports with an ID that is not ours, by server and by page."""

    def draw(rng: random.Random, place: Place) -> Sequence[Step]:
        path: Literal["/pixel", "/postback"] = "/pixel" if rng.random() < 0.3 else "/postback"  # noqa: PLR2004
        return [Step(path=path, stated=_sale(rng, place, conversion_unique_id=_order(rng)), id_as=id_as)]

    return draw


def _by(*kinds: str) -> Suits:
    return lambda place: place.is_plain and place.tracks(*kinds)


def _once(place: Place) -> bool:
    return place.goal.repeat == "once"


CLASSES = (
    # What happens to most clicks, and the ways to report a sale.
    Class(name="no sale", share=6_110, steps=_nothing, suits=lambda _: True),
    Class(name="postback", share=700, steps=_postback, suits=_by("postback")),
    Class(name="postback, no number", share=200, steps=_unnumbered, suits=_by("postback"), exact=False),
    Class(name="pixel", share=250, steps=_pixel, suits=_by("pixel")),
    Class(name="pixel by cookie", share=250, steps=_cookie, suits=_by("pixel")),
    Class(name="iframe", share=200, steps=_iframe, suits=_by("iframe")),
    # One sale, told more than once.
    Class(name="dual tracking", share=500, steps=_dual, suits=_by("pixel", "postback")),
    Class(name="all kinds, repeated", share=150, steps=_all_kinds, suits=_by("pixel", "iframe", "postback")),
    Class(name="retried postback", share=200, steps=_retried, suits=_by("postback")),
    # Changed minds.
    Class(
        name="approved, then rejected",
        share=100,
        steps=_statuses("approved", "rejected"),
        suits=_by("postback"),
    ),
    Class(
        name="pending, then approved",
        share=100,
        steps=_statuses("pending", "approved"),
        suits=_by("postback"),
    ),
    Class(name="stated pending", share=50, steps=_statuses("pending"), suits=_by("postback")),
    Class(name="unknown word", share=50, steps=_statuses("no-such-word"), suits=_by("postback")),
    Class(name="another amount", share=100, steps=_amounts, suits=_by("postback")),
    # Several orders.
    Class(
        name="several orders",
        share=150,
        steps=_several_orders,
        suits=lambda place: _by("postback")(place) and not _once(place),
    ),
    Class(
        name="pairs without number",
        share=50,
        steps=_pairs,
        suits=lambda place: _by("pixel", "postback")(place) and not _once(place),
        exact=False,
    ),
    Class(
        name="second number",
        share=100,
        steps=_second_number,
        suits=lambda place: _by("postback")(place) and _once(place),
    ),
    # What does not count, and what costs otherwise.
    Class(name="test", share=50, steps=_test, suits=_by("postback")),
    Class(
        name="foreign currency",
        share=100,
        steps=_foreign,
        suits=lambda place: _by("postback")(place) and bool(place.foreign),
    ),
    Class(name="no rate", share=20, steps=_no_rate, suits=_by("postback")),
    Class(name="unknown goal", share=50, steps=_unknown_goal, suits=_by("postback")),
    Class(
        name="wrong kind",
        share=50,
        steps=_wrong_kind,
        suits=lambda place: place.is_plain and len(place.offer.tracking) < 3,  # noqa: PLR2004  there are three kinds
    ),
    Class(
        name="other offer stated",
        share=50,
        steps=_other_offer,
        suits=lambda place: _by("postback")(place) and bool(place.other_offer),
    ),
    Class(name="bot", share=50, steps=_postback, suits=_by("postback"), bot=True),
    # Time.
    Class(name="late", share=100, steps=_claimed(30, FAR_AHEAD_S), suits=_by("postback")),
    Class(name="before its click", share=50, steps=_claimed(-20 * 86_400, -120), suits=_by("postback")),
    Class(
        name="outside the click window",
        share=50,
        steps=_claimed(FAR_AHEAD_S - 20, FAR_AHEAD_S),
        suits=lambda place: place.tracks("postback") and place.offer.click_window_ms <= 2 * MINUTE_MS,
    ),
    Class(
        name="too soon",
        share=50,
        steps=_postback,
        suits=lambda place: place.tracks("postback") and place.offer.min_time_ms >= 10 * MINUTE_MS,
    ),
    # Ads that were seen and not clicked: beside the clicks, not among them.
    Class(name="seen, bought by postback", share=100, steps=_postback, suits=_by("postback"), ad_only=True),
    Class(name="seen, bought by cookie", share=50, steps=_cookie, suits=_by("pixel"), ad_only=True),
    # What must be refused.
    Class(name="made-up ID", share=40, steps=_broken("made up"), suits=_by("postback", "pixel")),
    Class(name="mistyped ID", share=40, steps=_broken("mistyped"), suits=_by("postback", "pixel")),
    Class(name="cut ID", share=40, steps=_broken("cut"), suits=_by("postback", "pixel")),
)

SEES_AD_FIRST = 0.25  # of those who click


class Plan:
    """The journeys of a seed over a catalog; ValueError where the catalog has no place for any of them."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self._seed = seed
        self._places = {row.name: [place for place in places(catalog) if row.suits(place)] for row in CLASSES}
        self._rows = [row for row in CLASSES if self._places[row.name]]
        if not any(row.steps is _nothing for row in self._rows):
            raise ValueError(
                "no active offer with random identifiers, an approved affiliate, and no token asked for"
            )
        self._clicking = [row for row in self._rows if not row.ad_only]
        self._seeing = [row for row in self._rows if row.ad_only]

    @property
    def left_out(self) -> list[str]:
        """Classes for which the catalog has no offer."""
        return [row.name for row in CLASSES if not self._places[row.name]]

    def journey(self, number: int) -> Journey:
        """The journey of the click with this number."""
        rng = random.Random(f"{self._seed}/{number}")
        row = rng.choices(self._clicking, weights=[row.share for row in self._clicking])[0]
        return self._drawn(rng, row, number)

    def view(self, number: int) -> Journey | None:
        """The journey of an ad that is seen beside this click, if there is one."""
        rng = random.Random(f"{self._seed}/view/{number}")
        for row in self._seeing:
            if rng.randrange(10_000) < row.share:
                return self._drawn(rng, row, number)
        return None

    def _drawn(self, rng: random.Random, row: Class, number: int) -> Journey:
        place = rng.choice(self._places[row.name])
        return Journey(
            number=number,
            outcome=row.name,
            offer_id=place.offer.id,
            affiliate_id=rng.choice(place.affiliates),
            browser=people.pick_browser(rng, bot=row.bot),
            visit=people.affiliates_notes(rng),
            clicks=not row.ad_only,
            sees_ad=row.ad_only or rng.random() < SEES_AD_FIRST,
            steps=tuple(row.steps(rng, place)),
            exact=row.exact or place.goal.repeat == "once",
        )


def places(catalog: Catalog) -> list[Place]:
    """Where sales can happen: what is active, believes us, and has somebody to send visitors."""
    found = []
    for offer in catalog.offers:
        affiliates = tuple(one.id for one in catalog.affiliates if catalog.approves(offer, one.id))
        usable = offer.is_active and offer.identifier == "random" and affiliates
        if usable and _is_believed(catalog, offer):
            found += [
                _place(catalog, offer, goal, affiliates) for goal in offer.goals if goal.status == "active"
            ]
    return found


def _is_believed(catalog: Catalog, offer: Offer) -> bool:
    """Whether a postback from this machine proves what the offer asks for."""
    advertiser = catalog.advertiser(offer.advertiser_id)
    here = advertiser is not None and advertiser.postback.allows(LOOPBACK)
    proof = catalog.required_proof(offer)
    return proof == "none" or (proof == "allow_from" and here)


def _place(catalog: Catalog, offer: Offer, goal: Goal, affiliates: tuple[int, ...]) -> Place:
    advertiser = catalog.advertiser(offer.advertiser_id)
    words = {status: word for word, status in advertiser.status_words.items()} if advertiser else {}
    sold = {rate.from_ for rate in catalog.network.rates}
    known = {(rate.from_, rate.to) for rate in catalog.network.rates}
    wanted = {goal.paid_in, goal.billed_in}
    return Place(
        offer=offer,
        goal=goal,
        affiliates=affiliates,
        approved_word=words.get("approved", "approved"),
        rejected_word=words.get("rejected", "rejected"),
        foreign=tuple(sorted(one for one in sold if all(one == to or (one, to) in known for to in wanted))),
        other_offer=next((other.id for other in catalog.offers if other.id != offer.id), 0),
    )
