"""Rule 4: the visits that a statement may be due to, and the one that it is due to."""

from collections.abc import Iterable, Sequence

from proof.expected.book import Catalogs, in_force, offer_in
from proof.expected.words import Age, Statement, Visit, age
from schemas.durations import to_ms

GRACE_MS = 5_000  # shared identifiers: a click that is so much later was before it, clocks differ
DAY_MS = 86_400_000
LONGEST_MS = {"click": 30 * DAY_MS, "impression": DAY_MS}  # shared identifiers: what is older is none at all
LATE_MS = 7 * DAY_MS  # how much longer a visit is kept that nothing was stated about


def kept(visits: Iterable[Visit], reports: Sequence[Statement]) -> list[Visit]:
    """Each receipt once; a random identifier's, of what may still count when something was first reported."""
    first_ms = min((one.received_ms for one in reports), default=0)
    once = {visit.receipt: visit for visit in visits}.values()
    return [one for one in once if one.received_ms >= first_ms - LONGEST_MS[one.kind] - LATE_MS]


def own(visits: Iterable[Visit], kind: str, said: Statement) -> Visit | None:
    """A random identifier's: the last before the statement; where the clocks put all after it, the first."""
    alike = sorted((one for one in visits if one.kind == kind), key=_when)
    before = [one for one in alike if one.occurred_ms <= said.occurred_ms]
    return before[-1] if before else alike[0] if alike else None


def last_before(
    visits: Iterable[Visit], kind: str, said: Statement, reports: Iterable[Statement]
) -> Visit | None:
    """A shared identifier's: the last before the statement.

    What was said long after it happened takes what was kept when it came, or what another report took before.
    """
    near = [
        one
        for one in visits
        if one.kind == kind and -GRACE_MS <= said.occurred_ms - one.occurred_ms <= LONGEST_MS[kind]
    ]
    kept = [one for one in near if said.received_ms - one.occurred_ms <= LONGEST_MS[kind] + LATE_MS]
    taken = [last_before(visits, kind, other, []) for other in reports]
    return max(kept or [one for one in near if one in taken], key=_at, default=None)


def _at(visit: Visit) -> tuple[int, str]:
    return visit.occurred_ms, visit.receipt


def _when(visit: Visit) -> tuple[int, Age]:
    return visit.occurred_ms, age(visit)


def candidates(
    visits: Sequence[Visit], said: Statement, reports: Sequence[Statement], *, shared: bool
) -> tuple[Visit | None, Visit | None]:
    """The click and the impression that the statement may be due to."""
    if shared:
        return last_before(visits, "click", said, reports), last_before(visits, "impression", said, reports)
    return own(visits, "click", said), own(visits, "impression", said)


def credited(catalogs: Catalogs, click: Visit | None, view: Visit | None, said: Statement) -> Visit | None:
    """The click within its window, else the impression within its own, else the click, too long ago."""
    for visit in (click, view):
        if visit and not too_long_ago(catalogs, visit, said):
            return visit
    return click or view


def too_long_ago(catalogs: Catalogs, visit: Visit, said: Statement) -> bool:
    """Whether the visit's window was over; a visit that comes after was just before."""
    offer = offer_in(in_force(catalogs, visit, said)[1], visit.offer_id)
    if offer is None:
        return False
    window = offer.click_window if visit.kind == "click" else offer.view_window
    return said.occurred_ms - visit.occurred_ms > to_ms(window)
