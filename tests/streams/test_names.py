"""Rule 6, names. The number in a test's name is the clause's in docs/rules.md."""

import hashlib

from streams.rules.names import digest
from tests.streams.facts_of_a_shop import (
    DAY,
    HOUR,
    SECOND,
    TRANSACTION,
    adjustment,
    click,
    conversion,
    conversions,
    iframe,
    pixel,
    postback,
    with_offer,
)


def named(*parts: str) -> str:
    return hashlib.sha256("|".join((TRANSACTION, *parts)).encode()).hexdigest()[:32]


def test_6_1_what_counts_on_a_once_goal_is_named_by_transaction_and_goal_whatever_is_learned_later():
    early = pixel(2, HOUR)
    for facts in (
        [early],
        [click(), early],
        [click(), early, postback(3, DAY, conversion_unique_id="A")],
        [click(), early, postback(3, DAY, conversion_unique_id="A", status="cancelled")],
    ):
        assert conversion(*facts).conversion_id == named("0")


def test_6_2_every_other_is_named_by_its_order_number_too():
    _, other = conversions(click(), *(postback(n, n * DAY, conversion_unique_id=f"A{n}") for n in (2, 3)))
    assert other.conversion_id == named("0", "u:A3")
    many = conversion(click(), postback(2, goal_id=5, conversion_unique_id="A"), goal=5)
    assert many.conversion_id == named("5", "u:A")


def test_6_3_without_a_number_by_its_first_receipt():
    found = conversion(click(), pixel(3, HOUR, goal_id=5), postback(2, HOUR + SECOND, goal_id=5), goal=5)
    assert found.conversion_id == named("5", "r:06cv0000000000000000000-3")


def test_6_4_tests_have_names_of_their_own():
    real, test = conversions(click(), postback(2), postback(3, test=True))
    assert (real.conversion_id, test.conversion_id) == (named("0"), named("0", "test"))
    _, other = conversions(click(), *(postback(n, test=True, conversion_unique_id=f"T{n}") for n in (2, 3)))
    assert other.conversion_id == named("0", "test", "u:T3")


def test_6_5_a_number_that_comes_late_names_what_it_absorbs():
    bare = (click(), pixel(2, HOUR, goal_id=5))
    before = conversion(*bare, goal=5)
    after = conversion(*bare, postback(3, HOUR + SECOND, goal_id=5, conversion_unique_id="A"), goal=5)
    assert (after.conversion_id, after.absorbs) == (named("5", "u:A"), (before.conversion_id,))
    assert before.absorbs == ()
    once = conversion(click(), pixel(2), postback(3, DAY, conversion_unique_id="A"))
    assert once.absorbs == ()


def test_6_5_in_one_order_whoever_was_first():
    for pair in ((2, 3), (4, 5), (6, 7)):  # of these pairs the IDs stand now in one order, now in the other
        absorbs = conversion(
            click(),
            pixel(pair[0], HOUR, goal_id=5),
            iframe(pair[1], HOUR, goal_id=5),
            postback(9, HOUR + SECOND, goal_id=5, conversion_unique_id="A"),
            goal=5,
        ).absorbs
        assert absorbs == tuple(sorted(named("5", f"r:06cv0000000000000000000-{n}") for n in pair))


def test_6_6_conversions_of_a_case_never_share_a_name():
    found = conversions(
        click(),
        pixel(2, HOUR, conversion_unique_id="B"),
        pixel(3, HOUR, conversion_unique_id="C"),
        postback(4, DAY, conversion_unique_id="A"),
        postback(5, DAY, conversion_unique_id="A", test=True),
        catalogs=(with_offer(tracking=("postback",)),),
    )
    assert len({one.conversion_id for one in found}) == len(found) == 4


def test_6_7_orders_under_one_affiliate_identifier_have_names_of_their_own():
    """The worker decides each order by itself; notices go by these names."""
    blog = "a" + TRANSACTION[1:]
    orders = [
        [click(transaction_id=blog), postback(2, transaction_id=blog, conversion_unique_id=number)]
        for number in ("A", "B", "")
    ]
    found = [conversion(*order).conversion_id for order in orders]
    wanted = [("u:A",), ("u:B",), ("r:06cv0000000000000000000-2",)]
    assert found == [digest(blog, "0", *each) for each in wanted]


def test_6_1_also_under_an_id_that_no_edge_of_ours_made():
    shop_own = {"transaction_id": "06cv-of-the-shop"}
    assert conversion(click(1, **shop_own), postback(2, HOUR, **shop_own)).conversion_id == digest(
        shop_own["transaction_id"], "0"
    )


def test_6_8_what_counts_of_a_persons_click_is_named_by_that_click():
    person = {"transaction_id": "d" + TRANSACTION[1:]}
    facts = [
        click(1, 0, **person),
        postback(2, HOUR, **person),
        click(3, DAY, **person),
        postback(4, 2 * DAY, **person),
    ]
    of = person["transaction_id"], "0"
    found = [one.conversion_id for one in conversions(*facts)]
    assert found == [digest(*of, f"c:06cv0000000000000000000-{number}") for number in (1, 3)]
    assert conversion(facts[1]).conversion_id == digest(*of, "r:06cv0000000000000000000-2")


def test_6_8_not_by_the_click_of_what_was_created_and_taken_back():
    person = {"transaction_id": "d" + TRANSACTION[1:]}
    found = conversion(
        click(1, 0, **person),
        adjustment(2, HOUR, action="create", conversion_unique_id="A", **person),
        adjustment(3, DAY, action="release", conversion_unique_id="A", **person),
        postback(4, 40 * DAY, conversion_unique_id="A", **person),
    )
    assert (found.reason, found.credited_by) == (200, "")
    assert found.conversion_id == digest(person["transaction_id"], "0", "r:06cv0000000000000000000-4")
