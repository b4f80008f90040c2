"""Rule 8, notices. The number in a test's name is the clause's in docs/rules.md."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas import macros
from schemas.catalog import PartnerPostback
from schemas.decisions import Notice
from schemas.facts import AnyFact
from schemas.reasons import Reason
from streams.rules.former import Former
from streams.rules.names import digest
from streams.rules.notices import VALUES
from tests.streams.facts_of_a_shop import (
    CATALOG,
    DAY,
    adjustment,
    amount,
    click,
    conversion,
    decide,
    iframe,
    pixel,
    postback,
    with_blog,
)

URL = "https://tracker.example/cb?cid={aff_click_id}"


def told(*facts: AnyFact, **subscription: Any) -> list[Notice]:
    catalog = with_blog(postbacks=(PartnerPostback(**{"url": URL, **subscription}),))
    return decide(*facts, catalogs=(catalog,)).notices


def url(*facts: AnyFact, template: str) -> str:
    (notice,) = told(*facts, url=f"https://tracker.example/cb?{template}")
    return notice.url.partition("?")[2]


def test_8_1_an_affiliate_is_told_of_the_statuses_it_subscribed_to():
    facts = (click(), postback(2, **amount("50")))
    (notice,) = told(*facts)
    assert (notice.status, notice.url) == ("approved", "https://tracker.example/cb?cid=abc")
    assert (notice.affiliate_id, notice.offer_id, notice.transaction_id) == (42, 7, facts[0].transaction_id)
    assert notice.conversion_id == conversion(*facts).conversion_id
    assert told(*facts, on=("pending", "rejected")) == []
    assert [one.status for one in told(*facts, adjustment(3, status="rejected"), on=("rejected",))] == [
        "rejected"
    ]


def test_8_2_of_the_offers_and_goals_it_subscribed_to():
    facts = (click(), postback(2))
    assert len(told(*facts, offers=(7,), goals=(0,))) == 1
    assert told(*facts, offers=(8,)) == told(*facts, goals=(5,)) == []


def test_8_3_of_no_test_no_duplicate_and_nothing_that_awaits_its_click():
    every = {"on": ("approved", "pending", "rejected")}
    assert told(click(), postback(2, test=True), **every) == []
    assert told(postback(2), **every) == []
    assert told(postback(2), adjustment(3, status="approved"), **every) == []
    facts = (click(), *(postback(n, conversion_unique_id=f"A{n}") for n in (2, 3)))
    assert [notice.status for notice in told(*facts, **every)] == ["approved"]
    assert [notice.status for notice in told(click(), postback(2, 36 * DAY), **every)] == ["rejected"]


def test_8_4_a_notices_key_is_of_conversion_subscription_and_status():
    facts = (click(), postback(2, **amount("50")))
    (first,) = told(*facts)
    (again,) = told(*facts, postback(3, DAY, **amount("60")))
    assert again.notice_id == first.notice_id
    (other,) = told(*facts, url="https://other.example/")
    assert other.notice_id != first.notice_id
    every = {"on": ("approved", "rejected")}
    (before,), (after,) = told(*facts, **every), told(*facts, adjustment(3, status="rejected"), **every)
    assert before.notice_id == first.notice_id != after.notice_id
    (named,) = told(*facts, id="main")
    (moved,) = told(*facts, id="main", url="https://other.example/")
    assert (named.notice_id, named.subscription) == (moved.notice_id, moved.subscription)


def test_8_4_and_of_the_amount_where_amounts_are_subscribed():
    facts = (click(), postback(2, **amount("50")))
    (first,) = told(*facts, amounts=True)
    (again,) = told(*facts, postback(3, DAY, **amount("50"), adv_sub="x"), amounts=True)
    (changed,) = told(*facts, postback(3, DAY, **amount("60")), amounts=True)
    assert again.notice_id == first.notice_id != changed.notice_id
    (dearer,) = told(*facts, adjustment(4, revenue=Decimal(9)), amounts=True)
    assert dearer.notice_id == first.notice_id  # what the advertiser pays is nothing to the affiliate


def test_8_4_the_key_is_the_same_in_every_release():
    """Else whoever was told under the old release is told again by the new one."""
    (plain,) = told(click(), postback(2, **amount("50")))
    of = plain.conversion_id, digest("42", URL)[:16], "approved"
    assert plain.notice_id == digest(*of)
    (priced,) = told(click(), postback(2, **amount("50")), amounts=True)
    assert priced.notice_id == digest(*of, "4.00")


def test_8_5_one_subscription_written_twice_tells_once():
    twice = (PartnerPostback(url=URL), PartnerPostback(url=URL))
    assert len(decide(click(), postback(2), catalogs=(with_blog(postbacks=twice),)).notices) == 1


def test_8_6_the_url_is_filled_in_from_click_conversion_and_catalog():
    facts = (
        click(aff_sub="a b&c", params={"k": "v"}, ip="198.51.100.7", url_id=3),
        postback(2, **amount("50.00"), adv_sub="x", goal_id=0, conversion_unique_id="A"),
    )
    template = "s={aff_sub}&{params}&sum={payout}{currency}&of={sale_amount}&{status}&g={goal_name}"
    assert url(*facts, template=template) == "s=a%20b%26c&k=v&sum=4.00USD&of=50.00&approved&g=sale"
    template = (
        "{offer_name},{advertiser_ref},{affiliate_name},{goal_id},{adv_sub},{offer_url_id},{session_ip}"
    )
    assert url(*facts, template=template) == "Shoes,SH-1,Running%20Blog,0,x,3,198.51.100.7"
    assert (
        url(*facts, template="{datetime}|{timestamp}".replace("|", ","))
        == "2026-11-01%2013%3A00%3A00,1793538000"
    )
    early = postback(2, occurred_at="2026-11-01T12:30:00.000Z")
    assert url(click(), early, template="{time}") == "12%3A30%3A00"


def test_8_6_a_missing_value_is_empty():
    assert url(click(), postback(2), template="{sale_amount},{aff_sub},{goal_name}") == ",,sale"
    lost = click(offer_id=99), postback(2)
    (notice,) = told(*lost, url="https://t.example/?{offer_name},{goal_name}.", on=("rejected",))
    assert notice.url == "https://t.example/?,."


def test_8_7_an_address_is_the_customers_never_a_servers():
    server = postback(2, ip="203.0.113.9", user_agent="curl")
    seen = click(ip="198.51.100.7", user_agent="Firefox")
    assert url(seen, server, template="{ip},{user_agent}") == "198.51.100.7,Firefox"
    for kind in (pixel, iframe):
        page = kind(3, ip="198.51.100.8", user_agent="Safari")
        assert url(seen, server, page, template="{ip},{user_agent}") == "198.51.100.8,Safari"
    stated = postback(4, ip="203.0.113.9", conversion_ip="198.51.100.9", conversion_user_agent="Opera")
    assert url(seen, server, page, stated, template="{ip},{user_agent}") == "198.51.100.9,Opera"


def test_8_8_the_subscription_is_that_of_the_catalog_of_the_prices():
    catalogs = (CATALOG, with_blog(postbacks=()))
    assert len(decide(click(), postback(2), catalogs=catalogs).notices) == 1
    assert decide(click(), postback(2, catalog_version=2), catalogs=catalogs).notices == []


def test_8_9_deciding_again_gives_the_same_url_also_where_it_has_a_random_number():
    facts = (click(), postback(2))
    assert url(*facts, template="{ran}") == url(*facts, template="{ran}")
    (notice,) = told(*facts, url="https://tracker.example/{ran}")
    assert notice.url.rpartition("/")[2] == str(int(notice.notice_id[:8], 16))


@pytest.mark.parametrize("name", sorted(set(macros.NAMES) - {"ran"}))
def test_every_macro_has_a_value(name: str):
    assert name in VALUES
    url(click(), postback(2, sale_amount=Decimal(1)), template=f"{{{name}}}")


def test_what_is_rejected_for_another_reason_is_told_where_subscribed():
    (notice,) = told(click(), postback(2, offer_id=8), on=("rejected",))
    assert notice.status == "rejected"
    assert conversion(click(), postback(2, offer_id=8)).reason == Reason.OFFERS_DIFFER


def test_8_10_who_has_a_conversion_no_more_is_told_by_what_it_was():
    """By the catalog of then, with its own click (who is told, and when: test_reversals.py)."""
    call = PartnerPostback(
        url=f"{URL}&s={{status}}&p={{payout}}&of={{sale_amount}}", on=("approved", "rejected")
    )
    facts = (click(), postback(2, **amount("50")))
    decision = decide(*facts, catalogs=(with_blog(postbacks=(call,)), with_blog(postbacks=())))
    former = Former(
        transaction_id=facts[0].transaction_id,
        goal_id=0,
        conversion=decision.cases[0][0],
        visit=facts[0],
        statements=facts[1:],
    )
    assert decision.told_as(former, "approved") == decision.notices
    (reversal,) = decision.told_as(former, "rejected")
    assert reversal.url == "https://tracker.example/cb?cid=abc&s=rejected&p=0&of=50"
    assert reversal.subscription == decision.notices[0].subscription
    assert decision.told_as(former, "pending") == []
    duplicate = msgspec.structs.replace(former.conversion, status="rejected", reason=12)
    assert decision.told_as(msgspec.structs.replace(former, conversion=duplicate), "rejected") == []
