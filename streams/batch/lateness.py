"""Which statements about a bundle take part: those in time, within its bound (rule 3 of batch.batch)."""

from collections.abc import Iterable
from typing import Final

from schemas import times
from schemas.facts import AnyFact, Statement
from schemas.reasons import Reason
from streams import expiry
from streams.batch.arrival import Arrival
from streams.batch.known import Known
from streams.batch.refusals import Refusals
from streams.state.bundles import Bundle, is_persons, order_memory
from streams.state.layout import Header

MAX_STATEMENTS: Final = 10_000  # of one bundle; deciding so many takes about 0.1 s


class Lateness:
    """Sorts what one batch brings to bundles. time_ms: the partition's time."""

    def __init__(self, known: Known, refusals: Refusals, time_ms: int) -> None:
        self._known = known
        self._refusals = refusals
        self._time_ms = time_ms

    def timely(self, bundle: Bundle, header: Header, gained: Iterable[Arrival]) -> tuple[int, list[Arrival]]:
        """When the bundle was born, and what of its gain takes part; the rest was refused."""
        by_person = is_persons(bundle.transaction_id)
        known = [header.born_ms] if header.born_ms and (header.statements or not by_person) else []
        spoken = [
            each.born_ms for each in gained if each.statement and not self._too_late(each.born_ms, each)
        ]
        born_ms = min([*known, *spoken], default=0)
        orders = self._orders(gained) if by_person else {}
        kept, room = [], MAX_STATEMENTS - header.statements
        for each in gained:
            if each.visit:
                kept.append(each)
            elif why := self._too_late(orders.get(_order(each), 0) if by_person else born_ms, each):
                self._refusals.refuse_late(each.record, why)
            elif room > 0:
                room -= 1
                kept.append(each)
            else:
                why = f"more than {MAX_STATEMENTS} statements about one conversion"
                self._refusals.refuse(each.record, Reason.TOO_MANY_OBSERVATIONS, why)
        return born_ms, kept

    def show(self, before: Header, now: Header, stored: Iterable[AnyFact]) -> None:
        """What an earlier statement that came after it made too late is in quarantine."""
        if before.born_ms in (0, now.born_ms):
            return
        for fact in stored:
            why = late_by(now, fact)
            if why and not late_by(before, fact):
                self._refusals.refuse_late_fact(fact, why)

    def _orders(self, gained: Iterable[Arrival]) -> dict[str, int]:
        """By number, when orders of a person began of which only that is remembered."""
        orders = {
            order_memory(each.fact.transaction_id, number): number
            for each in gained
            if (number := _order(each))
        }
        headers = self._known.headers([*orders])
        return {orders[memory]: header.born_ms for memory, header in headers.items()}

    def _too_late(self, born_ms: int, each: Arrival) -> str:
        return expiry.too_late(each.received_ms, born_ms or each.born_ms, self._time_ms)


def late_by(header: Header, fact: AnyFact) -> str:
    """Why a known statement is too late beside the bundle's first one; empty where it is not."""
    if not isinstance(fact, Statement) or not header.born_ms or is_persons(fact.transaction_id):
        return ""
    return expiry.too_late(times.to_ms(fact.received_at), header.born_ms, header.born_ms)


def outlived(header: Header, fact: AnyFact) -> bool:
    """Whether a visit came after the bundle's correction: that may be gone when it reaches Kafka."""
    if isinstance(fact, Statement) or is_persons(fact.transaction_id):
        return False
    return times.to_ms(fact.received_at) > header.born_ms + expiry.CORRECTION_MS


def _order(each: Arrival) -> str:
    """The order number that it states, if it states one."""
    return each.statement.conversion_unique_id if each.statement else ""
