"""What a batch of records changes: facts added, cases decided, records to send. Writes nothing itself.

1. A record that is no fact goes to quarantine. So does a fact that others of its transaction may not meet:
   under another key than its transaction, or in another partition than its key's (streams.placement).
2. A fact whose receipt is known changes nothing; its bundle's cases are sent again as they stand: so a
   replay repairs what Kafka lost. The same receipt with other content goes to quarantine, with an alarm.
3. A visit too old to be kept is counted and forgotten. A statement too late to correct anything goes to
   quarantine (streams.expiry; of a person, who may buy again, streams.episodes). So does one beyond
   MAX_STATEMENTS of its bundle: what one sender makes us read is bounded.
4. A bundle that gained facts is decided whole; a case is sent where its content changed.
5. A visit that many may be credited to (streams.touching) lets those be decided anew that it may change.
6. A bundle whose catalog is not there yet waits in the state; the others go on.
7. So does one that the rules fail on, which is a bug: its new facts are also shown in quarantine. It is tried
   again with all that waits, by the next release at the latest, and then decided from all its facts.
8. A case in `conversions` that is not as we sent it last is another worker's: it is taken for what was sent,
   and its bundle is decided anew, at the next look at what waits. One with a lesser version is not taken, but
   ours is sent again behind it: of each case the last record stays when Kafka compacts.
9. While a lost state is filled again (silent) facts are kept, and nothing is decided or sent. What
   took effect then is known from `conversions`, read before. A bundle with a fact that none of its cases
   names waited then for a catalog, or its turn: it is decided at the next look.
10. A bundle is not decided while a case of it names a statement that is not here: facts were lost, or are
    yet to be read, and a case made of the rest would correct a right row into a wrong one. What comes
    meanwhile is kept; with the missing ones it is decided.
11. What partners were told of a restored bundle is what was due from the facts that its cases name.
"""

import contextlib
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from schemas import decisions, facts, times
from schemas.decisions import Case
from schemas.facts import AnyFact, Click, Impression, Statement
from schemas.reasons import Reason
from service.kafka import Record
from streams import arrival, damage, expiry, layout, persons, touching
from streams.arrival import Arrival
from streams.changes import Changes
from streams.decide import CatalogMissing
from streams.expiry import Clock
from streams.layout import Bundle, Emitted, Header, Position
from streams.quarantine import quarantined
from streams.reading import Carried, Reading, carried, may_count, named
from streams.sending import CaseKey, Place, Sending, Verdict, case_key_of, content_of
from streams.state import Partition

MAX_STATEMENTS: Final = 10_000  # of one bundle; deciding so many takes about 0.1 s

Decide = Callable[[Sequence[AnyFact]], Verdict]
"""Pure; raises CatalogMissing where the facts name a catalog that is not there."""


class Tally(msgspec.Struct):
    """What a batch held and gave, for the metrics.

    again: facts that were known. contradicting: rule 2. expired, late: visits and statements, rule 3.
    undecided: bundles, rule 7. foreign: cases, rule 8. lacking: bundles, rule 10.
    """

    facts: int = 0
    again: int = 0
    quarantined: int = 0
    contradicting: int = 0
    expired: int = 0
    late: int = 0
    undecided: int = 0
    foreign: int = 0
    lacking: int = 0
    cases: int = 0
    conversions: int = 0
    notices: int = 0


class _Sent(NamedTuple):
    """What was sent of a bundle: by place and goal its cases, by notice_id its notices."""

    cases: Mapping[Place, Emitted]
    notices: Mapping[str, bytes]


