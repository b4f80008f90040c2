"""Rule 1, identity. The number in a test's name is the clause's in docs/rules.md."""

from decimal import Decimal

import msgspec

from schemas.reasons import Reason
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    HOUR,
    LEAD,
    MINUTE,
    SALE,
    SECOND,
    adjustment,
    amount,
    at,
    click,
    conversion,
    conversions,
    decide,
    iframe,
    pixel,
    postback,
    with_goal,
    with_offer,
)

CONFIRMED = {"goal_id": 5}  # of the goal that may repeat


def test_1_1_observations_with_one_order_number_are_one_conversion():
    found = conversion(
        click(),
        pixel(2, conversion_unique_id="A"),
        iframe(3, 2 * HOUR, conversion_unique_id="A"),
        postback(4, 3 * HOUR, conversion_unique_id="A"),
    )
    assert (found.observations, found.observed_by) == (3, ("iframe", "pixel", "postback"))
    assert found.receipts == tuple(f"06cv0000000000000000000-{n}" for n in (2, 3, 4))


def test_1_1_also_on_a_goal_that_may_repeat():
    facts = (postback(n, n * DAY, conversion_unique_id="A", **CONFIRMED) for n in (2, 3))
    assert conversion(click(), *facts, goal=5).observations == 2


def test_1_2_once_what_has_no_number_belongs_to_the_conversion_that_counts_however_far():
    found = conversion(
        click(), pixel(2), postback(3, 20 * DAY, conversion_unique_id="A"), iframe(4, 25 * DAY)
    )
    assert (found.conversion_unique_id, found.observations) == ("A", 3)


def test_1_3_once_of_several_numbers_the_one_with_the_most_trusted_source_counts():
    first, second = conversions(
        click(), pixel(2, conversion_unique_id="A"), postback(3, 2 * HOUR, conversion_unique_id="B")
    )
    assert (first.conversion_unique_id, first.status) == ("B", "approved")
    assert (second.conversion_unique_id, second.status) == ("A", "rejected")


def test_1_3_a_postback_with_proof_is_more_trusted_than_one_without():
    first, _ = conversions(
        click(),
        postback(2, conversion_unique_id="A"),
        postback(3, 2 * HOUR, conversion_unique_id="B", proven_by="token"),
    )
    assert first.conversion_unique_id == "B"


def test_1_4_once_of_equally_trusted_numbers_the_one_received_first_counts():
    first, _ = conversions(
        click(), postback(3, HOUR, conversion_unique_id="B"), postback(2, 2 * HOUR, conversion_unique_id="A")
    )
    assert first.conversion_unique_id == "B"


def test_1_4_a_number_is_received_with_the_first_observation_that_has_it():
    first, _ = conversions(
        click(),
        pixel(2, HOUR, conversion_unique_id="A"),
        postback(3, 2 * HOUR, conversion_unique_id="B"),
        postback(4, 3 * HOUR, conversion_unique_id="A"),
    )
    assert first.conversion_unique_id == "A"


def test_1_5_once_every_other_number_is_rejected_and_names_what_it_repeats():
    first, *others = conversions(
        click(), *(postback(n, n * HOUR, conversion_unique_id=f"A{n}", **amount("50")) for n in (2, 3, 4))
    )
    assert (first.status, first.payout, first.duplicate_of) == ("approved", Decimal(4), "")
    for number, other in zip(("A3", "A4"), others, strict=True):
        assert (other.status, other.reason) == ("rejected", Reason.DUPLICATE_CONVERSION)
        assert (other.conversion_unique_id, other.duplicate_of) == (number, first.conversion_id)
        assert (other.payout, other.payout_nominal) == (Decimal(0), Decimal(4))
        assert other.reason_detail == (
            f"order 'A2' counts, and the goal counts once: order '{number}' repeats it"
        )


def test_1_6_many_each_number_is_a_conversion():
    found = conversions(
        click(), *(postback(n, n * HOUR, conversion_unique_id=f"A{n}", **CONFIRMED) for n in (2, 3)), goal=5
    )
    assert [(one.conversion_unique_id, one.status) for one in found] == [
        ("A2", "approved"),
        ("A3", "approved"),
    ]


