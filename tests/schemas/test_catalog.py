"""The catalog's look-ups and versions: nothing is guessed, the first record with a number wins."""

from typing import Any

import msgspec
import pytest

from schemas.catalog import Affiliate, Catalog, Derived, Goal, Offer, Permission, PostbackProofs, Price
from schemas.catalog_check import check
from schemas.catalog_reader import Reader
from schemas.catalog_toml import dump
from schemas.catalog_versions import CatalogVersion, History, encode_version, record_key
from tests.schemas.catalogs import GOOD

CATALOG, _ = check(GOOD)
OFFER = Offer(
    id=7,
    advertiser_id=1,
    name="Shoes",
    url="https://shop.example/",
    hosts=("shop.example", "*.cdn.example"),
    goals=(
        Goal(id=0, name="sale", aliases=("purchase", "5")),
        Goal(id=12, name="Lead", aliases=("Sign Up",)),
    ),
)


@pytest.mark.parametrize(
    ("stated", "goal_id"),
    [
        ("0", 0),
        ("12", 12),
        ("5", 0),
        ("sale", 0),
        (" LEAD ", 12),
        ("sign up", 12),
        ("Purchase", 0),
        ("13", None),
        ("leads", None),
        ("", None),
        ("012", None),
    ],
)
def test_a_goal_is_resolved_by_id_name_or_alias_in_any_case_and_never_guessed(
    stated: str, goal_id: int | None
):
    assert OFFER.resolve_goal(stated) == goal_id


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("shop.example", True),
        ("SHOP.example", True),
        ("www.shop.example", False),
        ("a.cdn.example", True),
        ("a.b.cdn.example", True),
        ("cdn.example", False),
        ("evilcdn.example", False),
        ("*.cdn.example", True),
        ("", False),
    ],
)
def test_deep_links_go_to_the_offers_hosts_only(host: str, *, admitted: bool):
    assert OFFER.admits_host(host) is admitted


def test_who_may_run_an_offer_is_active_and_approved_for_it():
    offer = msgspec.structs.replace(
        OFFER,
        affiliates=(Permission(id=1), Permission(id=2, status="pending"), Permission(id=3), Permission(id=9)),
    )
    people = (
        Affiliate(id=1, name="one"),
        Affiliate(id=2, name="two"),
        Affiliate(id=3, name="three", status="blocked"),
        Affiliate(id=4, name="four"),
    )
    catalog = Catalog(affiliates=people, offers=(offer, msgspec.structs.replace(OFFER, id=8)))
    assert [n for n in range(10) if catalog.approves(offer, n)] == [1]
    assert [n for n in range(10) if catalog.approves(catalog.offer(8), n)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.9", True),
        ("203.0.114.9", False),
        ("::ffff:203.0.113.9", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", False),
        ("203.0.113.9, 1.2.3.4", False),
    ],
)
def test_an_address_is_allowed_by_its_network(address: str, *, allowed: bool):
    proofs = PostbackProofs(allow_from=("203.0.113.0/24", "2001:db8::/32"))
    assert proofs.allows(address) is allowed


def test_an_offers_proof_is_its_own_or_the_strongest_that_its_advertiser_has():
    weaker = {
        "signature": {},
        "token": {"keys": ()},
        "allow_from": {"keys": (), "token": ""},
        "none": {"keys": (), "token": "", "allow_from": ()},
    }
    shop, offer = CATALOG.advertisers[0], msgspec.structs.replace(CATALOG.offers[0], proof="")
    for proof, without in weaker.items():
        has = msgspec.structs.replace(shop, postback=msgspec.structs.replace(shop.postback, **without))
        catalog = msgspec.structs.replace(CATALOG, advertisers=(has,))
        assert catalog.required_proof(offer) == proof
    assert CATALOG.required_proof(msgspec.structs.replace(offer, proof="none")) == "none"


def test_an_advertisers_word_means_its_status_in_any_case():
    shop = CATALOG.advertiser(1)
    words = ("OK", " cancelled", "Approved", "rejected", "pending", "shipped", "")
    assert [shop.status_of(word) for word in words] == [
        *("approved", "rejected", "approved", "rejected", "pending"),
        *(None, None),
    ]


def test_everything_is_found_by_its_id_and_nothing_else_is():
    found = CATALOG.offer(7), CATALOG.affiliate(42), CATALOG.advertiser(1), CATALOG.link("/ABC123/2CTPL")
    assert [entry.name for entry in found[:3]] == ["Shoes", "Running Blog", "Shoe Shop"]
    assert (found[3].offer_id, CATALOG.offers_of(1), CATALOG.offers_of(2)) == (7, (found[0],), ())
    assert (found[0].landing_page(3).id, found[0].landing_page(4), found[0].goal(0).name) == (3, None, "sale")
    assert [CATALOG.offer(8), CATALOG.affiliate(1), CATALOG.advertiser(2), CATALOG.link("/abc123/2CTPL")] == [
        None
    ] * 4


