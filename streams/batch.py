"""What a batch of records changes: facts added, cases decided, records to send. Writes nothing itself.

1. A record that is no fact goes to quarantine. So does a fact that others of its transaction may not meet:
   under another key than its transaction, or in another partition than its key's (streams.placement).
2. A fact whose receipt is known changes nothing; its transaction's cases are sent again as they stand: so a
   replay repairs what Kafka lost. The same receipt with other content goes to quarantine, with an alarm.
3. A fact beyond MAX_FACTS of one transaction goes to quarantine: what one sender makes us read is bounded.
4. A transaction that gained facts is decided whole; a case is sent where its content changed.
5. A transaction whose catalog is not there yet waits in the state; the others go on.
6. So does one that the rules fail on, which is a bug: its new facts are also shown in quarantine. It is tried
   again with all that waits, by the next release at the latest, and then decided from all its facts.
"""

import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from schemas import decisions, facts, times
from schemas.decisions import Case, Conversion, Notice
from schemas.facts import AnyFact, Click, Impression
from schemas.reasons import Reason
from service.kafka import Outgoing, Record
from streams import damage, layout
from streams.decide import CatalogMissing
from streams.layout import Bundle, Emitted, Header, Seen
from streams.quarantine import quarantined
from streams.state import Changes, Partition

MAX_FACTS: Final = 10_000  # of one transaction; deciding so many takes about 0.1 s

_NO_TIME: Final = times.from_ms(0)


class Verdict(Protocol):
    """What is asked of streams.decide.Decision."""

    @property
    def cases(self) -> Mapping[int, tuple[Conversion, ...]]: ...  # noqa: D102  see there
    @property
    def visits(self) -> Mapping[int, tuple[Click | Impression, ...]]: ...  # noqa: D102  see there
    @property
    def notices(self) -> Sequence[Notice]: ...  # noqa: D102  see there


Decide = Callable[[Sequence[AnyFact]], Verdict]
"""Pure; raises CatalogMissing where the facts name a catalog that is not there."""


class Tally(msgspec.Struct):
    """What a batch held and gave, for the metrics.

    again: facts that were known. contradicting: rule 2. undecided: transactions, rule 6.
    """

    facts: int = 0
    again: int = 0
    quarantined: int = 0
    contradicting: int = 0
    undecided: int = 0
    cases: int = 0
    conversions: int = 0
    notices: int = 0


class _Arrival(msgspec.Struct):
    record: Record
    fact: AnyFact


