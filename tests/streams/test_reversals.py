"""Who was told of a conversion that is not theirs any more is told so; whoever sends, in whatever order."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.catalog import Affiliate, Catalog, PartnerPostback
from schemas.decisions import Case, Conversion, Notice
from schemas.facts import AnyFact
from schemas.reasons import Reason
from service.kafka import Outgoing, Record
from sinks import notice as notices
from sinks.dial import Answer
from sinks.memory import Memory
from streams.batch.batch import Batch
from streams.batch.sending import NOT_SENT, line_of
from streams.rules.decide import decide_transaction
from streams.rules.notices import notice_id
from streams.state.partition import Partition
from streams.state.store import Store
from tests.chance import tries
from tests.streams import facts_of_a_shop as shop
from tests.streams.facts_of_a_shop import CATALOG, CLICKED_MS, DAY, HOUR, MINUTE, SECOND, amount

PERSON: dict[str, Any] = {"transaction_id": "d" + "0" * 31}
LEAD: dict[str, Any] = {"goal_id": 5}
ALWAYS = ("approved", "pending", "rejected")
URL = "https://t.example/{conversion_id}?c={aff_click_id}&s={status}&p={payout}&a={affiliate_name}&o={sale_amount}"


def catalog(**subscription: Any) -> Catalog:
    """Two affiliates, of one subscription's name."""
    call = PartnerPostback(**{"id": "all", "url": URL, "on": ALWAYS, **subscription})
    both = [Affiliate(id=number, name=f"{number}", postbacks=(call,)) for number in (42, 43)]
    return msgspec.structs.replace(CATALOG, affiliates=tuple(both))


class Worker:
    """A state, the log of its cases, and a notifier that tells at once. told: all that partners heard."""

    def __init__(
        self, open_: Callable[[], tuple[Partition, Callable[[], Partition]]], memory: Memory
    ) -> None:
        self._open = open_
        self.state, self._again = open_()
        self._memory = memory
        self.catalogs = [catalog()]
        self.log: list[Record] = []
        self.known: list[AnyFact] = []
        self.told: list[Notice] = []
        self.renamed = False  # whether something was told under another ID than it has

    def hears(self, *given: AnyFact) -> list[tuple[int, str]]:
        """Affiliate and status of all that partners hear when these facts come."""
        before = len(self.told)
        self.absorb(*given)
        return [(each.affiliate_id, each.status) for each in self.told[before:]]

    def absorb(self, *given: AnyFact) -> None:
        self.known += given
        self._batch(lambda batch: batch.absorb([_record(each) for each in given]))

    def restart(self) -> None:
        self.state.close()
        self.state = self._again()

    def restore(self, *, until: int | None = None) -> None:
        """The state is lost; another is filled with what was committed."""
        self.state.close()
        self.state, self._again = self._open()
        self._batch(lambda batch: batch.take_cases(self.log), silent=True)
        for fact in self.known[:until]:
            self._batch(partial(_absorb, fact), silent=True)
        self.resume()

    def dies_before_telling(self, *given: AnyFact) -> None:
        """It decides these, its cases reach Kafka, its notices do not, and its state is lost."""
        self.known += given
        made = self._made(lambda batch: batch.absorb([_record(each) for each in given]))
        self.state.apply(made.changes)
        self._log(made.changes.outbox)
        self.restore(until=-len(given))

    def resume(self) -> None:
        waiting = [bundle for _, bundle in self.state.waiting(b"\x00", 1_000)]
        self._batch(lambda batch: batch.resume(waiting))

    def takes(self, *cases: Outgoing) -> None:
        """Another worker's cases are read back."""
        records = [Record("conversions", 0, 0, CLICKED_MS + 999 * DAY, one.key, one.value) for one in cases]
        self.log += records
        self._batch(lambda batch: batch.take_cases(records))
        self.resume()

    def partner_hears(self, affiliate: int, status: str, version: int) -> None:
        """Another worker told it so."""
        said = next(one for one in self.told if one.affiliate_id == affiliate)
        name = notice_id(said.conversion_id, said.subscription, status, None)
        self._tell(msgspec.structs.replace(said, notice_id=name, status=status, version=version))

    def standing(self) -> dict[str, Conversion]:
        """By ID the conversions as they stand."""
        last = {each.key: msgspec.json.decode(each.value, type=Case) for each in self.log}
        return {one.conversion_id: one for case in last.values() for one in case.conversions}

    def _batch(self, work: Callable[[Batch], None], *, silent: bool = False) -> None:
        made = self._made(work, silent=silent)
        self.state.apply(made.changes)
        self.state.sent()
        self._log(made.changes.outbox)
        self.renamed |= any(line_of(value).url == NOT_SENT for value in made.changes.notices.values())
        for each in made.changes.outbox:
            if each.topic == "notices":
                self._tell(msgspec.json.decode(each.value, type=Notice))

    def _made(self, work: Callable[[Batch], None], *, silent: bool = False) -> Batch:
        rules = partial(decide_transaction, history=shop.history(*self.catalogs))
        made = Batch(self.state, rules, CLICKED_MS, silent=silent)
        work(made)
        return made

    def _log(self, sent: Iterable[Outgoing]) -> None:
        self.log += [
            Record("conversions", 0, 0, CLICKED_MS, each.key, each.value)
            for each in sent
            if each.topic == "conversions"
        ]

    def _tell(self, notice: Notice) -> None:
        if self._memory.ended(notice):
            return
        last = self._memory.told_last(notice.conversion_id, notice.subscription)
        answer = notices.superseded(notice, last.version) or Answer(200)
        self._memory.note(notices.delivery(notice, answer, 0))
        if answer.status:
            self.told.append(notice)