def test_an_advertiser_without_a_zone_has_the_networks():
    here = msgspec.structs.replace(CATALOG.advertisers[0], time_zone="")
    catalog = msgspec.structs.replace(CATALOG, advertisers=(here,))
    assert (catalog.time_zone_of(1), Catalog().time_zone_of(1)) == ("Europe/Berlin", "UTC")


def test_prices_currencies_and_windows_are_as_written():
    offer, goal = CATALOG.offer(7), CATALOG.offer(7).goal(0)
    assert (offer.click_window_ms, offer.view_window_ms, offer.min_time_ms) == (2_592_000_000, 86_400_000, 0)
    assert (goal.paid_in, goal.billed_in, goal.dedupe_window_ms) == ("USD", "USD", 600_000)
    assert goal.payout == Price(percent=msgspec.convert("8", type(goal.payout.percent)))
    other = msgspec.structs.replace(goal, payout_currency="EUR")
    assert (other.paid_in, other.billed_in) == ("EUR", "USD")


def test_a_partner_postback_is_for_its_offers_and_goals_and_is_named_by_its_id_or_url():
    call = CATALOG.affiliate(42).postbacks[0]
    assert (call.wants(7, 0), call.subscription) == (True, call.url)
    narrow = msgspec.structs.replace(call, offers=(7,), goals=(0,), id="tracker")
    assert (narrow.wants(7, 0), narrow.wants(8, 0), narrow.wants(7, 12)) == (True, False, False)
    assert narrow.subscription == "tracker"


def version(number: int, name: str = "Shoes", **changes: Any):
    offer = msgspec.structs.replace(OFFER, name=name)
    return CatalogVersion(
        **{
            "version": number,
            "applied_at": "2026-11-23T02:55:00.123Z",
            "applied_by": "ann@office",
            "catalog": msgspec.structs.replace(CATALOG, offers=(offer, *CATALOG.offers[1:])),
        }
        | changes
    )


def test_a_version_comes_back_as_it_was_written():
    derived = msgspec.structs.replace(OFFER, identifier=Derived(derived=("email", "aff_sub")), affiliates=())
    before = version(3, catalog=msgspec.structs.replace(CATALOG, offers=(derived,)))
    assert Reader().read(encode_version(before)) == before
    assert record_key(3) == b"3"


def test_a_field_of_a_newer_release_is_read_over():
    value = encode_version(version(1)).replace(b'"name":"Shoes"', b'"name":"Shoes","colour":"red"')
    assert Reader().read(value) == version(1)


def test_what_is_no_version_is_a_valueerror():
    for value in (b"", b"{}", b"\xff", encode_version(version(1)).replace(b'"version":1', b'"version":0')):
        with pytest.raises(ValueError):  # noqa: PT011  the kind is the contract
            Reader().read(value)


def test_the_first_record_with_a_number_wins():
    history = History([version(1)])
    assert (history.add(version(1, "Boots")), history.at(1)) == (False, version(1))


def test_the_greatest_number_is_in_force_in_whatever_order_they_come():
    history = History([version(2), version(1), version(4)])
    assert (history.current, history.versions, history.at(3)) == (version(4), [1, 2, 4], None)


def test_an_empty_history_has_no_current_version():
    assert (History().current, History().versions) == (None, [])


def test_versions_share_what_did_not_change():
    history = History([Reader().read(encode_version(version(n, name))) for n, name in ((1, "a"), (2, "b"))])
    one, two = history.at(1).catalog, history.at(2).catalog
    assert (one.affiliates[0] is two.affiliates[0], one.offers[0].name, two.offers[0].name) == (
        True,
        "a",
        "b",
    )


def test_a_catalog_written_as_a_file_reads_back_as_the_same():
    assert check(dump(CATALOG)) == (CATALOG, [])


def test_whatever_a_text_holds_the_written_file_reads_back_as_the_same():
    odd = 'a "quoted" \\ back\tslash \x7f \x01 ü 😀 # = ] } \n line'
    shop = msgspec.structs.replace(CATALOG.advertisers[0], name=odd, status_words={odd: "pending"})
    catalog = msgspec.structs.replace(CATALOG, advertisers=(shop,))
    assert check(dump(catalog)) == (catalog, [])