def test_1_7_many_without_a_number_it_joins_the_first_near_conversion_without_its_kind():
    found = conversions(
        click(),
        pixel(2, HOUR, **CONFIRMED),
        postback(3, HOUR + SECOND, conversion_unique_id="A", **CONFIRMED),
        postback(4, HOUR + 3 * MINUTE, conversion_unique_id="B", **CONFIRMED),
        pixel(5, HOUR + 4 * MINUTE, **CONFIRMED),
        iframe(6, HOUR + 4 * MINUTE, **CONFIRMED),
        goal=5,
    )
    assert [(one.conversion_unique_id, one.observed_by) for one in found] == [
        ("A", ("iframe", "pixel", "postback")),
        ("B", ("pixel", "postback")),
    ]


def test_1_7_what_was_opened_first_goes_by_receipt_with_a_number_or_without():
    found = conversions(
        click(),
        pixel(2, HOUR, **CONFIRMED),
        pixel(3, HOUR + MINUTE, **CONFIRMED),
        postback(4, HOUR + 2 * MINUTE, conversion_unique_id="A", **CONFIRMED),
        iframe(5, HOUR + 3 * MINUTE, **CONFIRMED),
        goal=5,
    )
    assert [(one.conversion_unique_id, one.observed_by) for one in found] == [
        ("", ("iframe", "pixel")),
        ("A", ("pixel", "postback")),
    ]


def test_1_7_the_window_is_as_wide_before_as_after_and_both_ends_belong_to_it():
    for offset in (-10 * MINUTE, 10 * MINUTE):
        numbered = postback(2, HOUR, conversion_unique_id="A", **CONFIRMED)
        found = conversion(click(), numbered, pixel(3, HOUR + offset, **CONFIRMED), goal=5)
        assert found.observations == 2
        assert found.received_at == min(numbered.received_at, at(HOUR + offset))


def test_1_8_many_beyond_the_dedupe_window_it_opens_one():
    for offset in (-10 * MINUTE - 1, 10 * MINUTE + 1):
        numbered = postback(2, HOUR, conversion_unique_id="A", **CONFIRMED)
        facts = (click(), numbered, pixel(3, HOUR + offset, **CONFIRMED))
        assert len(conversions(*facts, goal=5)) == 2


def test_1_8_many_the_goal_says_how_wide_the_window_is():
    facts = (click(), postback(2, HOUR, **CONFIRMED), pixel(3, HOUR + 2 * MINUTE, **CONFIRMED))
    assert len(conversions(*facts, goal=5, catalogs=(with_goal(LEAD, dedupe_window="1m"),))) == 2


def test_1_8_many_a_second_observation_of_its_kind_opens_one():
    found = conversions(click(), pixel(2, HOUR, **CONFIRMED), pixel(3, HOUR + SECOND, **CONFIRMED), goal=5)
    assert [one.receipts for one in found] == [
        ("06cv0000000000000000000-2",),
        ("06cv0000000000000000000-3",),
    ]


def test_1_8_many_what_joins_does_not_move_the_window():
    found = conversions(
        click(),
        postback(2, HOUR, **CONFIRMED),
        pixel(3, HOUR + 9 * MINUTE, **CONFIRMED),
        iframe(4, HOUR + 18 * MINUTE, **CONFIRMED),
        goal=5,
    )
    assert [one.observed_by for one in found] == [("pixel", "postback"), ("iframe",)]


def test_1_9_many_a_bare_rejection_goes_to_the_conversion_before_it():
    found = conversion(
        click(),
        postback(2, conversion_unique_id="A", **CONFIRMED),
        postback(3, 9 * DAY, status="rejected", **CONFIRMED),
        goal=5,
    )
    assert (found.conversion_unique_id, found.status, found.observations) == ("A", "rejected", 2)


def test_1_9_many_a_bare_approval_too_in_the_advertisers_own_word():
    manual = with_goal(LEAD, approval="manual")
    facts = (click(), postback(2, **CONFIRMED), postback(3, 9 * DAY, status="OK", **CONFIRMED))
    found = conversion(*facts, goal=5, catalogs=(manual,))
    assert (found.status, found.observations) == ("approved", 2)


