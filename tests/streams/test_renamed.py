"""What partners were told stays told when a conversion gets another ID."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import facts
from schemas.catalog import Affiliate, Catalog, PartnerPostback
from schemas.decisions import Case, Conversion, Notice
from schemas.facts import AnyFact
from service.kafka import Outgoing, Record
from streams.batch.batch import Batch
from streams.rules.decide import decide_transaction
from streams.state.bundles import Bundle
from streams.state.partition import Partition
from streams.state.store import Store
from tests.streams import facts_of_a_shop as shop
from tests.streams.facts_of_a_shop import CATALOG, CLICKED_MS, DAY, HOUR, MINUTE, SECOND, amount

PERSON: dict[str, Any] = {"transaction_id": "d" + "0" * 31}
LEAD: dict[str, Any] = {"goal_id": 5}
ALWAYS = ("approved", "pending", "rejected")


def catalog(**subscription: Any) -> Catalog:
    """Two affiliates, of one subscription's name."""
    call = PartnerPostback(**{"id": "all", "url": "https://t.example/{conversion_id}", **subscription})
    both = [Affiliate(id=number, name=f"{number}", postbacks=(call,)) for number in (42, 43)]
    return msgspec.structs.replace(CATALOG, affiliates=tuple(both))


class Worker:
    def __init__(self, state: Partition) -> None:
        self.state = state
        self.catalog = catalog()
        self.emitted: list[Outgoing] = []

    def told(self, *given: AnyFact) -> list[tuple[int, str]]:
        """Affiliate and status of each notice that is sent when these facts come."""
        made = self._batch()
        made.absorb([_record(each) for each in given])
        self._apply(made)
        sent = [each.value for each in made.changes.outbox if each.topic == "notices"]
        return [(each.affiliate_id, each.status) for each in map(_notice, sent)]

    def known(self) -> list[Notice]:
        """What was sent, as the state remembers it."""
        found = map(_notice, self.state.notices(Bundle(shop.click().transaction_id)).values())
        return [each for each in found if each.url]

    def standing(self) -> tuple[Conversion, ...]:
        """The conversions of the case that was sent last."""
        return msgspec.json.decode(self.emitted[-1].value, type=Case).conversions

    def restored(self, lost: "Worker", *given: AnyFact) -> None:
        """As who lost its state: it has the topic `conversions`, and all facts until then."""
        made = self._batch(silent=True)
        made.take_cases([Record("conversions", 0, 0, CLICKED_MS, one.key, one.value) for one in lost.emitted])
        made.absorb([_record(each) for each in given])
        self._apply(made)

    def _batch(self, *, silent: bool = False) -> Batch:
        rules = partial(decide_transaction, history=shop.history(self.catalog))
        return Batch(self.state, rules, CLICKED_MS, silent=silent)

    def _apply(self, made: Batch) -> None:
        self.state.apply(made.changes)
        self.state.sent()
        self.emitted += [each for each in made.changes.outbox if each.topic == "conversions"]


_notice = msgspec.json.Decoder(Notice).decode


def _record(fact: AnyFact) -> Record:
    topic, key = facts.TOPIC_OF[type(fact)], fact.transaction_id.encode()
    return Record(topic, 0, 0, CLICKED_MS + 999 * DAY, key, facts.encode(fact))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Store(tmp_path).open(0)
    yield Worker(made)
    made.close()


def click(number: int, day: float, **more: Any) -> AnyFact:
    return shop.click(number, int(day * DAY), **PERSON, **more)


def order(number: int, day: float, **more: Any) -> AnyFact:
    return shop.postback(number, int(day * DAY), conversion_unique_id="A", **amount("50"), **PERSON, **more)


def test_a_number_that_comes_late_is_no_second_conversion_to_the_affiliate(worker: Worker) -> None:
    assert worker.told(shop.click(), shop.pixel(2, HOUR, **LEAD)) == [(42, "approved")]
    numbered = shop.postback(3, HOUR + SECOND, conversion_unique_id="A", **LEAD)
    assert worker.told(numbered) == []
    assert worker.told(shop.pixel(4, HOUR + MINUTE, **LEAD)) == [(42, "approved")]  # another one
    worker.catalog = catalog(on=ALWAYS)
    rejected = shop.postback(5, DAY, conversion_unique_id="A", status="cancelled", **LEAD)
    assert worker.told(rejected) == [(42, "rejected")]


def test_where_a_page_moves_on_to_another_order_the_new_one_was_told_as_that_page(worker: Worker) -> None:
    def said(number: int, after_ms: int, order: str) -> AnyFact:
        return shop.postback(number, HOUR + after_ms, conversion_unique_id=order, **LEAD)

    first, second = shop.pixel(2, HOUR, **LEAD), shop.pixel(3, HOUR + SECOND, **LEAD)
    assert worker.told(shop.click(), first, said(5, 3 * SECOND, "B")) == [(42, "approved")]
    assert worker.told(second) == [(42, "approved")]
    assert worker.told(said(4, 2 * SECOND, "A")) == []
    assert worker.told(said(6, 4 * SECOND, "C")) == [(42, "approved")]


