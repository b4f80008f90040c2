"""Which visit a conversion is credited to: rule 4 of streams.rules.decide."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from schemas import times
from schemas.catalog import Offer
from schemas.facts import AnyFact, Click, Impression, Statement
from schemas.reasons import Reason
from schemas.topics import CLICK_WINDOW_DAYS, DAY_MS, LATENESS_DAYS, VIEW_WINDOW_DAYS
from streams.rules.merge import AnyStatement

UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))

GRACE_MS: Final = 5_000  # clocks of two collectors differ: a click so long after a conversion was before it
CLICK_MS: Final = CLICK_WINDOW_DAYS * DAY_MS  # the longest windows that an offer may have
VIEW_MS: Final = VIEW_WINDOW_DAYS * DAY_MS
ALLOWED_MS: Final = LATENESS_DAYS * DAY_MS  # so long after its window a visit counts for what is received

_AVisit = TypeVar("_AVisit", bound=Click | Impression)
Moment = tuple[int, str]

OfferOf = Callable[[Click | Impression, AnyStatement], Offer | None]


class Visits(msgspec.Struct, frozen=True):
    """The click and the impression that a conversion may be credited to."""

    click: Click | None
    impression: Impression | None

    @property
    def both(self) -> list[Click | Impression]:
        """Those that there are."""
        return [visit for visit in (self.click, self.impression) if visit]

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

    @property
    def every(self) -> list[Click | Impression]:
        """All of them."""
        return [*self.clicks, *self.impressions]

    def of(self, made: AnyStatement) -> Visits:
        """The last of each before this statement; where all come after it, as clocks have it, the first."""
        return Visits(_own(self.clicks, made), _own(self.impressions, made))


class SharedVisits(msgspec.Struct, frozen=True):
    """The visits under an identifier that many may have, by their moments.

    taken: those that what was received in time after them takes; they count for what comes later, too.
    """

    clicks: Sequence[Click]
    impressions: Sequence[Impression]
    taken_clicks: Sequence[Click] = ()
    taken_impressions: Sequence[Impression] = ()

    def of(self, made: AnyStatement) -> Visits:
        """The last click and the last impression before this statement."""
        return Visits(
            last(self.clicks, made, CLICK_MS) or _last_taken(self.taken_clicks, made, CLICK_MS),
            last(self.impressions, made, VIEW_MS) or _last_taken(self.taken_impressions, made, VIEW_MS),
        )


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
    clicks: Sequence[Click],
    impressions: Sequence[Impression],
    observations: Sequence[AnyStatement],
    *,
    is_shared: bool,
) -> Visits | OwnVisits | SharedVisits:
    """The transaction's visits that may count, all of which come in the order of receipt.

    Longer than its window and ALLOWED_MS after it was received a visit counts only for what another
    observation took it for before: which of the others are still kept rests on how far topics were read.
    """
    if is_shared:
        return _shared(sorted(clicks, key=moment), sorted(impressions, key=moment), observations)
    if observations:
        received_ms = times.to_ms(observations[0].received_at)
        clicks = _counting(clicks, received_ms - CLICK_MS - ALLOWED_MS)
        impressions = _counting(impressions, received_ms - VIEW_MS - ALLOWED_MS)
    if len(clicks) > 1 or len(impressions) > 1:
        return OwnVisits(sorted(clicks, key=_occurred), sorted(impressions, key=_occurred))
    return Visits(clicks[0] if clicks else None, impressions[0] if impressions else None)


def _shared(
    clicks: Sequence[Click], impressions: Sequence[Impression], observations: Sequence[AnyStatement]
) -> SharedVisits:
    if not any(_is_belated(made) for made in observations):  # as nearly always
        return SharedVisits(clicks, impressions)
    return SharedVisits(
        clicks,
        impressions,
        _taken(clicks, observations, CLICK_MS),
        _taken(impressions, observations, VIEW_MS),
    )


def _is_belated(made: Statement) -> bool:
    return times.to_ms(made.received_at) - times.to_ms(made.occurred_at) > ALLOWED_MS


def _taken(
    visits: Sequence[_AVisit], observations: Sequence[AnyStatement], window_ms: int
) -> Sequence[_AVisit]:
    found = {id(visit): visit for made in observations if (visit := last(visits, made, window_ms))}
    return sorted(found.values(), key=moment)


def _counting(visits: Sequence[_AVisit], since_ms: int) -> Sequence[_AVisit]:
    return [visit for visit in visits if times.to_ms(visit.received_at) >= since_ms]


def _occurred(fact: AnyFact) -> str:
    """Its text is in the order of time; of two at one time the later received stays behind the other."""
    return fact.occurred_at


def _own(visits: Sequence[_AVisit], made: Statement) -> _AVisit | None:
    before = bisect_right(visits, made.occurred_at, key=_occurred)
    return visits[max(before, 1) - 1] if visits else None


def moment(visit: Click | Impression) -> Moment:
    """When it was; of two at one time the one with the greater receipt is the later, as in the state."""
    return times.to_ms(visit.occurred_at), visit.receipt_id


def between(made: Statement, window_ms: int) -> tuple[int, int]:
    """When a visit under a shared identifier was that counts for the statement: from, and to.

    None of longer than its window and ALLOWED_MS before that was received: not all of those are kept.
    """
    made_ms, received_ms = times.to_ms(made.occurred_at), times.to_ms(made.received_at)
    return max(made_ms, received_ms - ALLOWED_MS) - window_ms, made_ms + GRACE_MS


def last(visits: Sequence[_AVisit], made: Statement, window_ms: int) -> _AVisit | None:
    """Of visits by their moments the last before the statement, with GRACE_MS, and not longer before it."""
    return _last_between(visits, *between(made, window_ms))


def _last_taken(visits: Sequence[_AVisit], made: Statement, window_ms: int) -> _AVisit | None:
    """The same, however long ago the visit was received."""
    if not visits:
        return None
    made_ms = times.to_ms(made.occurred_at)
    return _last_between(visits, made_ms - window_ms, made_ms + GRACE_MS)


def _last_between(visits: Sequence[_AVisit], since_ms: int, until_ms: int) -> _AVisit | None:
    before = bisect_right(visits, (until_ms + 1, ""), key=moment)
    if not before or moment(visits[before - 1])[0] < since_ms:
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