def test_1_9_many_a_status_with_an_amount_or_pending_is_no_bare_one():
    for said in (amount("50") | {"status": "rejected"}, {"status": "pending"}, {"status": "shipped"}):
        facts = (click(), postback(2, **CONFIRMED), postback(3, 9 * DAY, **said, **CONFIRMED))
        assert len(conversions(*facts, goal=5)) == 2


def test_1_10_many_a_bare_status_that_could_mean_several_is_rejected_as_ambiguous():
    *real, ambiguous = conversions(
        click(),
        postback(2, 1 * DAY, conversion_unique_id="A", **CONFIRMED),
        postback(3, 2 * DAY, conversion_unique_id="B", **CONFIRMED),
        postback(4, 3 * DAY, status="rejected", **CONFIRMED),
        goal=5,
    )
    assert [one.status for one in real] == ["approved", "approved"]
    assert (ambiguous.status, ambiguous.reason) == ("rejected", Reason.AMBIGUOUS_STATEMENT)
    assert ambiguous.payout == 0


def test_1_10_an_ambiguous_statement_is_no_conversion_that_another_could_mean():
    facts = (postback(n, n * DAY, conversion_unique_id=f"A{n}", **CONFIRMED) for n in (2, 3))
    bare = (postback(n, n * DAY, status="rejected", **CONFIRMED) for n in (4, 5))
    found = conversions(click(), *facts, *bare, pixel(6, 4 * DAY, **CONFIRMED), goal=5)
    assert [one.reason for one in found].count(Reason.AMBIGUOUS_STATEMENT) == 2
    assert sum(one.status == "approved" for one in found) == 3


def test_1_11_many_a_bare_status_with_nothing_before_it_is_a_report():
    found = conversion(
        click(),
        postback(2, HOUR, status="approved", **CONFIRMED),
        pixel(3, HOUR + SECOND, **CONFIRMED),
        goal=5,
    )
    assert (found.status, found.observations) == ("approved", 2)


def test_1_12_a_test_never_joins_delays_or_duplicates_a_real_one():
    for numbers in ({}, {"conversion_unique_id": "A"}):
        real, test = conversions(
            click(),
            postback(2, HOUR, test=True, **amount("1"), **numbers),
            postback(3, 2 * HOUR, **amount("50"), **numbers),
        )
        assert (real.test, real.status, real.payout, real.observations) == (False, "approved", 4, 1)
        assert (test.test, test.status, test.reason) == (True, "rejected", Reason.TEST_CONVERSION)


def test_1_12_a_second_order_number_among_tests_repeats_the_test():
    first, second = conversions(
        click(), *(postback(n, n * HOUR, test=True, conversion_unique_id=f"T{n}") for n in (2, 3))
    )
    assert (second.reason, second.duplicate_of) == (Reason.DUPLICATE_CONVERSION, first.conversion_id)


def test_1_13_an_adjustment_goes_to_the_conversion_whose_number_it_names():
    first, second = conversions(
        click(),
        postback(2, 1 * DAY, conversion_unique_id="A", **CONFIRMED),
        postback(3, 2 * DAY, conversion_unique_id="B", **CONFIRMED),
        adjustment(4, 3 * DAY, conversion_unique_id="B", status="rejected", **CONFIRMED),
        goal=5,
    )
    assert (first.status, second.status) == ("approved", "rejected")
    assert second.observed_by == ("adjustment", "postback")


def test_1_13_without_a_number_to_what_counts_even_if_received_before():
    found = conversion(click(), adjustment(2, MINUTE, status="rejected"), postback(3, HOUR))
    assert (found.status, found.reason) == ("rejected", Reason.ADJUSTMENT)


def test_1_13_many_without_a_number_to_the_one_before_it_and_ambiguous_where_several_are():
    facts = [click(), postback(2, 1 * DAY, conversion_unique_id="A", **CONFIRMED)]
    facts.append(adjustment(4, 3 * DAY, status="rejected", **CONFIRMED))
    assert conversion(*facts, goal=5).status == "rejected"
    facts.append(postback(3, 2 * DAY, conversion_unique_id="B", **CONFIRMED))
    *real, ambiguous = conversions(*facts, goal=5)
    assert [one.status for one in real] == ["approved", "approved"]
    assert (ambiguous.status, ambiguous.reason) == ("rejected", Reason.AMBIGUOUS_STATEMENT)
    assert ambiguous.observed_by == ("adjustment",)


