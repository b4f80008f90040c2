"""What of a batch goes to quarantine."""

from schemas import facts, times
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Record
from streams.batch.quarantine import quarantined
from streams.state.changes import Changes


class Refusals:
    """Puts records of quarantine into a batch's changes.

    silent: none of them, for a restore: it was done when they were read first.
    quarantined: how many. late: of how many facts it was found that they come too late.
    """

    def __init__(self, changes: Changes, partition: int, now_ms: int, *, silent: bool) -> None:
        self.quarantined = self.late = 0
        self._changes = changes
        self._partition = partition
        self._now_ms = now_ms
        self._silent = silent

    def refuse(self, record: Record, reason: Reason, detail: str) -> None:
        """The record is shown in quarantine."""
        if not self._silent:
            self.quarantined += 1
            now = times.from_ms(self._now_ms)
            self._changes.outbox.append(quarantined(record, reason, detail, now))

    def refuse_late(self, record: Record, why: str) -> None:
        """The record that came too late to correct anything is shown in quarantine."""
        self.late += 1
        self.refuse(record, Reason.TOO_LATE_TO_CORRECT, why)

    def refuse_late_fact(self, fact: AnyFact, why: str) -> None:
        """So is a fact whose record is no longer at hand: spelt anew, with no place in Kafka."""
        key = fact.transaction_id.encode()
        lost = Record(facts.TOPIC_OF[type(fact)], self._partition, -1, 0, key, facts.encode(fact))
        self.refuse_late(lost, why)
