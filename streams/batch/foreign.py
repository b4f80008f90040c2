"""What others sent: cases in `conversions` that are not as this state sent them last.

1. Such a case is taken for what was sent, and its bundle is decided anew, at the next look at what waits.
2. One with a lesser version is not taken, but ours is sent again behind it: of each case the last record
   stays when Kafka compacts.
3. In a restore (silent) these are what the lost state had sent: nothing goes out. A bundle with a fact that
   none of its cases names waited then for a catalog, or its turn: it is decided at the next look.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from schemas import decisions, facts, times
from schemas.decisions import Case
from schemas.reasons import Reason
from service.kafka import Record
from streams.batch import arrival
from streams.batch.known import Known
from streams.batch.refusals import Refusals
from streams.batch.sending import CaseKey, Place, Sending, case_key_of, content_of
from streams.state import damage, layout
from streams.state.bundles import Bundle, bundle_of, place_of
from streams.state.layout import Emitted


class Foreign:
    """Takes what one batch of `conversions` tells. count: how many cases were not ours, or lay in front."""

    def __init__(self, known: Known, sending: Sending, refusals: Refusals, *, silent: bool) -> None:
        self.count = 0
        self._known = known
        self._changes = known.changes
        self._sending = sending
        self._refusals = refusals
        self._silent = silent

    def take(self, records: Sequence[Record]) -> None:
        """The changes hold what these records of `conversions` tell that is not known."""
        read = [(record, key) for record in records if (key := self._case_key(record))]
        places = [(place_of(key.transaction_id, key.number), key.goal_id) for _, key in read]
        before = dict(zip(places, self._known.state.emitted(places), strict=True))
        for (record, key), place in zip(read, places, strict=True):
            known = self._changes.cases.get(place) or before[place]
            if known is None or known.record != record.value:
                self._take(bundle_of(key.transaction_id, key.number), place, known, record)

    def _case_key(self, record: Record) -> CaseKey | None:
        try:
            key = case_key_of(record.value)
        except msgspec.DecodeError as error:
            self._refusals.refuse(record, Reason.MALFORMED_EVENT, str(error))
            return None
        if record.key == decisions.case_key(key.transaction_id, key.goal_id, key.number):
            return key
        self._refusals.refuse(record, Reason.MALFORMED_EVENT, "its key is not its case's")
        return None

    def _take(self, bundle: Bundle, place: Place, known: Emitted | None, record: Record) -> None:
        try:
            case = decisions.decode("conversions", record.value)
            assert isinstance(case, Case)  # noqa: S101  what this topic's decoder makes
            born_ms = _born_ms(case, record.timestamp_ms)
        except (msgspec.DecodeError, ValueError) as error:
            self._refusals.refuse(record, Reason.MALFORMED_EVENT, str(error))
            return
        taken = Emitted(case.version, content_of(case), record.value)
        if known and taken.version < known.version:
            self._send_behind(bundle, place, known, record)
            return
        if known and (taken.version, taken.content) == (known.version, known.content):
            return
        self.count += 1
        self._known.take(bundle, place, taken)
        self._look_again(bundle, born_ms)

    def _look_again(self, bundle: Bundle, born_ms: int) -> None:
        """The bundle is due, where it may have to be decided otherwise; or it is remembered from now on."""
        header = self._known.headers([bundle])[bundle]
        if header.statements:
            if header.told == layout.ALL_TOLD:  # by us; by whom it comes from something else, perhaps
                self._changes.headers[bundle] = msgspec.structs.replace(header, told=layout.SINCE)
            if not self._silent or self._known.leaves_out(bundle, self._known.reading.stored(bundle)):
                self._changes.waiting.append((layout.DUE, bundle))
        elif not header.born_ms:
            remembered = msgspec.structs.replace(header, born_ms=born_ms)
            self._changes.note_birth(bundle, header, remembered)
            self._changes.headers[bundle] = remembered

    def _send_behind(self, bundle: Bundle, place: Place, known: Emitted, record: Record) -> None:
        """What is known is sent again, where a lesser version came to lie behind it.

        Of a worker's own records each is in Kafka before the next is decided.
        """
        if self._silent:
            self._known.take(bundle, place, Emitted(known.version, b"", known.record))
            self._changes.waiting.append((layout.DUE, bundle))
        elif record.timestamp_ms > times.to_ms(_case(self._known.state.path, known).decided_at):
            self.count += 1
            self._sending.again(bundle, {place: known}, {})


def _case(path: Path, emitted: Emitted) -> Case:
    """The case that was sent."""
    found = damage.read(path, partial(decisions.decode, "conversions"), emitted.record)
    assert isinstance(found, Case)  # noqa: S101  what this topic's decoder makes
    return found


def _born_ms(case: Case, appended_ms: int) -> int:
    """When the case's bundle was born, as far as the case tells; ValueError where a time is none."""
    for visit in case.visits:
        facts.check(visit)
    moments = [each.received_at for each in case.conversions] or [case.decided_at]
    received_ms = min(times.to_ms(moment) for moment in moments)
    return arrival.born_ms(case.transaction_id, received_ms, appended_ms)
