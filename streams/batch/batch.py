"""What a batch of records changes: facts added, cases decided, records to send. Writes nothing itself.

1. A record that is no fact goes to quarantine. So does a fact that others of its transaction may not meet:
   under another key than its transaction, or in another partition than its key's (placement.py).
2. A fact whose receipt is known changes nothing; its bundle's cases are sent again as they stand: so a
   replay repairs what Kafka lost. The same receipt with other content goes to quarantine, with an alarm.
   (arrival.py)
3. A visit too old to be kept is counted and forgotten. A statement too late to correct anything goes to
   quarantine (lateness.py; of a person, who may buy again, rules/episodes.py). So does one beyond
   MAX_STATEMENTS of its bundle: what one sender makes us read is bounded.
4. A bundle that gained facts is decided whole (attempt.py); a case is sent where its content changed
   (sending.py).
5. A visit that many may be credited to lets those be decided anew that it may change (touching.py).
6. A bundle whose catalog is not there yet waits in the state; the others go on.
7. So does one that the rules fail on, which is a bug: its new facts are also shown in quarantine. It is tried
   again with all that waits, by the next release at the latest, and then decided from all its facts.
8. A case in `conversions` that is not as we sent it last is another worker's: it is taken for what was sent,
   and its bundle is decided anew, at the next look at what waits (foreign.py).
9. While a lost state is filled again (silent) facts are kept, and nothing is decided or sent. What
   took effect then is known from `conversions`, read before. A bundle with a fact that none of its cases
   names waited then for a catalog, or its turn: it is decided at the next look.
10. A bundle is not decided while a case of it names a statement that is not here: facts were lost, or are
    yet to be read, and a case made of the rest would correct a right row into a wrong one. What comes
    meanwhile is kept; with the missing ones it is decided.
11. What partners were told of a restored bundle is what was due from the facts that its cases name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from schemas import times
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Record
from streams import expiry
from streams.batch import arrival, persons, touching
from streams.batch.arrival import Arrival
from streams.batch.attempt import Attempts, Decide
from streams.batch.foreign import Foreign
from streams.batch.known import Known, Sent
from streams.batch.lateness import Lateness
from streams.batch.refusals import Refusals
from streams.batch.sending import Sending
from streams.batch.tally import Tally
from streams.expiry import Clock
from streams.state import layout
from streams.state.bundles import Bundle, is_persons, is_shared
from streams.state.changes import Changes
from streams.state.layout import Header, Position
from streams.state.partition import Partition


class Batch:
    """One batch of a partition on its way to its changes.

    time_ms: the partition's time, by which facts are too old. silent: rule 9.
    """

    def __init__(
        self, state: Partition, decide: Decide, now_ms: int, time_ms: int = 0, *, silent: bool = False
    ) -> None:
        self.changes = Changes()
        self._tally = Tally()
        self._state = state
        self._time_ms = time_ms
        self._silent = silent
        self._clocks: dict[str, Clock] = defaultdict(Clock)
        self._known = Known(state, self.changes)
        self._sending = Sending(self.changes, state.number, now_ms)
        self._refusals = Refusals(self.changes, state.number, now_ms, silent=silent)
        self._lateness = Lateness(self._known, self._refusals, time_ms)
        self._attempts = Attempts(decide, self._known, self._sending, self._refusals, now_ms)
        self._foreign = Foreign(self._known, self._sending, self._refusals, silent=silent)
        self.alarms = self._attempts.alarms  # of rule 7, a line each
        self.lacking = self._attempts.lacking  # of rule 10, what each bundle lacks

    @property
    def tally(self) -> Tally:
        """What it held and gave."""
        sent, refused = self._sending, self._refusals
        return msgspec.structs.replace(
            self._tally,
            quarantined=refused.quarantined,
            late=refused.late,
            undecided=len(self.alarms),
            lacking=len(self.lacking),
            foreign=self._foreign.count,
            cases=sent.cases,
            conversions=sent.conversions,
            notices=sent.notices,
        )

    def absorb(self, records: Sequence[Record]) -> None:
        """The changes hold all that these records of facts give."""
        arrivals = arrival.decoded(records, self._refusals.refuse)
        self._tell_clocks(arrivals)
        found = arrival.sorted_out(arrivals, self._state, self._known.fact, self._refusals.refuse)
        self._tally.again += len(found.again)
        self._tally.contradicting += found.contradicting
        visits, gained, shared = self._by_bundle(found.fresh)
        self._keep_unspoken(visits, gained)
        again = {each.bundle for each in found.again}
        headers = self._known.headers([*gained, *again])
        touched = self._touched(shared)
        headers |= self._known.headers([bundle for bundle in touched if bundle not in headers])
        for bundle, header in headers.items():
            if bundle in gained or bundle in touched:
                self._settle(bundle, header, gained.get(bundle, []), again=bundle in again)
            elif header.statements:
                self._send_again(bundle)

    def take_cases(self, records: Sequence[Record]) -> None:
        """The changes hold what these records of `conversions` tell that is not known: rule 8."""
        self._foreign.take(records)

    def resume(self, bundles: Sequence[Bundle]) -> None:
        """The changes hold what these bundles give, which waited for their turn or a catalog."""
        for bundle, header in self._known.headers(bundles).items():
            self.changes.resumed.append((layout.DUE, bundle))
            if header.statements:
                self._settle(bundle, header, [], again=False)

    def refuse(self, records: Sequence[Record], reason: Reason, detail: str) -> None:
        """The changes hold these in quarantine."""
        for record in records:
            self._refusals.refuse(record, reason, detail)

    def move(self, positions: Mapping[str, Position]) -> None:
        """The changes hold these positions, with the clocks of their topics as the batch moved them on."""
        for topic, position in positions.items():
            known = self._state.positions.get(topic)
            clock_ms = max(self._clocks[topic].ms, known.clock_ms if known else 0)
            stays = known and (known.log, known.offset) == (position.log, position.offset)
            last = known.last if known and stays else position.last
            self.changes.positions[topic] = msgspec.structs.replace(position, clock_ms=clock_ms, last=last)

    def _tell_clocks(self, arrivals: Iterable[Arrival]) -> None:
        """Of what the broker dated alike the latest: one by one they would take a twelfth of a batch."""
        told: dict[tuple[str, int], list[str]] = defaultdict(list)
        for each in arrivals:
            told[each.record.topic, each.record.timestamp_ms].append(each.fact.received_at)
        for (topic, appended_ms), received in told.items():
            self._clocks[topic].tell(max(received), appended_ms)

    def _by_bundle(
        self, fresh: Iterable[Arrival]
    ) -> tuple[dict[Bundle, list[Arrival]], dict[Bundle, list[Arrival]], dict[str, list[Arrival]]]:
        """Visits and statements of bundles; visits under shared identifiers, which are no bundle's yet."""
        visits: dict[Bundle, list[Arrival]] = defaultdict(list)
        stated: dict[Bundle, list[Arrival]] = defaultdict(list)
        shared: dict[str, list[Arrival]] = defaultdict(list)
        oldest_ms = {
            topic: expiry.oldest_kept_ms(topic, self._time_ms) for topic in ("clicks", "impressions")
        }
        for each in fresh:
            visit = each.visit
            if visit is None:
                stated[each.bundle].append(each)
            elif self._time_ms and each.received_ms < oldest_ms[each.record.topic]:
                self._tally.expired += 1
            elif is_shared(visit.transaction_id):
                shared[visit.transaction_id].append(each)
            else:
                visits[Bundle(visit.transaction_id)].append(each)
        return visits, stated, shared

    def _keep_unspoken(
        self, visits: Mapping[Bundle, list[Arrival]], gained: dict[Bundle, list[Arrival]]
    ) -> None:
        """Visits of which nothing was stated are kept; there is nothing to decide, and no header.

        The others are what their bundles gain. Most are of the first kind, and come through here together.
        """
        unspoken: list[Arrival] = []
        for (bundle, arrivals), header in zip(visits.items(), self._state.headers(list(visits)), strict=True):
            if header.statements or bundle in gained or bundle in self.changes.headers:
                gained[bundle] += arrivals
            else:
                unspoken += arrivals
        self._keep(unspoken)

    def _touched(self, shared: Mapping[str, list[Arrival]]) -> dict[Bundle, None]:
        """The new visits of shared identifiers are kept; what they may change is decided now, or is due."""
        now: dict[Bundle, None] = {}
        for transaction_id, arrivals in shared.items():
            visits = [each.visit for each in arrivals if each.visit]
            self._known.reading.add_visits(transaction_id, visits)
            self._keep(arrivals)
            found = touching.bundles(self._state, transaction_id, visits)
            if len(found) > touching.AT_ONCE or self._silent:
                self.changes.waiting += [(layout.DUE, bundle) for bundle in found]
            else:
                now |= dict.fromkeys(found)
        return now

    def _settle(self, bundle: Bundle, header: Header, gained: list[Arrival], *, again: bool) -> None:
        """The bundle's new facts, its header and what they decide are in the changes."""
        born_ms, kept = self._lateness.timely(bundle, header, gained)
        statements = [each for each in kept if each.statement]
        self._keep(kept)
        if not header.statements and not statements:
            return
        known = bool(header.born_ms)  # else nothing was stated of it before, nor sent
        stored = self._known.reading.stored(bundle) if known or not is_shared(bundle.transaction_id) else []
        counted = header.facts if header.statements else max(header.facts, len(stored))
        grown = Header(
            counted + len(kept), header.statements + len(statements), header.awaits, born_ms, header.told
        )
        self._index(bundle, header, grown, statements)
        if self._silent:
            grown = self._restored(bundle, grown, [*stored, *(each.fact for each in kept)])
        else:
            sent = self._known.sent(bundle) if known else Sent({}, {})
            if is_persons(bundle.transaction_id) and not header.awaits:
                sent, stored = persons.live(sent, stored, self._state.path, self._time_ms)
            grown = self._attempts.decided(bundle, grown, stored, kept, sent, again=again)
            self._lateness.show(header, grown, stored)
        self.changes.headers[bundle] = grown

    def _restored(self, bundle: Bundle, header: Header, known: list[AnyFact]) -> Header:
        """Where a case has yet to name one of the bundle's facts, it is due: rule 9."""
        # Also a click may have waited for its catalog when the state was lost.
        visits = self._known.reading.candidates(known) if is_shared(bundle.transaction_id) else []
        if self._known.leaves_out(bundle, [*known, *visits]):
            self.changes.waiting.append((layout.DUE, bundle))
        told = layout.RESTORED if header.told in (layout.ALL_TOLD, layout.SINCE) else header.told
        return msgspec.structs.replace(header, told=told)

    def _keep(self, arrivals: Sequence[Arrival]) -> None:
        self._tally.facts += len(arrivals)
        self.changes.facts += [each.stored for each in arrivals]

    def _index(self, bundle: Bundle, before: Header, now: Header, statements: Sequence[Arrival]) -> None:
        """The bundle is found by when it was born, and under a shared identifier by when it was spoken of."""
        self.changes.note_birth(bundle, before, now)
        if is_shared(bundle.transaction_id):
            spoken = {times.to_ms(each.fact.occurred_at) for each in statements}
            self.changes.times += [(occurred_ms, bundle) for occurred_ms in spoken]

    def _send_again(self, bundle: Bundle) -> None:
        if not self._silent:
            self._sending.again(bundle, *self._known.sent(bundle))
