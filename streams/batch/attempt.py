"""An attempt to decide a bundle: its cases are to be sent, or it is set aside until it can be decided.

It waits for a catalog, for rules that do not fail on it, or for facts that were lost: rules 6, 7, 10 and 11
of streams.batch.batch.
"""

import contextlib
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from schemas import facts, times
from schemas.facts import AnyFact, Click, Impression, Statement
from schemas.reasons import Reason
from streams import expiry
from streams.batch import lateness, renamed, reversals
from streams.batch.arrival import Arrival
from streams.batch.known import Known, Sent
from streams.batch.reading import Carried, Reading, carried
from streams.batch.refusals import Refusals
from streams.batch.renamed import Renames
from streams.batch.sending import Sending, Verdict
from streams.rules.decide import CatalogMissing
from streams.state import layout
from streams.state.bundles import Bundle, case_number, is_shared
from streams.state.layout import Header

Decide = Callable[[Sequence[AnyFact]], Verdict]
"""Pure; raises CatalogMissing where the facts name a catalog that is not there."""


class Attempts:
    """Those of one batch.

    alarms: of each bundle that the rules fail on, a line where it is new.
    lacking: of each bundle that lacks facts, which.
    """

    def __init__(
        self, decide: Decide, known: Known, sending: Sending, refusals: Refusals, now_ms: int
    ) -> None:
        self.alarms: list[str] = []
        self.lacking: list[str] = []
        self._decide = decide
        self._known = known
        self._changes = known.changes
        self._sending = sending
        self._refusals = refusals
        self._now_ms = now_ms

    def decided(
        self,
        bundle: Bundle,
        header: Header,
        stored: list[AnyFact],
        kept: list[Arrival],
        sent: Sent,
        *,
        again: bool,
    ) -> Header:
        """The changes hold what the bundle's facts, stored and new, give; its header says what it awaits.

        again: a known fact came again; so all that was sent of the bundle is sent again.
        """
        if header.awaits:
            self._changes.resumed.append((header.awaits, bundle))
        known = [*stored, *(each.fact for each in kept)]
        told = carried(sent.cases.values(), self._known.state.path)
        earlier: Verdict | None = None
        whole = self._whole(bundle, header, known, told.visits)
        if lost := _lost(header, known, told):
            self.lacking.append(f"transaction {bundle.transaction_id}, statement {lost}")
            return self._set_aside(bundle, header, layout.LACKING, whole, again=again)
        try:
            verdict = self._decide(whole)
            if header.told == layout.RESTORED:
                earlier = self._decided_before(header, stored, known, told)
                sent = self._told_before(bundle, header, stored, known, told, sent)
            renames = renamed.told(verdict.cases, sent.cases, sent.notices, self._known.state.path)
            found = reversals.formers(
                told.conversions, earlier, verdict, sent.cases, whole, self._known.state.path
            )
            back = reversals.look_back(
                found, verdict, sent.notices, renames.inherited, doubtful=header.told != layout.ALL_TOLD
            )
        except CatalogMissing as missing:
            return self._set_aside(bundle, header, missing.version, whole, again=again)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  a bug may raise anything; alarm, and quarantine
            self._alarm(bundle, header, error, kept)
            return self._set_aside(bundle, header, layout.MENDED, whole, again=again)
        if verdict.late:
            self._tell_late(verdict.late, whole, kept, every=bool(header.awaits))
        version = self._sending.decided(bundle, _number(whole), header.facts, verdict, sent.cases)
        newest = max((case.version for case in sent.cases.values()), default=0)
        perhaps = back.perhaps + reversals.come_back(told.conversions, newest, verdict.notices, sent.notices)
        due = [*back.reversals, *verdict.notices]
        so_far = self._told_in_all(bundle, sent, renames)
        for name in renamed.come_apart(verdict.cases, told.conversions, so_far):
            del so_far[name]
            self._changes.notices.pop((bundle, name), None)
            self._changes.dropped.append(("notices", layout.notice_key(bundle, name)))
        self._sending.told(bundle, version, due, so_far, perhaps)
        if again:
            same = {place: case for place, case in sent.cases.items() if place not in self._changes.cases}
            self._sending.again(bundle, same, sent.notices)
        told_now = layout.SINCE if header.told else layout.ALL_TOLD
        return msgspec.structs.replace(header, awaits=0, told=told_now)

    def _whole(
        self, bundle: Bundle, header: Header, known: list[AnyFact], carried: Iterable[AnyFact]
    ) -> list[AnyFact]:
        """All that the decision reads (batch.reading), without what is too late beside an earlier one."""
        timely = [fact for fact in known if not lateness.late_by(header, fact)]
        if is_shared(bundle.transaction_id):
            timely += self._known.reading.candidates(timely)
        timely = [fact for fact in timely if not lateness.outlived(header, fact)]
        known_here = {fact.receipt_id for fact in timely}  # and as it was received: no case says it better
        return timely + [visit for visit in carried if visit.receipt_id not in known_here]

    def _decided_before(
        self, header: Header, stored: Sequence[AnyFact], known: Sequence[AnyFact], told: Carried
    ) -> Verdict | None:
        """What the cases may have been before they named facts that only come back now; None where none do.

        Who was told of that then may not have been told of the change: its notice comes after the case.
        """
        there = {fact.receipt_id for fact in stored}
        comes = [fact for fact in known if fact.receipt_id not in there]
        visits = [visit for visit in told.visits if self._was_there(visit)]
        if len(visits) == len(told.visits) and told.receipts.isdisjoint(one.receipt_id for one in comes):
            return None
        before = [fact for fact in stored if not lateness.late_by(header, fact)]
        if before and is_shared(before[0].transaction_id):
            before += Reading(self._known.state, self._known.fact).candidates(before)  # without this batch's
        known_here = {fact.receipt_id for fact in before}
        before += [visit for visit in visits if visit.receipt_id not in known_here]
        with contextlib.suppress(CatalogMissing):  # then nobody was told
            counting = [fact for fact in before if not lateness.outlived(header, fact)]
            return self._decide(counting) if counting else None
        return None

    def _told_in_all(self, bundle: Bundle, sent: Sent, renames: Renames) -> dict[str, bytes]:
        """What partners were told, also of conversions that have another ID now; which is kept."""
        new = {name: value for name, value in renames.told.items() if name not in sent.notices}
        self._changes.notices |= {(bundle, name): value for name, value in new.items()}
        return {**sent.notices, **new}

    def _told_before(
        self,
        bundle: Bundle,
        header: Header,
        stored: Sequence[AnyFact],
        known: Sequence[AnyFact],
        told: Carried,
        sent: Sent,
    ) -> Sent:
        """What was sent, with the notices that went with the cases as another sent them.

        What no case names waited when the state was lost: nobody was told of it. Where a statement of a case
        only comes back now, nobody knows in which order partners were told: told is what was due
        with it and without it. What was told and does not count as told is told again under the same name.
        """
        visits = [visit for visit in told.visits if self._was_there(visit)]
        before, after = (
            [fact for fact in some if fact.receipt_id in told.receipts and not lateness.late_by(header, fact)]
            for some in (stored, known)
        )
        due = self._decide([*before, *visits]).notices if before else ()
        if len(after) > len(before):
            still = {notice.notice_id for notice in self._decide([*after, *visits]).notices}
            due = [notice for notice in due if notice.notice_id in still]
        newest = max((case.version for case in sent.cases.values()), default=0)
        return Sent(sent.cases, self._sending.known(bundle, newest, due, sent.notices))

    def _was_there(self, visit: Click | Impression) -> bool:
        """Whether a visit came with the restored facts, or is too old to have come with them."""
        topic = facts.TOPIC_OF[type(visit)]
        too_old = times.to_ms(visit.received_at) < self._now_ms - expiry.KEPT_MS[topic]
        return too_old or self._known.state.seen([layout.seen_key(topic, visit)])[0] is not None

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
                self._refusals.refuse_late_fact(fact, late[fact.receipt_id])

    def _set_aside(
        self, bundle: Bundle, header: Header, awaits: int, whole: Iterable[AnyFact], *, again: bool
    ) -> Header:
        """It waits, and keeps by itself the visits that it may need: they may expire meanwhile."""
        self._changes.waiting.append((awaits, bundle))
        self._changes.held += [
            layout.held(facts.TOPIC_OF[type(fact)], fact, facts.encode(fact), bundle)
            for fact in whole
            if isinstance(fact, Click | Impression)
        ]
        if again:
            self._sending.again(bundle, *self._known.sent(bundle))
        return msgspec.structs.replace(header, awaits=awaits)

    def _alarm(self, bundle: Bundle, header: Header, error: Exception, added: list[Arrival]) -> None:
        why = f"transaction {bundle.transaction_id} cannot be decided: {error!r} at {_raised_at(error)}"
        if header.awaits != layout.MENDED:
            self.alarms.append(why)
        for each in added:
            self._refusals.refuse(each.record, Reason.UNDECIDED, why)


def _lost(header: Header, known: Iterable[AnyFact], told: Carried) -> str:
    """A statement that a case names and that is not here, if there is one."""
    if header.statements >= lateness.MAX_STATEMENTS:
        return ""  # of so many which are kept rests on the order in which they came
    return min(told.receipts - {fact.receipt_id for fact in known}, default="")


def _number(whole: Iterable[AnyFact]) -> str:
    """What tells the bundle's cases from others of the transaction and goal."""
    return next((case_number(fact) for fact in whole if isinstance(fact, Statement)), "")


def _raised_at(error: Exception) -> str:
    """Where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