class Batch:
    """One batch of a partition on its way to its changes."""

    def __init__(self, state: Partition, decide: Decide, now_ms: int) -> None:
        self.changes = Changes()
        self.tally = Tally()
        self.alarms: list[str] = []  # of rule 6, a line each
        self._state = state
        self._decide = decide
        self._now = times.from_ms(now_ms)

    def absorb(self, records: Sequence[Record]) -> None:
        """The changes hold all that these records give."""
        fresh, again = self._sorted_out(self._decoded(records))
        touched = list(dict.fromkeys([*fresh, *again]))
        for transaction, header in zip(touched, self._state.headers([*map(Bundle, touched)]), strict=True):
            added = self._added(header, fresh.get(transaction, []))
            if added:
                self._settle(transaction, _grown(header, added), added, again=transaction in again)
            elif header.statements:
                self._send_again(transaction)

    def refuse(self, records: Sequence[Record], detail: str) -> None:
        """The changes hold these in quarantine."""
        for record in records:
            self._quarantine(record, Reason.MALFORMED_EVENT, detail)

    def resume(self, bundles: Sequence[Bundle]) -> None:
        """The changes hold what these bundles give, which waited for a catalog that is there now."""
        for bundle, header in zip(bundles, self._state.headers(bundles), strict=True):
            self._settle(bundle.transaction_id, header, [], again=False)

    def _decoded(self, records: Sequence[Record]) -> list[_Arrival]:
        arrivals = []
        for record in records:
            try:
                fact = facts.decode(record.topic, record.value)
            except facts.Malformed as error:
                self.refuse([record], str(error))
                continue
            if record.key == fact.transaction_id.encode():
                arrivals.append(_Arrival(record, fact))
            else:
                self.refuse([record], "its key is not its transaction_id")
        return arrivals

    def _sorted_out(self, arrivals: list[_Arrival]) -> tuple[dict[str, list[_Arrival]], set[str]]:
        """By transaction the facts that are new; and the transactions of those that were known."""
        fresh: dict[str, list[_Arrival]] = defaultdict(list)
        again: set[str] = set()
        first: dict[bytes, _Arrival] = {}
        keys = [layout.seen_key(each.record.topic, each.fact) for each in arrivals]
        for arrival, key, seen in zip(arrivals, keys, self._state.seen(keys), strict=True):
            twin = first.setdefault(key, arrival)
            if seen is None and twin is arrival:
                fresh[arrival.fact.transaction_id].append(arrival)
            elif self._contradicts(arrival, twin, seen):
                self.tally.contradicting += 1
                self._quarantine(
                    arrival.record, Reason.CONFLICTING_VALUES, "this receipt_id is known with other content"
                )
            else:
                self.tally.again += 1
                again.add(arrival.fact.transaction_id)
        return fresh, again

    def _contradicts(self, arrival: _Arrival, twin: _Arrival, seen: Seen | None) -> bool:
        if seen is None:
            return arrival.fact != twin.fact
        if seen.digest == layout.digest(arrival.record.value):
            return False
        # Other bytes may be the same fact: a rebuild, or another release of an edge, may spell it otherwise.
        stored = self._state.fact(seen.fact_key)
        return stored is None or self._fact(*stored) != arrival.fact

    def _fact(self, topic: str, value: bytes) -> AnyFact:
        """A fact out of the state, where only what decoded was put."""
        try:
            return facts.decode(topic, value)
        except facts.Malformed as error:
            raise damage.problem(self._state.path, error) from error

    def _added(self, header: Header, fresh: list[_Arrival]) -> list[_Arrival]:
        room = max(0, MAX_FACTS - header.facts)
        for arrival in fresh[room:]:
            self._quarantine(
                arrival.record,
                Reason.TOO_MANY_OBSERVATIONS,
                f"more than {MAX_FACTS} facts of one transaction",
            )
        return fresh[:room]

    def _settle(self, transaction: str, header: Header, added: list[_Arrival], *, again: bool) -> None:
        """The transaction's new facts, its header and what they decide are in the changes."""
        self.tally.facts += len(added)
        self.changes.facts += [
            layout.stored(each.record.topic, each.fact, each.record.value) for each in added
        ]
        if header.statements:
            header = self._decided(transaction, header, added, again=again)
        self.changes.headers[Bundle(transaction)] = header

    def _decided(self, transaction: str, header: Header, added: list[_Arrival], *, again: bool) -> Header:
        whole = [self._fact(*stored) for stored in self._state.facts(transaction)]
        whole += [each.fact for each in added]
        if header.awaits:
            self.changes.resumed.append((header.awaits, Bundle(transaction)))
        try:
            verdict = self._decide(whole)
        except CatalogMissing as missing:
            return self._set_aside(transaction, header, missing.version, again=again)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  rule 6: one transaction must not hold up all others
            self._alarm(transaction, header, error, added)
            return self._set_aside(transaction, header, layout.MENDED, again=again)
        version = decisions.RULES_RELEASE << 32 | header.facts
        self._send_cases(transaction, version, verdict, again=again)
        self._send_notices(transaction, version, verdict.notices, again=again)
        return msgspec.structs.replace(header, awaits=0)

    def _set_aside(self, transaction: str, header: Header, awaits: int, *, again: bool) -> Header:
        self.changes.waiting.append((awaits, Bundle(transaction)))
        if again:
            self._send_again(transaction)
        return msgspec.structs.replace(header, awaits=awaits)

    def _alarm(self, transaction: str, header: Header, error: Exception, added: list[_Arrival]) -> None:
        why = f"transaction {transaction} cannot be decided: {error!r} at {_place(error)}"
        if header.awaits != layout.MENDED:
            self.alarms.append(why)
            self.tally.undecided += 1
        for arrival in added:
            self._quarantine(arrival.record, Reason.UNDECIDED, why)

    def _send_cases(self, transaction: str, version: int, verdict: Verdict, *, again: bool) -> None:
        before = self._state.cases(Bundle(transaction))
        for goal_id in sorted(before.keys() | verdict.cases.keys()):
            case = _case(transaction, goal_id, verdict)
            content = layout.content_digest(decisions.encode(case))
            known = before.get(goal_id)
            if known is None or known.content != content:
                dated = msgspec.structs.replace(case, version=version, decided_at=self._now)
                known = Emitted(version, content, decisions.encode(dated))
                self.changes.cases[Bundle(transaction), goal_id] = known
                self.tally.conversions += len(case.conversions)
            elif not again:
                continue
            self._send_case(transaction, goal_id, known.record)

    def _send_notices(self, transaction: str, version: int, due: Sequence[Notice], *, again: bool) -> None:
        before = self._state.notices(Bundle(transaction))
        for notice in due:
            if notice.notice_id not in before:
                dated = msgspec.structs.replace(notice, version=version, decided_at=self._now)
                value = decisions.encode(dated)
                self.changes.notices[Bundle(transaction), notice.notice_id] = value
                self._send_notice(transaction, value)
        if again:
            for value in before.values():
                self._send_notice(transaction, value)

    def _send_again(self, transaction: str) -> None:
        for goal_id, known in self._state.cases(Bundle(transaction)).items():
            self._send_case(transaction, goal_id, known.record)
        for value in self._state.notices(Bundle(transaction)).values():
            self._send_notice(transaction, value)

    def _send_case(self, transaction: str, goal_id: int, record: bytes) -> None:
        self.tally.cases += 1
        key = decisions.case_key(transaction, goal_id)
        self.changes.outbox.append(Outgoing("conversions", key, record, self._state.number))

    def _send_notice(self, transaction: str, value: bytes) -> None:
        self.tally.notices += 1
        self.changes.outbox.append(Outgoing("notices", transaction.encode(), value))

    def _quarantine(self, record: Record, reason: Reason, detail: str) -> None:
        self.tally.quarantined += 1
        self.changes.outbox.append(quarantined(record, reason, detail, self._now))


def _grown(header: Header, added: list[_Arrival]) -> Header:
    statements = sum(layout.KINDS[each.record.topic] == layout.STATEMENT for each in added)
    return Header(header.facts + len(added), header.statements + statements, header.awaits)


def _case(transaction: str, goal_id: int, verdict: Verdict) -> Case:
    """The case without version and time: its content."""
    return Case(
        transaction_id=transaction,
        goal_id=goal_id,
        version=0,
        decided_at=_NO_TIME,
        conversions=verdict.cases.get(goal_id, ()),
        visits=verdict.visits.get(goal_id, ()),
    )


def _place(error: Exception) -> str:
    """Where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