def _absorb(fact: AnyFact, batch: Batch) -> None:
    batch.absorb([_record(fact)])


def _record(fact: AnyFact) -> Record:
    topic, key = facts.TOPIC_OF[type(fact)], fact.transaction_id.encode()
    return Record(topic, 0, 0, CLICKED_MS + 999 * DAY, key, facts.encode(fact))


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    numbers = itertools.count()
    made: list[tuple[Worker, Memory]] = []

    def opened() -> tuple[Partition, Callable[[], Partition]]:
        store = Store(tmp_path / f"state-{next(numbers)}")
        return store.open(0), lambda: store.open(0)

    def worker() -> Worker:
        made.append((Worker(opened, memory := Memory(tmp_path / f"notifier-{next(numbers)}")), memory))
        return made[-1][0]

    yield worker
    for one, memory in made:
        one.state.close()
        memory.close()


@pytest.fixture
def worker(workers: Callable[[], Worker]) -> Worker:
    return workers()


def click(number: int, day: float, affiliate: int = 42, **more: Any) -> AnyFact:
    return shop.click(
        number, int(day * DAY), affiliate_id=affiliate, aff_click_id=f"k{number}", **PERSON, **more
    )


def order(number: int, day: float, **more: Any) -> AnyFact:
    given = {**amount("50"), **PERSON, **more}
    return shop.postback(number, int(day * DAY), conversion_unique_id="A", **given)


def test_8_10_who_had_a_conversion_is_told_that_it_is_rejected_as_it_subscribed_then(worker: Worker):
    """Under the ID that it was told, with its own click, though its subscription has moved since."""
    first = click(1, 0), order(2, 2)
    assert worker.hears(*first) == [(42, "approved")]
    worker.catalogs.append(catalog(url="https://other.example/"))
    (before,) = worker.standing().values()
    assert worker.hears(click(3, 1, 43, catalog_version=2)) == [(42, "rejected"), (43, "approved")]
    told, reversed_, other = worker.told
    named = before.conversion_id
    assert told.url == f"https://t.example/{named}?c=k1&s=approved&p=4.00&a=42&o=50"
    assert reversed_.url == f"https://t.example/{named}?c=k1&s=rejected&p=0&a=42&o=50"
    assert (reversed_.subscription, reversed_.conversion_id) == (told.subscription, told.conversion_id)
    assert told.version < reversed_.version == other.version
    assert other.url == "https://other.example/"


