"""What a decision changes of what was sent: cases whose content is another, notices that are new."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from schemas import decisions, times
from schemas.decisions import Case, Conversion, Notice, Status, Version
from schemas.facts import Click, GoalId, Impression, TransactionId
from schemas.wire import decoded
from service.kafka import Outgoing
from streams.rules.former import Former
from streams.rules.merge import in_order
from streams.rules.names import persons_case_number
from streams.state import layout
from streams.state.bundles import Bundle, is_persons, place_of
from streams.state.changes import Changes
from streams.state.layout import Emitted

NOT_SENT: Final = ""  # the URL of a notice that counts as told and never is sent (streams.batch.renamed)

_NO_TIME: Final = times.from_ms(0)


class Verdict(Protocol):
    """What is asked of streams.rules.decide.Decision."""

    @property
    def cases(self) -> Mapping[int, tuple[Conversion, ...]]: ...  # noqa: D102  see there
    @property
    def visits(self) -> Mapping[str, Sequence[Click | Impression]]: ...  # noqa: D102  see there
    @property
    def notices(self) -> Sequence[Notice]: ...  # noqa: D102  see there
    @property
    def late(self) -> Mapping[str, str]: ...  # noqa: D102  see there

    def told_as(self, former: Former, status: Status, /) -> list[Notice]: ...  # noqa: D102  see there


class CaseKey(msgspec.Struct):
    """What a record of `conversions` is about."""

    transaction_id: TransactionId
    goal_id: GoalId
    number: str = ""
    version: Version = 0


Place = tuple[Bundle, int]  # where a case lies, and its goal

_case_key = msgspec.json.Decoder(CaseKey)


class Line(msgspec.Struct):
    """Of a notice what tells who was told what, and when. version: grows with each case that changes."""

    notice_id: str
    conversion_id: str
    subscription: str
    status: Status
    version: int
    url: str = NOT_SENT

    @property
    def to(self) -> tuple[str, str]:
        """What it is about, and whom it tells."""
        return self.conversion_id, self.subscription


line_of = msgspec.json.Decoder(Line).decode


def case_key_of(value: bytes) -> CaseKey:
    """What the record is about; msgspec.DecodeError where it tells of no case."""
    return decoded(_case_key, value)


class Sending:
    """What is to be sent of one partition's decisions, put into its changes.

    cases, conversions, notices: how many went out; conversions only where their case changed.
    """

    def __init__(self, changes: Changes, partition: int, now_ms: int) -> None:
        self.cases = self.conversions = self.notices = 0
        self._changes = changes
        self._partition = partition
        self._now = times.from_ms(now_ms)

    def decided(
        self, bundle: Bundle, number: str, facts: int, verdict: Verdict, before: Mapping[Place, Emitted]
    ) -> int:
        """Each case whose content changed is sent, whole, under a version greater than any before it.

        The greatest version of all comes back: what partners are told of the bundle from now on.

        facts: how many have taken part: with the rules' release the version, so that who knows more facts
            has the greater one. What another worker sent, or a restored state no longer counts, may have
            raised it further.
        """
        newest = max((known.version for known in before.values()), default=0)
        floor = newest + 1 if before else 0  # also beside others: what partners are told goes by the newest
        cases = _cases(bundle, number, verdict)
        for place in sorted(before.keys() | cases.keys(), key=lambda place: (place[1], place[0])):
            known = before.get(place)
            case = cases.get(place) or _emptied(place, known)
            content = content_of(case)
            if known is None or known.content != content:
                version = max(decisions.RULES_RELEASE << 32 | facts, floor)
                dated = msgspec.structs.replace(case, version=version, decided_at=self._now)
                sent = Emitted(version, content, decisions.encode(dated))
                self._changes.cases[place] = sent
                self.conversions += len(case.conversions)
                self._send(case.number, place, sent)
                newest = max(newest, version)
        return newest

    def told(
        self,
        bundle: Bundle,
        version: int,
        due: Sequence[Notice],
        before: Mapping[str, bytes],
        perhaps: Sequence[Line],
    ) -> None:
        """Each notice is sent that was not told, or after which its partner was told another.

        before: what was told. perhaps: what else may have been.
        """
        for notice in due:
            if notice.notice_id not in before or _is_overtaken(notice.notice_id, before, perhaps):
                dated = msgspec.structs.replace(notice, version=version, decided_at=self._now)
                value = decisions.encode(dated)
                self._changes.notices[bundle, notice.notice_id] = value
                self._tell(bundle, value)

    def known(
        self, bundle: Bundle, version: int, told: Sequence[Notice], before: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        """What was sent before, and from now on these, which another has sent."""
        found = dict(before)
        for notice in told:
            if notice.notice_id not in before:
                dated = msgspec.structs.replace(notice, version=version, decided_at=self._now)
                found[notice.notice_id] = decisions.encode(dated)
                self._changes.notices[bundle, notice.notice_id] = found[notice.notice_id]
        return found

    def again(self, bundle: Bundle, cases: Mapping[Place, Emitted], notices: Mapping[str, bytes]) -> None:
        """All is sent as it was."""
        for place, known in cases.items():
            self._send(_number(place, known), place, known)
        for value in notices.values():
            if line_of(value).url != NOT_SENT:
                self._tell(bundle, value)

    def _send(self, number: str, place: Place, case: Emitted) -> None:
        self.cases += 1
        bundle, goal_id = place
        key = decisions.case_key(bundle.transaction_id, goal_id, number)
        self._changes.outbox.append(Outgoing("conversions", key, case.record, self._partition))

    def _tell(self, bundle: Bundle, value: bytes) -> None:
        self.notices += 1
        self._changes.outbox.append(Outgoing("notices", bundle.transaction_id.encode(), value))


def _is_overtaken(notice_id: str, before: Mapping[str, bytes], perhaps: Sequence[Line]) -> bool:
    """Whether its partner was told another since of the same conversion."""
    if len(before) == 1 and not perhaps:
        return False
    told = line_of(before[notice_id])
    others: Iterable[Line] = (*map(line_of, before.values()), *perhaps)
    return any(
        one.to == told.to and one.notice_id != notice_id and one.version > told.version for one in others
    )


def content_of(case: Case) -> bytes:
    """The digest of a case without what depends on how it came about."""
    undated = msgspec.structs.replace(case, version=0, decided_at=_NO_TIME)
    return layout.content_digest(decisions.encode(undated))


def _number(place: Place, known: Emitted) -> str:
    return case_key_of(known.record).number if place[0].part else ""


def _emptied(place: Place, known: Emitted | None) -> Case:
    """The case that the facts no longer give."""
    assert known is not None  # noqa: S101  it was sent, or there would be nothing to take back
    return _case(place, _number(place, known), ())


def _cases(bundle: Bundle, number: str, verdict: Verdict) -> dict[Place, Case]:
    """The cases without version and time: their content. A person's are apart, by what each is credited to.

    So what is over stays as it stands, while the same person buys again. Each carries the visits by which
    its observations are judged; where all is decided together, by which any of them is.
    """
    if not is_persons(bundle.transaction_id):
        visits = _in_order(verdict.visits.values())
        return {
            (bundle, goal): _case((bundle, goal), number, found, visits)
            for goal, found in verdict.cases.items()
        }
    parts: dict[Place, tuple[str, list[Conversion]]] = {}
    for goal, found in verdict.cases.items():
        for each in found:
            own = persons_case_number(each)
            place = place_of(bundle.transaction_id, own), goal
            parts.setdefault(place, (own, []))[1].append(each)
    return {
        place: _case(place, own, found, _in_order(_visits(verdict, found)))
        for place, (own, found) in parts.items()
    }


def _visits(verdict: Verdict, conversions: Sequence[Conversion]) -> Iterable[Sequence[Click | Impression]]:
    """Those by which the observations of these conversions are judged."""
    return (verdict.visits.get(receipt, ()) for one in conversions for receipt in one.receipts)


def _in_order(some: Iterable[Sequence[Click | Impression]]) -> Sequence[Click | Impression]:
    """Each once, in the order of receipt."""
    return in_order({visit.receipt_id: visit for visits in some for visit in visits}.values())


def _case(
    place: Place, number: str, conversions: Sequence[Conversion], visits: Sequence[Click | Impression] = ()
) -> Case:
    return Case(
        transaction_id=place[0].transaction_id,
        goal_id=place[1],
        number=number,
        version=0,
        decided_at=_NO_TIME,
        conversions=tuple(conversions),
        visits=tuple(visits),
    )
