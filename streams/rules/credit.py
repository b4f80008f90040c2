"""Which visit a conversion is credited to: rule 4 of streams.rules.decide."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from schemas import times
from schemas.catalog import Offer
from schemas.facts import AnyFact, Click, Impression, Statement
from schemas.reasons import Reason
from schemas.topics import CLICK_WINDOW_DAYS, DAY_MS, VIEW_WINDOW_DAYS
from streams.rules.merge import AnyStatement

UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))

GRACE_MS: Final = 5_000  # clocks of two collectors differ: a click so long after a conversion was before it
CLICK_MS: Final = CLICK_WINDOW_DAYS * DAY_MS  # the longest windows that an offer may have
VIEW_MS: Final = VIEW_WINDOW_DAYS * DAY_MS

_AVisit = TypeVar("_AVisit", bound=Click | Impression)
Moment = tuple[int, str]

OfferOf = Callable[[Click | Impression, AnyStatement], Offer | None]


class Visits(msgspec.Struct, frozen=True):
    """The click and the impression that a conversion may be credited to."""

    click: Click | None
    impression: Impression | None

    @property
    def own(self) -> Click | Impression | None:
        """The visit whose offer it is about."""
        return self.click or self.impression

    def of(self, made: AnyStatement) -> "Visits":  # noqa: ARG002  with a random ID all have the same
        """Those that a conversion made by this statement may be credited to."""
        return self


class OwnVisits(msgspec.Struct, frozen=True):
    """Several visits under one random ID, which was made for one: each by their moments."""

    clicks: Sequence[Click]
    impressions: Sequence[Impression]

    def of(self, made: AnyStatement) -> Visits:
        """The last of each before this statement; where all come after it, as clocks have it, the first."""
        return Visits(_own(self.clicks, made), _own(self.impressions, made))


class SharedVisits(msgspec.Struct, frozen=True):
    """The visits under an identifier that many may have, by their moments."""

    clicks: tuple[Click, ...]
    impressions: tuple[Impression, ...]

    def of(self, made: AnyStatement) -> Visits:
        """The last click and the last impression before this statement."""
        return Visits(last(self.clicks, made, CLICK_MS), last(self.impressions, made, VIEW_MS))


class Credit(msgspec.Struct, frozen=True):
    """A visit and how far before the conversion it was.

    distance_ms: from visit to conversion, 0 where the clocks say that the conversion came first.
    outside: why the visit is too far away, NONE where it is within its window of window_ms.
    """

    visit: Click | Impression
    by: Literal["click", "impression"]
    distance_ms: int
    is_before: bool
    window_ms: int
    outside: Reason


def visits_of(
    clicks: Sequence[Click], impressions: Sequence[Impression], *, is_shared: bool
) -> Visits | OwnVisits | SharedVisits:
    """The transaction's visits, which come in the order of receipt."""
    if is_shared:
        return SharedVisits(tuple(sorted(clicks, key=moment)), tuple(sorted(impressions, key=moment)))
    if len(clicks) > 1 or len(impressions) > 1:
        return OwnVisits(sorted(clicks, key=_occurred), sorted(impressions, key=_occurred))
    return Visits(clicks[0] if clicks else None, impressions[0] if impressions else None)


def _occurred(fact: AnyFact) -> str:
    """Its text is in the order of time; of two at one time the later received stays behind the other."""
    return fact.occurred_at


def _own(visits: Sequence[_AVisit], made: Statement) -> _AVisit | None:
    before = bisect_right(visits, made.occurred_at, key=_occurred)
    return visits[max(before, 1) - 1] if visits else None


def moment(visit: Click | Impression) -> Moment:
    """When it was; of two at one time the one with the greater receipt is the later, as in the state."""
    return times.to_ms(visit.occurred_at), visit.receipt_id


def last(visits: Sequence[_AVisit], made: Statement, window_ms: int) -> _AVisit | None:
    """Of visits by their moments the last before the statement, with GRACE_MS, and not longer before it."""
    made_ms = times.to_ms(made.occurred_at)
    before = bisect_right(visits, (made_ms + GRACE_MS + 1, ""), key=moment)
    if not before or moment(visits[before - 1])[0] < made_ms - window_ms:
        return None
    return visits[before - 1]


def credit(visits: Visits, made: AnyStatement, offer_of: OfferOf) -> Credit | None:
    """The click within its window, else the impression within its own, else what there is, outside.

    offer_of: the offer of a visit, as it stands for this statement; without one no window is over.
    """
    clicked = _of_click(visits.click, made, offer_of(visits.click, made)) if visits.click else None
    if visits.impression is None or (clicked and not clicked.outside):
        return clicked
    viewed = _of_impression(visits.impression, made, offer_of(visits.impression, made))
    return clicked if clicked and viewed.outside else viewed


def _of_click(click: Click, made: AnyStatement, offer: Offer | None) -> Credit:
    distance_ms = _distance_ms(click, made)
    window_ms = offer.click_window_ms if offer else distance_ms
    outside = Reason.OUTSIDE_CLICK_WINDOW if distance_ms > window_ms else Reason.NONE
    return Credit(click, "click", max(0, distance_ms), distance_ms < 0, window_ms, outside)


def _of_impression(impression: Impression, made: AnyStatement, offer: Offer | None) -> Credit:
    distance_ms = _distance_ms(impression, made)
    window_ms = offer.view_window_ms if offer else distance_ms
    outside = Reason.OUTSIDE_VIEW_WINDOW if distance_ms > window_ms else Reason.NONE
    return Credit(impression, "impression", max(0, distance_ms), distance_ms < 0, window_ms, outside)


def _distance_ms(visit: Click | Impression, made: AnyStatement) -> int:
    return times.to_ms(made.occurred_at) - times.to_ms(visit.occurred_at)


def spans(ms: int, allowed_ms: int) -> tuple[str, str]:
    """Both for people, in as many units as it takes to tell one from the other."""
    found = ((span(ms, units), span(allowed_ms, units)) for units in range(2, len(UNITS_MS) + 1))
    return next((each for each in found if each[0] != each[1]), (span(ms), span(allowed_ms)))


def span(ms: int, units: int = 2) -> str:
    """A length of time for people, in its largest units: `31 d 2 h`."""
    parts = []
    for unit, length in UNITS_MS:
        if ms >= length:
            parts.append(f"{ms // length} {unit}")
            ms %= length
    return " ".join(parts[:units]) or "0 s"
