"""Rule 2, merge. The number in a test's name is the clause's in docs/rules.md."""

from decimal import Decimal

import msgspec
import pytest

from streams.rules.merge import MAX_OBSERVATIONS
from tests.streams.facts_of_a_shop import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    adjustment,
    amount,
    click,
    conversion,
    conversions,
    iframe,
    pixel,
    postback,
    with_offer,
)

BY_TRUST = (
    pixel(2, 5 * HOUR, **amount("2")),
    iframe(3, 4 * HOUR, **amount("3")),
    postback(4, 3 * HOUR, **amount("4")),
    postback(5, 2 * HOUR, proven_by="token", **amount("5")),
    adjustment(6, 1 * HOUR, **amount("6")),
)


@pytest.mark.parametrize("least", range(4))
def test_2_1_adjustment_over_server_with_proof_over_server_over_iframe_over_pixel(least: int):
    for more in BY_TRUST[least + 1 :]:
        facts = (click(), pixel(9, 6 * HOUR), BY_TRUST[least], more)
        assert conversion(*facts).sale_amount == more.sale_amount


def test_2_2_of_equally_trusted_statements_the_later_received_speaks():
    facts = (
        click(),
        postback(3, HOUR, adv_sub="first"),
        postback(2, 2 * HOUR, adv_sub="second", occurred_at="2026-11-01T12:30:00.000Z"),
    )
    assert conversion(*facts).adv_sub == "second"


def test_2_2_also_of_what_the_network_states_and_what_it_creates():
    stated = adjustment(2, HOUR, conversion_unique_id="A", status="rejected")
    created = adjustment(3, DAY, action="create", conversion_unique_id="A", status="approved", why="paid")
    found = conversion(click(), stated, created)
    assert (found.status, found.adjusted_why) == ("approved", "paid")


def test_2_3_received_in_one_millisecond_the_greater_receipt_speaks_and_10_is_greater_than_9():
    assert (
        conversion(click(), postback(10, adv_sub="later"), postback(9, adv_sub="sooner")).adv_sub == "later"
    )


def test_2_3_and_of_two_collectors_the_greater_epoch_whatever_the_numbers():
    facts = (
        postback(10, adv_sub="sooner"),
        postback(9, adv_sub="later", receipt_id="06cv0000000000000000001-9"),
    )
    for told in (facts, facts[::-1]):
        assert conversion(click(), *told).adv_sub == "later"


def test_2_4_each_field_for_itself_and_what_is_not_stated_takes_nothing_away():
    found = conversion(
        click(),
        postback(2, HOUR, **amount("50", "EUR"), adv_sub="a", promo_code="AUTUMN"),
        postback(3, 2 * HOUR, sale_amount=Decimal(40), adv_sub2="b"),
    )
    assert (found.sale_amount, found.sale_currency) == (Decimal(40), "EUR")
    assert (found.adv_sub, found.adv_sub2, found.promo_code) == ("a", "b", "AUTUMN")


def test_2_4_an_amount_of_nothing_is_stated():
    found = conversion(click(), postback(2, HOUR, **amount("50")), postback(3, 2 * HOUR, **amount("0")))
    assert (found.sale_amount, found.payout) == (Decimal(0), Decimal(0))


def test_2_5_the_status_is_the_latest_of_the_most_trusted():
    facts = (
        click(),
        postback(2, 1 * DAY, status="ok", proven_by="token"),
        postback(3, 2 * DAY, status="cancelled", proven_by="token"),
        postback(4, 3 * DAY, status="ok"),
        pixel(5, 4 * DAY, status="ok"),
    )
    assert conversion(*facts).status == "rejected"
    assert conversion(*facts, postback(6, 5 * DAY, status="ok", proven_by="token")).status == "approved"


def test_2_5_a_later_statement_without_a_status_word_leaves_the_status():
    facts = (click(), postback(2, 1 * DAY, status="cancelled"), postback(3, 2 * DAY, **amount("40")))
    found = conversion(*facts)
    assert (found.status, found.sale_amount) == ("rejected", Decimal(40))


def test_2_6_a_pixel_never_changes_an_amount_that_a_server_stated():
    facts = (click(), postback(2, HOUR, **amount("50")), pixel(3, 2 * HOUR, **amount("5000")))
    assert conversion(*facts).sale_amount == Decimal(50)


def test_2_6_nor_what_it_is_in():
    server, page = postback(2, HOUR, sale_amount=Decimal(50)), pixel(3, **amount("50", "EUR"))
    found = conversion(click(), server, page)
    assert (found.sale_currency, found.payout) == ("USD", 4)
    assert not any(each.startswith("sale_currency") for each in found.spoke)
    assert conversion(click(), pixel(4, sale_amount=Decimal(50)), page).sale_currency == "EUR"
    assert conversion(click(), adjustment(4, sale_amount=Decimal(60)), page).sale_currency == "EUR"


def test_2_7_the_conversion_is_of_the_time_of_its_first_observation():
    found = conversion(click(), pixel(2, HOUR, occurred_at="2026-11-01T12:30:00.000Z"), postback(3, 2 * HOUR))
    assert (found.occurred_at, found.received_at) == ("2026-11-01T12:30:00.000Z", "2026-11-01T13:00:00.000Z")


