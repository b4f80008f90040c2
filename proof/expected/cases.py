"""Every conversion of one transaction, given all that was ever said about it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from proof.expected import book, buyers, credit, network
from proof.expected.book import Catalogs
from proof.expected.conversion import Told, conversion
from proof.expected.identity import CORRECTED_MS, Goes, Group, limited
from proof.expected.merge import stated_offer
from proof.expected.permission import forbidden, trust
from proof.expected.words import UNRESOLVED, Expected, Heard, Statement, Visit, age
from schemas.durations import to_ms

RANDOM = "0"  # as good as any random ID, where no name is asked for
AFFILIATES, PERSONS = "a", "d"  # the first letters of identifiers that many clicks share


def expect(
    visits: Sequence[Visit],
    statements: Sequence[Statement],
    catalogs: Catalogs,
    transaction_id: str = RANDOM,
) -> list[Expected]:
    """The conversions. The ID's first letter tells its kind."""
    found: list[Expected] = []
    for order, said in orders(transaction_id, statements).items():
        counting = in_time(transaction_id, said)
        reports = [one for one in counting if one.is_report]
        if not reports:
            continue
        shared = transaction_id[0] in {AFFILIATES, PERSONS}
        last_ms = min(one.received_ms for one in said) + CORRECTED_MS
        known = [one for one in visits if transaction_id[0] == PERSONS or one.received_ms <= last_ms]
        kept = credit.kept(known, [] if shared else reports)
        first = _heard(kept, min(reports, key=age), reports, catalogs, None, shared=shared)
        heard = [_heard(kept, one, reports, catalogs, first.about, shared=shared) for one in counting]
        for same in _alike(heard):
            found += _conversions(Told(transaction_id, order, catalogs), limited(same))
    return found


def orders(transaction_id: str, statements: Iterable[Statement]) -> dict[str, list[Statement]]:
    """What is decided together: an affiliate's order, or one statement without a number; else everything."""
    found: dict[str, list[Statement]] = defaultdict(list)
    for one in statements:
        found[(one.number or one.receipt) if transaction_id[0] == AFFILIATES else ""].append(one)
    return found


def in_time(transaction_id: str, said: Sequence[Statement]) -> list[Statement]:
    """What counts of it: each receipt and key once, and while there is something to correct.

    A person's conversions are corrected each for itself (buyers).
    """
    kept = said if transaction_id[0] == PERSONS else buyers.in_time(said)
    return network.once_said(kept)


def _heard(
    visits: Sequence[Visit],
    said: Statement,
    reports: Sequence[Statement],
    catalogs: Catalogs,
    first: Visit | None,
    *,
    shared: bool,
) -> Heard:
    """first: what the first report is about, by which the network's names of goals are understood."""
    click, view = credit.candidates(visits, said, reports, shared=shared)
    about = click or view
    return Heard(
        said=said,
        about=about,
        visit=credit.credited(catalogs, click, view, said),
        goal_id=_goal_id(said, about if said.is_report else first, catalogs),
        trust=trust(catalogs, about, said),
        forbidden=forbidden(catalogs, about, said),
    )


def _goal_id(said: Statement, visit: Visit | None, catalogs: Catalogs) -> int:
    """What the edge could tell; else of that name the visit's offer's, before it the stated one's."""
    if said.goal_id != UNRESOLVED:
        return said.goal_id
    catalog = book.in_force(catalogs, visit, said)[1]
    goal = book.named_goal(book.offer_in(catalog, visit.offer_id if visit else said.offer_id), said.goal)
    return goal.id if goal else UNRESOLVED


def _alike(heard: Sequence[Heard]) -> Iterator[list[Heard]]:
    """By goal, tests apart."""
    for goal_id in sorted({one.goal_id for one in heard}):
        for test in (False, True):
            yield [one for one in heard if one.goal_id == goal_id and one.said.test == test]


def _conversions(told: Told, same: list[Heard]) -> list[Expected]:
    """What was created and taken back is none: until nothing more is, all is as if it had not been."""
    undone: list[Heard] = []
    while True:
        shares, unclear = _shares(told, same, undone)
        parts = [_part(told, share) for share in shares]
        taken = [one for _, groups in parts for one in network.undone(groups)]
        if not taken:
            break
        same = [one for one in same if one not in taken]
        undone += taken
    found: list[Expected] = []
    for share, (goes, groups) in zip(shares, parts, strict=True):
        network.silence(groups, share.undone, goes)
        found += [conversion(told, group, groups, once=not goes.many) for group in groups]
    alone = [Group(number="", said=[word], ambiguous=True) for word in unclear]
    return found + [conversion(told, one, [one], once=False) for one in alone]


def _shares(told: Told, same: list[Heard], undone: list[Heard]) -> tuple[list[buyers.Share], list[Heard]]:
    """A person's once goal counts once for each click."""
    if told.transaction_id[0] == PERSONS and not _goes(same, told.catalogs).many:
        return buyers.by_click(same, undone)
    return [buyers.Share(same, undone)], []


def _part(told: Told, share: buyers.Share) -> tuple[Goes, list[Group]]:
    goes = _goes(share.said, told.catalogs)
    groups = network.conversions(share.said, goes)
    if told.transaction_id[0] == PERSONS and goes.many:
        buyers.keep_in_time(groups)
    return goes, groups


def _goes(same: Sequence[Heard], catalogs: Catalogs) -> Goes:
    """How the goal counts, by the catalog of the first report, with permission if one has it."""
    reports = [one for one in same if one.is_report and not one.forbidden]
    reports = reports or [one for one in same if one.is_report]
    if not reports:
        return Goes(many=False, window_ms=0, is_status=lambda _: False)
    first = min(reports, key=lambda one: one.age)
    catalog = book.in_force(catalogs, first.about, first.said)[1]
    offer = book.offer_in(catalog, first.about.offer_id if first.about else stated_offer(reports))
    goal = book.goal_in(offer, first.goal_id)
    return Goes(
        many=goal is not None and goal.repeat == "many",
        window_ms=to_ms(goal.dedupe_window) if goal else 0,
        is_status=lambda word: book.meaning(catalog, offer, word) in {"approved", "rejected"},
    )