def test_1_13_one_that_names_no_conversion_waits_and_makes_none():
    waiting = adjustment(2, conversion_unique_id="A", status="rejected")
    assert decide(click(), waiting).cases == {}
    assert conversion(click(), waiting, postback(3, conversion_unique_id="B")).status == "approved"
    assert conversion(click(), waiting, postback(3, conversion_unique_id="A")).status == "rejected"
    early = adjustment(2, MINUTE, status="rejected", **CONFIRMED)
    assert conversion(click(), early, postback(3, HOUR, **CONFIRMED), goal=5).status == "approved"


def test_1_14_a_goals_name_means_a_goal_of_the_clicks_offer():
    named = postback(2, goal="Lead", goal_id=-1, offer_id=8)
    assert set(decide(click(offer_id=7), named).cases) == {5}
    assert set(decide(click(), postback(2, goal="PURCHASE", goal_id=-1)).cases) == {0}


def test_1_14_before_the_click_it_means_one_of_the_stated_offer():
    assert set(decide(postback(2, goal="lead", goal_id=-1, offer_id=7)).cases) == {5}
    assert set(decide(postback(2, goal="lead", goal_id=-1)).cases) == {-1}


def test_1_14_a_name_of_no_goal_is_never_another_goal():
    decision = decide(click(), postback(2, goal="signup", goal_id=-1))
    assert set(decision.cases) == {-1}
    (found,) = decision.cases[-1]
    assert (found.status, found.reason) == ("rejected", Reason.UNKNOWN_GOAL)
    assert found.reason_detail == "offer 7 has no goal 'signup'"


def test_1_15_each_goal_is_a_case_of_its_own():
    decision = decide(click(), postback(2), postback(3, **CONFIRMED))
    assert {goal: len(found) for goal, found in decision.cases.items()} == {0: 1, 5: 1}


PERSON = {"transaction_id": "d" + "0" * 31}


def test_1_16_a_persons_once_goal_counts_once_for_each_credited_click():
    facts = (
        click(1, 0, aff_sub="Monday", **PERSON),
        pixel(2, HOUR, **PERSON),
        postback(3, 2 * HOUR, **PERSON),
        click(4, 2 * DAY, aff_sub="Wednesday", **PERSON),
        postback(5, 3 * DAY, **PERSON),
    )
    found = conversions(*facts)
    assert [(one.aff_sub, one.status, one.observations) for one in found] == [
        ("Monday", "approved", 2),
        ("Wednesday", "approved", 1),
    ]


def test_1_16_a_number_goes_to_the_click_of_its_first_report_and_repeats_within_it():
    facts = (
        click(1, 0, aff_sub="Monday", **PERSON),
        pixel(2, HOUR, conversion_unique_id="A", **PERSON),
        pixel(3, 2 * HOUR, conversion_unique_id="B", **PERSON),
        click(4, 2 * DAY, aff_sub="Wednesday", **PERSON),
        postback(5, 3 * DAY, conversion_unique_id="A", **PERSON),
        postback(6, 3 * DAY, conversion_unique_id="C", **PERSON),
    )
    found = {one.conversion_unique_id: one for one in conversions(*facts)}
    told = {number: (one.aff_sub, one.reason) for number, one in found.items()}
    assert told == {"A": ("Monday", 0), "B": ("Monday", 12), "C": ("Wednesday", 0)}
    assert found["B"].duplicate_of == found["A"].conversion_id


def test_1_16_a_barred_report_is_shown_with_its_numbers_conversion_and_lends_it_no_click():
    catalogs = (with_offer(tracking=("postback",)),)
    facts = (
        click(1, 0, aff_sub="Monday", **PERSON),
        pixel(2, HOUR, conversion_unique_id="A", **PERSON),
        click(3, 2 * DAY, aff_sub="Wednesday", **PERSON),
        postback(4, 3 * DAY, conversion_unique_id="A", **PERSON),
    )
    found = conversion(*facts, catalogs=catalogs)
    assert (found.aff_sub, found.status, found.observations) == ("Wednesday", "approved", 2)
    assert found.conversion_id == conversion(*facts[2:], catalogs=catalogs).conversion_id


