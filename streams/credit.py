"""Which visit a conversion is credited to: rule 4 of streams.decide."""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from schemas import times
from schemas.catalog import Offer
from schemas.facts import AnyFact, Click, Impression
from schemas.reasons import Reason
from streams.merge import AnyStatement

UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))

OfferOf = Callable[[Click | Impression], Offer | None]


class Visits(msgspec.Struct, frozen=True):
    """What a random transaction ID was made for; of several receipts of one ID the first received."""

    click: Click | None
    impression: Impression | None

    @property
    def own(self) -> Click | Impression | None:
        """The visit whose offer the transaction is about."""
        return self.click or self.impression


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


def visits_of(facts: Sequence[AnyFact]) -> Visits:
    """The transaction's click and impression, of facts in the order of receipt."""
    click = next((fact for fact in facts if isinstance(fact, Click)), None)
    impression = next((fact for fact in facts if isinstance(fact, Impression)), None)
    return Visits(click, impression)


def credit(visits: Visits, made: AnyStatement, offer_of: OfferOf) -> Credit | None:
    """The click within its window, else the impression within its own, else what there is, outside.

    offer_of: the offer of a visit, as it stands for this conversion; without one no window is over.
    """
    clicked = _of_click(visits.click, made, offer_of(visits.click)) if visits.click else None
    if visits.impression is None or (clicked and not clicked.outside):
        return clicked
    viewed = _of_impression(visits.impression, made, offer_of(visits.impression))
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


def span(ms: int) -> str:
    """A length of time for people, in its two largest units: `31 d 2 h`."""
    parts = []
    for unit, length in UNITS_MS:
        if ms >= length:
            parts.append(f"{ms // length} {unit}")
            ms %= length
    return " ".join(parts[:2]) or "0 s"