@pytest.mark.parametrize(
    ("on", "heard"),
    [
        (("approved",), [(43, "approved")]),
        (("rejected",), []),
        (("approved", "rejected"), [(42, "rejected"), (43, "approved")]),
        (("pending", "rejected"), []),
    ],
    ids=str,
)
def test_8_10_as_it_subscribed_and_only_who_was_told_something(
    worker: Worker, on: tuple[str, ...], heard: list[tuple[int, str]]
):
    worker.catalogs = [catalog(on=on)]
    worker.absorb(click(1, 0), order(2, 2))
    assert worker.hears(click(3, 1, 43)) == heard


def test_8_10_of_what_it_was_told_as_pending_too(worker: Worker):
    assert worker.hears(click(1, 0, is_bot=True), order(2, 2)) == [(42, "pending")]
    assert worker.hears(click(3, 1, 43)) == [(42, "rejected"), (43, "approved")]


def test_8_10_not_of_what_it_has_under_another_id_now(worker: Worker):
    assert worker.hears(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.hears(click(3, 1)) == []
    assert worker.told[0].conversion_id not in worker.standing()


def test_8_10_of_what_repeats_another_now(worker: Worker):
    """An earlier report comes late, by whose catalog the goal counts once."""
    offers = (shop.with_goal(repeat="many").offers[0], *CATALOG.offers[1:])
    worker.catalogs = [catalog(), msgspec.structs.replace(catalog(), offers=offers)]
    orders = [
        shop.postback(n, 2 * HOUR + n, conversion_unique_id=o, catalog_version=2)
        for n, o in ((3, "A"), (4, "B"))
    ]
    assert worker.hears(shop.click(), *orders) == [(42, "approved"), (42, "approved")]
    assert worker.hears(shop.pixel(2, HOUR, conversion_unique_id="A")) == [(42, "rejected")]
    (repeats,) = (one for one in worker.standing().values() if one.reason == Reason.DUPLICATE_CONVERSION)
    assert worker.told[-1].conversion_id == repeats.conversion_id


def test_8_10_not_twice_of_what_was_rejected_before(worker: Worker):
    assert worker.hears(click(1, 0), order(2, 2, status="cancelled")) == [(42, "rejected")]
    assert worker.hears(click(3, 1, 43)) == [(43, "rejected")]


def test_8_10_what_is_no_conversion_any_more_was_told_to_its_affiliate(worker: Worker):
    created = shop.adjustment(2, HOUR, action="create", conversion_unique_id="A", **LEAD)
    assert worker.hears(shop.click(), created) == [(42, "approved")]
    release = shop.adjustment(3, 2 * HOUR, action="release", conversion_unique_id="A", **LEAD)
    assert worker.hears(release) == [(42, "rejected")]
    assert worker.hears(shop.postback(4, 3 * HOUR, conversion_unique_id="A", **LEAD)) == [(42, "approved")]


def test_8_10_of_two_that_became_one_the_other_is_taken_back(worker: Worker):
    """A page by itself, and an order whose earlier report, which comes late, has the page joined to it."""
    facts = shop.click(), shop.pixel(2, HOUR, **LEAD)
    assert worker.hears(*facts) == [(42, "approved")]
    order = shop.postback(3, HOUR + 20 * MINUTE, conversion_unique_id="A", **LEAD)
    assert worker.hears(order) == [(42, "approved")]
    earlier = shop.postback(4, HOUR + SECOND, conversion_unique_id="A", **LEAD)
    assert worker.hears(earlier) == [(42, "rejected")]
    assert worker.told[-1].conversion_id == worker.told[0].conversion_id not in worker.standing()


def test_8_4_whom_a_conversion_comes_back_to_is_told_again(worker: Worker):
    """Numbered orders of a goal that repeats keep their ID, whoever has them."""
    assert worker.hears(click(1, 0), order(2, 2, **LEAD)) == [(42, "approved")]
    assert worker.hears(click(3, 1, 43)) == [(42, "rejected"), (43, "approved")]
    assert worker.hears(click(4, 1.2)) == [(43, "rejected"), (42, "approved")]
    assert worker.hears(click(5, 1.4, 43)) == [(42, "rejected"), (43, "approved")]
    assert worker.hears(*worker.known) == []
    worker.restart()
    assert worker.hears(*worker.known) == []


def test_8_4_what_was_taken_back_and_stands_again_is_told_again(worker: Worker):
    assert worker.hears(shop.click(), shop.postback(2, HOUR, status="ok")) == [(42, "approved")]
    for number, status in enumerate(("rejected", "approved", "rejected", "approved"), start=3):
        word = shop.adjustment(number, number * DAY, status=status)
        assert worker.hears(word) == [(42, status)]
        assert worker.hears(*worker.known) == []


@pytest.mark.parametrize("goal", [{}, LEAD], ids=["once", "many"])
def test_8_10_a_lost_state_forgets_nobody(worker: Worker, goal: dict[str, Any]):
    assert worker.hears(click(1, 0), order(2, 2, **goal)) == [(42, "approved")]
    worker.restore()
    assert worker.hears(click(3, 1, 43)) == [(42, "rejected"), (43, "approved")]
    worker.restore()
    assert worker.hears(click(4, 1.2)) == [(43, "rejected"), (42, "approved")]
    worker.restore()
    assert worker.hears(order(5, 3, **goal)) == []


def test_8_10_nor_whom_it_told_what_the_case_says_no_more(worker: Worker):
    """Approved, then pending, which it did not subscribe to: nothing in the case tells that it was told."""
    worker.catalogs = [catalog(on=("approved", "rejected"))]
    assert worker.hears(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.hears(order(3, 3, status="open")) == []
    worker.restore()
    assert worker.hears(order(4, 4, status="open")) == []
    assert worker.hears(click(5, 1, 43)) == [(42, "rejected")]


@pytest.mark.parametrize("goal", [{}, LEAD], ids=["once", "many"])
@pytest.mark.parametrize("first", [None, 4], ids=["the click", "another report"])
def test_8_10_who_died_before_it_told_is_made_up_for(worker: Worker, goal: dict[str, Any], first: int | None):
    """Whatever comes first again after the loss."""
    assert worker.hears(click(1, 0), order(2, 2, **goal)) == [(42, "approved")]
    late = click(3, 1, 43)
    worker.dies_before_telling(late)
    worker.absorb(*([order(first, 3, **goal)] if first else []))
    worker.absorb(late)
    heard = [(each.affiliate_id, each.status) for each in worker.told[1:]]
    assert sorted(heard) == [(42, "rejected"), (43, "approved")]


def test_8_10_what_another_worker_said_meanwhile_is_put_right_to_both(worker: Worker):
    """It knew fewer facts, and gave the conversion back to who had it before; and told that."""
    assert worker.hears(click(1, 0), order(2, 2, **LEAD)) == [(42, "approved")]
    early = worker.log[-1]
    assert worker.hears(click(3, 1, 43)) == [(42, "rejected"), (43, "approved")]
    newest = msgspec.json.decode(worker.log[-1].value, type=Case)
    zombies = msgspec.structs.replace(msgspec.json.decode(early.value, type=Case), version=newest.version + 7)
    assert zombies.conversions[0].affiliate_id == 42
    worker.partner_hears(42, "approved", zombies.version)
    worker.partner_hears(43, "rejected", zombies.version)
    before = len(worker.told)
    emptied = msgspec.structs.replace(newest, version=zombies.version, conversions=(), visits=())
    worker.takes(
        Outgoing("conversions", early.key, msgspec.json.encode(zombies)),
        Outgoing("conversions", worker.log[-1].key, msgspec.json.encode(emptied)),
    )
    heard = [(each.affiliate_id, each.status) for each in worker.told[before:]]
    assert heard == [(42, "rejected"), (43, "approved")]


AFFILIATES = st.sampled_from([42, 42, 43])
HOURS = st.sampled_from([0, 1, 2, 3, 26, 30, 50])
STATED: dict[str, st.SearchStrategy[Any]] = {
    "goal_id": st.sampled_from([0, 0, 5]),
    "conversion_unique_id": st.sampled_from(["", "A", "B"]),
    "status": st.sampled_from(["", "", "cancelled", "open"]),
}
KINDS: dict[Any, dict[str, st.SearchStrategy[Any]]] = {
    shop.click: {"affiliate_id": AFFILIATES, "is_bot": st.sampled_from([False, False, True])},
    shop.impression: {"affiliate_id": AFFILIATES},
    shop.pixel: STATED,
    shop.postback: STATED,
    shop.adjustment: {
        "goal_id": STATED["goal_id"],
        "conversion_unique_id": STATED["conversion_unique_id"],
        "status": st.sampled_from(["", "approved", "rejected"]),
        "action": st.sampled_from(["state", "create", "release"]),
    },
}


@st.composite
def transactions(draw: st.DrawFn) -> list[AnyFact]:
    name = draw(st.sampled_from([shop.TRANSACTION, PERSON["transaction_id"], PERSON["transaction_id"]]))
    kinds = [
        shop.click,
        shop.click,
        shop.impression,
        shop.pixel,
        shop.postback,
        shop.postback,
        shop.adjustment,
    ]
    found = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=9)), start=1):
        fields = {field: draw(values) for field, values in KINDS[kind].items()}
        at_ms = draw(HOURS) * HOUR + number * SECOND
        found.append(kind(number, at_ms, transaction_id=name, **fields))
    return found