def test_1_16_the_networks_word_without_a_number_could_mean_each_purchase_before_it():
    facts = [
        click(1, 0, **PERSON),
        postback(2, HOUR, **PERSON),
        adjustment(3, MINUTE, status="rejected", **PERSON),
    ]
    assert conversion(*facts).status == "rejected"
    facts += [click(4, DAY, **PERSON), postback(5, 2 * DAY, **PERSON)]
    assert [one.status for one in conversions(*facts)] == ["approved", "approved"]
    facts[2] = adjustment(3, 3 * DAY, status="rejected", **PERSON)
    assert [one.reason for one in conversions(*facts)] == [0, 0, Reason.AMBIGUOUS_STATEMENT]


def test_1_17_what_the_network_creates_is_an_observation_of_the_most_trusted_kind():
    created = adjustment(2, DAY, action="create", status="approved", conversion_unique_id="A")
    found = conversion(click(), created)
    assert (found.status, found.reason, found.observed_by) == ("approved", Reason.ADJUSTMENT, ("adjustment",))
    by_file = msgspec.structs.replace(created, by_file=True)
    assert conversion(click(), by_file).reason == Reason.CREATED_BY_UPLOAD
    both = conversions(click(), postback(3, HOUR, conversion_unique_id="B"), created)
    assert [(one.conversion_unique_id, one.reason) for one in both] == [("A", 52), ("B", 12)]


def test_1_17_it_joins_what_others_report_of_the_same_order():
    created = adjustment(2, DAY, action="create", status="approved", conversion_unique_id="A")
    found = conversion(click(), postback(3, HOUR, conversion_unique_id="A", status="cancelled"), created)
    assert (found.status, found.observations) == ("approved", 2)


def test_1_18_a_release_takes_back_what_the_network_stated_before_it():
    sale = (click(), postback(2, HOUR, conversion_unique_id="A"))
    stated = adjustment(3, DAY, conversion_unique_id="A", status="rejected", payout=Decimal(9))
    release = adjustment(4, 2 * DAY, action="release", conversion_unique_id="A")
    plain, found = conversion(*sale), conversion(*sale, stated, release)
    assert (found.status, found.reason, found.payout_rule) == ("approved", 0, plain.payout_rule)
    assert found.observations == 3
    bare = msgspec.structs.replace(release, conversion_unique_id="")
    assert conversion(*sale, stated, bare).status == "approved"
    later = adjustment(5, 3 * DAY, status="rejected")
    assert conversion(*sale, stated, release, later).status == "rejected"


def test_1_18_what_was_created_and_taken_back_is_none_and_numbers_count_as_if_it_had_not_been():
    created = adjustment(2, DAY, action="create", status="approved", conversion_unique_id="A")
    release = adjustment(3, 2 * DAY, action="release", conversion_unique_id="A")
    assert conversions(click(), created, release) == ()
    (left,) = conversions(click(), created, release, postback(4, HOUR, conversion_unique_id="B"))
    assert (left.conversion_unique_id, left.status) == ("B", "approved")


def test_1_18_what_was_created_and_taken_back_is_shown_where_others_report_the_order():
    created = adjustment(
        2, DAY, action="create", status="approved", conversion_unique_id="A", payout=Decimal(9)
    )
    release = adjustment(3, 2 * DAY, action="release", conversion_unique_id="A")
    found = conversion(click(), postback(4, HOUR, conversion_unique_id="A"), created, release)
    assert (found.status, found.payout_rule, found.observations) == ("approved", "goal", 3)
    assert {each.partition(":")[2] for each in found.unheard} == {
        " the network took it back",
        " takes back what the network stated before",
    }


def test_1_17_many_what_the_network_creates_is_no_bare_status():
    order_a = postback(2, HOUR, conversion_unique_id="A", **CONFIRMED)
    created = adjustment(3, DAY, action="create", status="rejected", **CONFIRMED)
    found = conversions(click(), order_a, created, goal=5)
    assert [(one.status, one.reason) for one in found] == [("approved", 0), ("rejected", Reason.ADJUSTMENT)]