def test_2_8_beyond_the_limit_those_count_that_are_most_trusted_and_then_received_first():
    flood = [pixel(n, HOUR + n) for n in range(2, MAX_OBSERVATIONS + 2)]
    whole = conversion(click(), *flood)
    assert (whole.observations, whole.flags) == (MAX_OBSERVATIONS, ())
    found = conversion(click(), *flood, postback(5000, DAY, **amount("50")))
    assert (found.observations, found.flags) == (MAX_OBSERVATIONS, ("too_many_observations",))
    assert found.received_at == flood[0].received_at  # they stay in the order of receipt
    assert found.payout == Decimal(4)
    assert "06cv0000000000000000000-1000" in found.receipts
    assert "06cv0000000000000000000-1001" not in found.receipts


def test_2_8_tests_and_what_has_no_permission_take_no_places_of_what_counts():
    flood = [postback(n, MINUTE + n, offer_id=8, proven_by="token") for n in range(2, MAX_OBSERVATIONS + 2)]
    tests = [
        postback(n + 5000, MINUTE + n, test=True, proven_by="token") for n in range(MAX_OBSERVATIONS + 1)
    ]
    real, test = conversions(click(), *flood, *tests, pixel(9000, DAY, **amount("50")))
    assert (real.payout, real.flags) == (Decimal(4), ())
    assert test.flags == ("too_many_observations",)


def test_2_8_what_has_no_permission_is_bounded_too_and_one_flag_hides_no_other():
    flood = [pixel(n, n, offer_id=8) for n in range(2, MAX_OBSERVATIONS + 3)]
    found = conversion(click(), postback(9000, -SECOND, **amount("50")), *flood)
    assert (found.payout, found.observations) == (Decimal(4), 1 + MAX_OBSERVATIONS)
    assert found.flags == ("before_click", "too_many_observations")


def test_2_8_adjustments_are_bounded_too():
    words = [
        adjustment(n + 3, n * MINUTE, goal_id=5, status="rejected") for n in range(61, MAX_OBSERVATIONS + 63)
    ]
    facts = (click(), *(postback(n, goal_id=5, conversion_unique_id=f"A{n}") for n in (2, 3)))
    found = conversions(*facts, *words, goal=5)
    assert len(found) == 2 + MAX_OBSERVATIONS
    assert found[0].flags == ("too_many_observations",)


def test_2_9_the_same_receipt_twice_counts_once():
    assert conversion(click(), postback(2), postback(2), click()).observations == 1


def test_2_10_of_the_networks_statements_under_one_key_the_first_received_counts():
    facts = (
        click(),
        postback(2, conversion_unique_id="A"),
        adjustment(3, 2 * DAY, conversion_unique_id="A", status="rejected", key="f1"),
        adjustment(4, 3 * DAY, conversion_unique_id="A", status="approved", key="f2"),
    )
    again = adjustment(5, 4 * DAY, conversion_unique_id="A", status="rejected", key="f1")
    assert conversion(*facts).status == "approved"
    assert conversions(*facts, again) == conversions(*facts)
    assert conversion(*facts, msgspec.structs.replace(again, key="")).status == "rejected"


def test_2_11_a_conversion_names_who_of_the_network_adjusted_it_last_when_and_why():
    first = adjustment(3, 2 * DAY, status="rejected", stated_by="Anna", why="returned goods")
    last = adjustment(
        4,
        3 * DAY,
        payout=Decimal(1),
        stated_by="Ben",
        why="paid all the same",
        occurred_at="2026-11-01T12:30:00.000Z",
    )
    found = conversion(click(), postback(2, 4 * DAY), last, first)
    assert (found.adjusted_by, found.adjusted_at, found.adjusted_why) == (
        "Ben",
        last.received_at,
        "paid all the same",
    )
    assert [each.partition(" ")[0] for each in found.spoke] == ["status", "payout"]
    assert conversion(click(), postback(2)).adjusted_at is None
    released = adjustment(5, 5 * DAY, action="release", stated_by="Cleo", why="a mistake")
    found = conversion(click(), postback(2), first, last, released)
    assert (found.status, found.adjusted_by, found.adjusted_why) == ("approved", "Cleo", "a mistake")


def test_2_12_another_advertisers_proof_weighs_nothing():
    ours = postback(2, conversion_unique_id="A", **amount("50"))
    theirs = postback(3, DAY, conversion_unique_id="B", proven_by="token", proven_for=(2,), **amount("9999"))
    assert conversions(click(), ours, theirs)[0].conversion_unique_id == "A"
    right = msgspec.structs.replace(theirs, proven_for=(1, 2))
    assert conversions(click(), ours, right)[0].conversion_unique_id == "B"


def test_2_12_nor_among_observations_that_all_lack_permission():
    catalogs = (with_offer(tracking=("pixel",)),)
    first = postback(2, conversion_unique_id="A")
    theirs = postback(3, DAY, conversion_unique_id="B", proven_by="token", proven_for=(2,))
    found = conversions(click(), first, theirs, catalogs=catalogs)
    assert found[0].conversion_unique_id == "A"