def test_an_order_that_is_new_is_told_though_another_is_taken_back_in_the_same_moment(worker: Worker) -> None:
    created = shop.adjustment(2, HOUR, action="create", conversion_unique_id="A", **LEAD)
    assert worker.told(shop.click(), created) == [(42, "approved")]
    release = shop.adjustment(3, 2 * HOUR, action="release", conversion_unique_id="A", **LEAD)
    assert worker.told(release, shop.postback(4, 3 * HOUR, conversion_unique_id="B", **LEAD)) == [
        (42, "approved")
    ]


def test_what_comes_apart_again_is_told_of_each(worker: Worker) -> None:
    """An order's page had the unnumbered postback; then comes its own, and that one is by itself."""
    alone = shop.postback(2, HOUR + 8 * MINUTE, **LEAD)
    page = shop.pixel(3, HOUR, conversion_unique_id="C", **LEAD)
    own = shop.postback(4, HOUR + 9 * MINUTE, conversion_unique_id="C", **LEAD)
    assert worker.told(shop.click(), alone) == [(42, "approved")]
    assert worker.told(page) == []
    assert (42, "approved") in worker.told(own)
    assert len({one.conversion_id for one in worker.known()}) == 2
    assert worker.told(shop.pixel(5, HOUR + 10 * MINUTE, conversion_unique_id="C", **LEAD)) == []


def test_also_where_another_has_taken_over_what_was_told_meanwhile(worker: Worker) -> None:
    """The page's ID goes to an earlier page, whose conversion a number joins while the first is back."""
    at = [
        shop.click(),
        shop.pixel(2, HOUR + 8 * MINUTE, **LEAD),
        shop.postback(3, HOUR + 10 * MINUTE, **LEAD),
    ]
    worker.told(*at[:2])
    worker.told(at[2])
    worker.told(shop.iframe(4, HOUR, **LEAD))
    worker.told(shop.pixel(5, HOUR + 8 * MINUTE + 1, conversion_unique_id="C", **LEAD))
    standing = {one.conversion_id for one in worker.standing()}
    assert len(standing) == 2
    assert standing <= {one.conversion_id for one in worker.known()}


def test_a_click_that_comes_late_is_not_told_to_the_same_affiliate_twice(worker: Worker) -> None:
    assert worker.told(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.told(click(3, 1)) == []
    assert worker.told(click(4, 1.5)) == []
    worker.catalog = catalog(on=ALWAYS)
    assert worker.told(order(5, 3, status="cancelled")) == [(42, "rejected")]


def test_another_affiliate_is_told_of_the_conversion_that_is_now_its_own(worker: Worker) -> None:
    assert worker.told(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.told(click(3, 1, affiliate_id=43)) == [(43, "approved")]
    assert worker.told(click(4, 1.5, affiliate_id=43)) == []


def test_another_amount_is_told_where_amounts_are_subscribed_to(worker: Worker) -> None:
    worker.catalog = catalog(amounts=True)
    assert worker.told(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.told(click(3, 1)) == []
    more = shop.postback(4, 3 * DAY, conversion_unique_id="A", **amount("100"), **PERSON)
    assert worker.told(more) == [(42, "approved")]


def test_a_replay_sends_what_was_sent_and_nothing_under_another_name(worker: Worker) -> None:
    first, second = click(1, 0), order(2, 2)
    worker.told(first, second)
    worker.told(click(3, 1))
    assert worker.told(second) == [(42, "approved")]


def test_what_was_told_is_remembered_while_the_conversion_waits(worker: Worker) -> None:
    assert worker.told(click(1, 0), order(2, 2)) == [(42, "approved")]
    assert worker.told(click(3, 1, is_bot=True)) == []
    approved = shop.adjustment(4, 3 * DAY, conversion_unique_id="A", status="approved", **PERSON)
    assert worker.told(approved) == []


@pytest.mark.parametrize("took_over", [False, True])
def test_who_lost_its_state_tells_nobody_twice(worker: Worker, tmp_path: Path, *, took_over: bool) -> None:
    """Whether it was lost before the late click came or after."""
    first, late = [click(1, 0), order(2, 2)], click(3, 1)
    assert worker.told(*first) == [(42, "approved")]
    if took_over:
        assert worker.told(late) == []
    state = Store(tmp_path / "other").open(0)
    other = Worker(state)
    other.restored(worker, *first, *([late] if took_over else []))
    assert other.told(*([] if took_over else [late]), order(4, 3)) == []
    other.catalog = catalog(on=ALWAYS)
    assert other.told(order(5, 4, status="cancelled")) == [(42, "rejected")]
    state.close()