def test_1_16_the_networks_word_means_no_purchase_that_nothing_corrects_any_more():
    facts = [
        *(click(1, 0, **PERSON), postback(2, HOUR, **PERSON)),
        *(click(3, 150 * DAY, **PERSON), postback(4, 151 * DAY, **PERSON)),
        adjustment(5, 152 * DAY, status="rejected", **PERSON),
    ]
    assert [one.status for one in conversions(*facts)] == ["approved", "rejected"]


def test_4_16_what_comes_too_late_gives_its_number_no_other_click():
    catalogs = (with_offer(tracking=("postback",)),)
    facts = [
        *(click(1, 0, aff_sub="first", **PERSON), pixel(2, HOUR, conversion_unique_id="A", **PERSON)),
        *(click(3, 150 * DAY, **PERSON), postback(4, 151 * DAY, conversion_unique_id="A", **PERSON)),
    ]
    decision = decide(*facts, catalogs=catalogs)
    (found,) = decision.cases[0]
    assert found == conversion(*facts[:2], catalogs=catalogs)
    assert set(decision.late) == {facts[3].receipt_id}


def test_1_16_what_was_created_and_taken_back_gives_its_number_no_place_beside_its_click():
    facts = [
        adjustment(1, 0, action="create", conversion_unique_id="A", **PERSON),
        adjustment(2, HOUR, action="release", conversion_unique_id="A", **PERSON),
        click(3, 40 * DAY, **PERSON),
        postback(4, 40 * DAY + HOUR, conversion_unique_id="A", **PERSON),
        pixel(5, 40 * DAY + 2 * HOUR, **PERSON),
    ]
    found = conversion(*facts)
    assert (found.conversion_unique_id, found.status, found.observed_by) == (
        "A",
        "approved",
        ("adjustment", "pixel", "postback"),
    )


def test_1_18_a_release_without_a_number_leaves_a_persons_order_no_place_beside_its_click():
    """Else two conversions of one click count, and both are paid."""
    facts = [
        adjustment(1, 0, action="create", conversion_unique_id="A", **PERSON),
        adjustment(2, HOUR, action="release", **PERSON),
        click(3, 40 * DAY, **PERSON),
        postback(4, 40 * DAY + HOUR, conversion_unique_id="A", **PERSON),
        pixel(5, 40 * DAY + 2 * HOUR, **PERSON),
    ]
    found = conversion(*facts)
    assert (found.conversion_unique_id, found.status) == ("A", "approved")
    assert found.observations == 4  # what was taken back is shown: the report, the page, and both
    assert found.conversion_id == conversion(*facts[2:]).conversion_id


def test_1_18_a_release_takes_back_all_that_comes_to_count_through_it_and_nothing_later():
    created = [
        adjustment(n, n * HOUR, action="create", conversion_unique_id=number, **amount("50"))
        for n, number in ((2, "A"), (3, "B"), (5, "C"))
    ]
    release = adjustment(4, 4 * HOUR, action="release")
    assert conversions(click(), *created[:2], release) == ()
    found = conversion(click(), *created, release)
    assert (found.conversion_unique_id, found.status, found.observations) == ("C", "approved", 2)


def test_1_18_the_rest_is_read_by_the_catalog_that_counts_without_what_was_taken_back():
    """The creation names a catalog by which the goal repeats; without it, it counts once."""
    catalogs = (CATALOG, with_goal(SALE, repeat="many"))
    created = adjustment(2, HOUR, action="create", conversion_unique_id="A", catalog_version=2)
    release = adjustment(3, 2 * HOUR, action="release", conversion_unique_id="A")
    orders = [postback(n, n * HOUR, conversion_unique_id=f"{n}") for n in (4, 5)]
    taken = conversions(click(), created, release, *orders, catalogs=catalogs)
    assert taken == conversions(click(), *orders, catalogs=catalogs)
    assert [one.reason for one in taken] == [0, Reason.DUPLICATE_CONVERSION]


def test_4_16_what_comes_too_late_takes_no_creation_back():
    created = adjustment(2, HOUR, action="create", conversion_unique_id="A", goal_id=5, **PERSON)
    late = adjustment(3, 122 * DAY, action="release", conversion_unique_id="A", goal_id=5, **PERSON)
    decision = decide(click(**PERSON), created, late)
    assert decision.cases == decide(click(**PERSON), created).cases
    assert set(decision.late) == {late.receipt_id}