class Batch:
    """One batch of a partition on its way to its changes.

    time_ms: the partition's time, by which facts are too old. silent: rule 9.
    """

    def __init__(
        self, state: Partition, decide: Decide, now_ms: int, time_ms: int = 0, *, silent: bool = False
    ) -> None:
        self.changes = Changes()
        self.alarms: list[str] = []  # of rule 7, a line each
        self.lacking = ""  # of rule 10, the first one
        self._tally = Tally()
        self._state = state
        self._decide = decide
        self._now_ms = now_ms
        self._time_ms = time_ms
        self._silent = silent
        self._fact = partial(_fact, state.path)
        self._reading = Reading(state, self._fact)
        self._sending = Sending(self.changes, state.number, now_ms)
        self._clocks: dict[str, Clock] = defaultdict(Clock)
        self._taken: dict[Bundle, dict[Place, Emitted]] = defaultdict(dict)

    @property
    def tally(self) -> Tally:
        """What it held and gave."""
        sent = self._sending
        return msgspec.structs.replace(
            self._tally, cases=sent.cases, conversions=sent.conversions, notices=sent.notices
        )

    def absorb(self, records: Sequence[Record]) -> None:
        """The changes hold all that these records of facts give."""
        arrivals = arrival.decoded(records, self._refuse)
        for each in arrivals:
            self._clocks[each.record.topic].tell(each.fact.received_at, each.record.timestamp_ms)
        found = arrival.sorted_out(arrivals, self._state, self._fact, self._refuse)
        self._tally.again += len(found.again)
        self._tally.contradicting += found.contradicting
        visits, gained, shared = self._by_bundle(found.fresh)
        self._keep_unspoken(visits, gained)
        again = {each.bundle for each in found.again}
        headers = self._headers([*gained, *again])
        touched = self._touched(shared)
        headers |= self._headers([bundle for bundle in touched if bundle not in headers])
        for bundle, header in headers.items():
            if bundle in gained or bundle in touched:
                self._settle(bundle, header, gained.get(bundle, []), again=bundle in again)
            elif header.statements:
                self._send_again(bundle)

    def take_cases(self, records: Sequence[Record]) -> None:
        """The changes hold what these records of `conversions` tell that is not known: rule 8."""
        read = [(record, key) for record in records if (key := self._case_key(record))]
        places = [(layout.place_of(key.transaction_id, key.number), key.goal_id) for _, key in read]
        before = dict(zip(places, self._state.emitted(places), strict=True))
        for (record, key), place in zip(read, places, strict=True):
            known = self.changes.cases.get(place) or before[place]
            if known is None or known.record != record.value:
                self._take_case(layout.bundle_of(key.transaction_id, key.number), place, known, record)

    def resume(self, bundles: Sequence[Bundle]) -> None:
        """The changes hold what these bundles give, which waited for their turn or a catalog."""
        for bundle, header in self._headers(bundles).items():
            self.changes.resumed.append((layout.DUE, bundle))
            if header.statements:
                self._settle(bundle, header, [], again=False)

    def refuse(self, records: Sequence[Record], reason: Reason, detail: str) -> None:
        """The changes hold these in quarantine."""
        for record in records:
            self._refuse(record, reason, detail)

    def move(self, positions: Mapping[str, Position]) -> None:
        """The changes hold these positions, with the clocks of their topics as the batch moved them on."""
        for topic, position in positions.items():
            known = self._state.positions.get(topic)
            clock_ms = max(self._clocks[topic].ms, known.clock_ms if known else 0)
            stays = known and (known.log, known.offset) == (position.log, position.offset)
            last = known.last if known and stays else position.last
            self.changes.positions[topic] = msgspec.structs.replace(position, clock_ms=clock_ms, last=last)

    # What is new

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
            elif layout.is_shared(visit.transaction_id):
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
            self._reading.add_visits(transaction_id, visits)
            self._keep(arrivals)
            found = touching.bundles(self._state, transaction_id, visits)
            if len(found) > touching.AT_ONCE or self._silent:
                self.changes.waiting += [(layout.DUE, bundle) for bundle in found]
            else:
                now |= dict.fromkeys(found)
        return now

    def _settle(self, bundle: Bundle, header: Header, gained: list[Arrival], *, again: bool) -> None:
        """The bundle's new facts, its header and what they decide are in the changes."""
        born_ms, kept = self._timely(bundle, header, gained)
        statements = [each for each in kept if each.statement]
        self._keep(kept)
        if not header.statements and not statements:
            return
        known = bool(header.born_ms)  # else nothing was stated of it before, nor sent
        is_shared = layout.is_shared(bundle.transaction_id)
        stored = self._reading.stored(bundle) if known or not is_shared else []
        counted = header.facts if header.statements else max(header.facts, len(stored))
        grown = Header(
            counted + len(kept), header.statements + len(statements), header.awaits, born_ms, header.told
        )
        self._index(bundle, header, grown, statements)
        if self._silent:
            grown = msgspec.structs.replace(grown, told=header.told or layout.RESTORED)
            whole = [*stored, *(each.fact for each in kept)]
            # A click that waited for its catalog when the state was lost is in no case yet.
            visits = self._reading.candidates(whole) if is_shared else []
            self._look_for_unnamed(bundle, [*whole, *visits])
        else:
            sent = self._sent(bundle) if known else _Sent({}, {})
            if layout.is_persons(bundle.transaction_id):
                sent, stored = self._without_what_is_over(sent, stored)
            grown = self._decided(bundle, grown, stored, kept, sent, again=again)
            self._show_late(header, grown, stored)
        self.changes.headers[bundle] = grown

    def _timely(self, bundle: Bundle, header: Header, gained: list[Arrival]) -> tuple[int, list[Arrival]]:
        """When the bundle was born, and what of its gain is in time and within bounds: rule 3."""
        by_person = layout.is_persons(bundle.transaction_id)
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
                self._tally.late += 1
                self._refuse(each.record, Reason.TOO_LATE_TO_CORRECT, why)
            elif room > 0:
                room -= 1
                kept.append(each)
            else:
                why = f"more than {MAX_STATEMENTS} statements about one conversion"
                self._refuse(each.record, Reason.TOO_MANY_OBSERVATIONS, why)
        return born_ms, kept

    def _orders(self, gained: Iterable[Arrival]) -> dict[str, int]:
        """By number, when orders of a person began of which only that is remembered."""
        orders = {
            layout.order_memory(each.fact.transaction_id, number): number
            for each in gained
            if (number := _order(each))
        }
        return {orders[memory]: header.born_ms for memory, header in self._headers([*orders]).items()}

    def _too_late(self, born_ms: int, each: Arrival) -> str:
        return expiry.too_late(each.received_ms, born_ms or each.born_ms, self._time_ms)

    def _keep(self, arrivals: Sequence[Arrival]) -> None:
        self._tally.facts += len(arrivals)
        self.changes.facts += [each.stored for each in arrivals]

    def _index(self, bundle: Bundle, before: Header, now: Header, statements: Sequence[Arrival]) -> None:
        """The bundle is found by when it was born, and under a shared identifier by when it was spoken of."""
        if now.born_ms != before.born_ms:
            self.changes.unborn += [(before.born_ms, bundle)] if before.born_ms else []
            self.changes.births.append((now.born_ms, bundle))
        if layout.is_shared(bundle.transaction_id):
            spoken = {times.to_ms(each.fact.occurred_at) for each in statements}
            self.changes.times += [(occurred_ms, bundle) for occurred_ms in spoken]

    # Deciding

    def _decided(
        self,
        bundle: Bundle,
        header: Header,
        stored: list[AnyFact],
        kept: list[Arrival],
        sent: "_Sent",
        *,
        again: bool,
    ) -> Header:
        if header.awaits:
            self.changes.resumed.append((header.awaits, bundle))
        known = [*stored, *(each.fact for each in kept)]
        told = carried(sent.cases.values(), self._state.path)
        if lost := self._lost(header, known, told):
            self._tally.lacking += 1
            self.lacking = self.lacking or f"transaction {bundle.transaction_id}, statement {lost}"
            return self._set_aside(bundle, header, layout.LACKING, again=again)
        whole = self._whole(bundle, header, known, told.visits)
        try:
            verdict = self._decide(whole)
            if header.told == layout.RESTORED:
                sent = self._told_before(bundle, header, stored, told, sent)
        except CatalogMissing as missing:
            return self._set_aside(bundle, header, missing.version, again=again)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  rule 7: a bug may raise anything; alarm, and quarantine
            self._alarm(bundle, header, error, kept)
            return self._set_aside(bundle, header, layout.MENDED, again=again)
        if verdict.late:
            self._tell_late(verdict.late, whole, kept, every=bool(header.awaits))
        version = self._sending.decided(bundle, _number(whole), header.facts, verdict, sent.cases)
        self._sending.told(bundle, version, verdict.notices, sent.notices)
        if again:
            same = {place: case for place, case in sent.cases.items() if place not in self.changes.cases}
            self._sending.again(bundle, same, sent.notices)
        return msgspec.structs.replace(header, awaits=0, told=layout.ALL_TOLD)

    def _lost(self, header: Header, known: Iterable[AnyFact], told: Carried) -> str:
        """A statement that a case names and that is not here, if there is one: rule 10."""
        if header.statements >= MAX_STATEMENTS:
            return ""  # of so many which are kept rests on the order in which they came
        return min(told.receipts - {fact.receipt_id for fact in known}, default="")

    def _told_before(
        self, bundle: Bundle, header: Header, stored: Iterable[AnyFact], told: Carried, sent: "_Sent"
    ) -> "_Sent":
        """What was sent, with the notices that went with the cases as another sent them: rule 11.

        What no case names waited when the state was lost. Nobody was told of it.
        """
        stated = [fact for fact in stored if fact.receipt_id in told.receipts and not _late_by(header, fact)]
        visits = [visit for visit in told.visits if self._was_there(visit)]
        due = self._decide([*stated, *visits]).notices if stated else ()
        newest = max((case.version for case in sent.cases.values()), default=0)
        return _Sent(sent.cases, self._sending.known(bundle, newest, due, sent.notices))

    def _was_there(self, visit: Click | Impression) -> bool:
        """Whether a visit came with the restored facts, or is too old to have come with them."""
        topic = _TOPICS[type(visit)]
        too_old = times.to_ms(visit.received_at) < self._now_ms - expiry.KEPT_MS[topic]
        return too_old or self._state.seen([layout.seen_key(topic, visit)])[0] is not None

    def _whole(
        self, bundle: Bundle, header: Header, known: list[AnyFact], carried: Iterable[AnyFact]
    ) -> list[AnyFact]:
        """All that the decision reads (streams.reading), without what is too late beside an earlier one."""
        timely = [fact for fact in known if not _late_by(header, fact)]
        if layout.is_shared(bundle.transaction_id):
            timely += self._reading.candidates(timely)
        timely = [fact for fact in timely if may_count(fact, header.born_ms)]
        known_here = {fact.receipt_id for fact in timely}  # and as it was received: no case says it better
        return timely + [visit for visit in carried if visit.receipt_id not in known_here]

    def _set_aside(self, bundle: Bundle, header: Header, awaits: int, *, again: bool) -> Header:
        self.changes.waiting.append((awaits, bundle))
        if again:
            self._send_again(bundle)
        return msgspec.structs.replace(header, awaits=awaits)

    def _alarm(self, bundle: Bundle, header: Header, error: Exception, added: list[Arrival]) -> None:
        why = f"transaction {bundle.transaction_id} cannot be decided: {error!r} at {_place(error)}"
        if header.awaits != layout.MENDED:
            self.alarms.append(why)
            self._tally.undecided += 1
        for each in added:
            self._refuse(each.record, Reason.UNDECIDED, why)

    def _show_late(self, before: Header, now: Header, stored: Iterable[AnyFact]) -> None:
        """What an earlier statement that came after it made too late is in quarantine."""
        if before.born_ms in (0, now.born_ms):
            return
        for fact in stored:
            why = _late_by(now, fact)
            if why and not _late_by(before, fact):
                self._refuse_late(fact, why)

    def _tell_late(
        self, late: Mapping[str, str], whole: Sequence[AnyFact], kept: Sequence[Arrival], *, every: bool
    ) -> None:
        """What the rules find too late, and did not before, is in quarantine. every: nobody looked before."""
        new = {each.fact.receipt_id for each in kept}
        told: Mapping[str, str] = {}
        if not every:
            with contextlib.suppress(CatalogMissing):  # then nothing was told before
                told = self._decide([fact for fact in whole if fact.receipt_id not in new]).late
        for fact in whole:
            if fact.receipt_id in late.keys() - told.keys():
                self._refuse_late(fact, late[fact.receipt_id])

    def _refuse_late(self, fact: AnyFact, why: str) -> None:
        self._tally.late += 1
        key = fact.transaction_id.encode()
        lost = Record(_TOPICS[type(fact)], self._state.number, -1, 0, key, facts.encode(fact))
        self._refuse(lost, Reason.TOO_LATE_TO_CORRECT, why)

    def _without_what_is_over(self, sent: "_Sent", stored: list[AnyFact]) -> tuple["_Sent", list[AnyFact]]:
        """Of a person's cases those that may change; the others stand, with all that they were made of."""
        over = persons.over(sent.cases, self._state.path, self._time_ms)
        if not over:
            return sent, stored
        gone = persons.receipts(over.values())
        live = {place: case for place, case in sent.cases.items() if place not in over}
        return _Sent(live, sent.notices), [fact for fact in stored if fact.receipt_id not in gone]

    def _send_again(self, bundle: Bundle) -> None:
        if not self._silent:
            self._sending.again(bundle, *self._sent(bundle))

    # What others sent

    def _case_key(self, record: Record) -> CaseKey | None:
        try:
            key = case_key_of(record.value)
        except msgspec.DecodeError as error:
            self._refuse(record, Reason.MALFORMED_EVENT, str(error))
            return None
        if record.key == decisions.case_key(key.transaction_id, key.goal_id, key.number):
            return key
        self._refuse(record, Reason.MALFORMED_EVENT, "its key is not its case's")
        return None

    def _take_case(self, bundle: Bundle, place: Place, known: Emitted | None, record: Record) -> None:
        try:
            case = decisions.decode("conversions", record.value)
            assert isinstance(case, Case)  # noqa: S101  what this topic's decoder makes
            born_ms = _born_ms(case, record.timestamp_ms)
        except (msgspec.DecodeError, ValueError) as error:
            self._refuse(record, Reason.MALFORMED_EVENT, str(error))
            return
        taken = Emitted(case.version, content_of(case), record.value)
        if known and taken.version < known.version:
            self._send_behind(bundle, place, known, record)
            return
        if known and (taken.version, taken.content) == (known.version, known.content):
            return
        self._tally.foreign += 1
        self.changes.cases[place] = self._taken[bundle][place] = taken
        header = self._headers([bundle])[bundle]
        if header.statements:
            if self._silent:
                self._look_for_unnamed(bundle, self._reading.stored(bundle))
            else:
                self.changes.waiting.append((layout.DUE, bundle))
        elif not header.born_ms:
            remembered = msgspec.structs.replace(header, born_ms=born_ms)
            self._index(bundle, header, remembered, [])
            self.changes.headers[bundle] = remembered

    def _send_behind(self, bundle: Bundle, place: Place, known: Emitted, record: Record) -> None:
        """What is known is sent again, where a lesser version came to lie behind it: rule 8.

        Of a worker's own records each is in Kafka before the next is decided.
        """
        if self._silent:
            undone = Emitted(known.version, b"", known.record)
            self.changes.cases[place] = self._taken[bundle][place] = undone
            self.changes.waiting.append((layout.DUE, bundle))
        elif record.timestamp_ms > times.to_ms(_case(self._state.path, known).decided_at):
            self._tally.foreign += 1
            self._sending.again(bundle, {place: known}, {})

    def _look_for_unnamed(self, bundle: Bundle, known: Iterable[AnyFact]) -> None:
        there = named(self._cases(bundle).values(), self._state.path)
        if any(fact.receipt_id not in there for fact in known):
            self.changes.waiting.append((layout.DUE, bundle))

    # What is known, with what this batch already changed

    def _headers(self, bundles: Sequence[Bundle]) -> dict[Bundle, Header]:
        known = dict(zip(bundles, self._state.headers(bundles), strict=True))
        return {bundle: self.changes.headers.get(bundle, header) for bundle, header in known.items()}

    def _sent(self, bundle: Bundle) -> "_Sent":
        return _Sent(self._cases(bundle), self._state.notices(bundle))

    def _cases(self, bundle: Bundle) -> dict[Place, Emitted]:
        return self._state.cases(bundle) | self._taken.get(bundle, {})

    def _refuse(self, record: Record, reason: Reason, detail: str) -> None:
        if not self._silent:
            self._tally.quarantined += 1
            now = times.from_ms(self._now_ms)
            self.changes.outbox.append(quarantined(record, reason, detail, now))


_TOPICS: Final = {kind: topic for topic, kind in facts.TYPES.items()}


def _fact(path: Path, topic: str, value: bytes) -> AnyFact:
    """A fact out of the state, where only what decoded was put."""
    try:
        return facts.decode(topic, value)
    except facts.Malformed as error:
        raise damage.problem(path, error) from error


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


def _late_by(header: Header, fact: AnyFact) -> str:
    """Why a known statement is too late beside the bundle's first one; empty where it is not."""
    if not isinstance(fact, Statement) or not header.born_ms or layout.is_persons(fact.transaction_id):
        return ""
    return expiry.too_late(times.to_ms(fact.received_at), header.born_ms, header.born_ms)


def _number(whole: Iterable[AnyFact]) -> str:
    """What tells the bundle's cases from others of the transaction and goal."""
    return next((layout.case_number(fact) for fact in whole if isinstance(fact, Statement)), "")


def _order(each: Arrival) -> str:
    """The order number that it states, if it states one."""
    return each.statement.conversion_unique_id if each.statement else ""


def _place(error: Exception) -> str:
    """Where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