def untrue(worker: Worker) -> list[str]:
    """Whom something else was told last than stands.

    What an affiliate was told under an ID that its conversion has no more stays as it is; then only who has
    none at all must have heard that of each.
    """
    now = {
        name: one
        for name, one in worker.standing().items()
        if one.affiliate_id and one.reason != Reason.DUPLICATE_CONVERSION and not one.test
    }
    last = {(each.conversion_id, each.affiliate_id): each.status for each in worker.told}
    have = {one.affiliate_id for one in now.values()} if worker.renamed else set()
    lines = []
    for (name, affiliate), status in last.items():
        one = now.get(name)
        if one and one.affiliate_id == affiliate:
            stands: str = one.status
        else:
            stands = status if affiliate in have else "rejected"
        if status != stands:
            lines.append(f"{affiliate} was told last that {name} is {status}, and it is {stands}")
    untold = [one for name, one in now.items() if (name, one.affiliate_id) not in last]
    return lines + [f"{one.affiliate_id} was not told of {one}" for one in untold if not worker.renamed]


OFTEN = settings(
    max_examples=tries(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@OFTEN
@given(data=st.data())
def test_8_10_in_the_end_everybody_was_told_what_stands(workers: Callable[[], Worker], data: st.DataObject):
    """In any order, cut, repeated, restarted, replayed: and who never had a conversion hears no reversal."""
    worker = workers()
    known = data.draw(transactions())
    had: set[tuple[str, int]] = set()
    order = data.draw(st.permutations(known))
    while order:
        count = data.draw(st.integers(1, 4))
        worker.absorb(*order[:count])
        order = order[count:]
        had |= {(name, one.affiliate_id) for name, one in worker.standing().items()}
        between = data.draw(st.sampled_from(["", "", "restart", "replay"]))
        if between == "restart":
            worker.restart()
        elif between == "replay":
            worker.absorb(*worker.known)
    assert untrue(worker) == []
    assert {(each.conversion_id, each.affiliate_id) for each in worker.told} <= had
