"""The link that `up` prints works: its offer takes clicks, and its affiliate may send them."""

import msgspec

from deploy.first_link import first_link
from schemas.catalog import Affiliate, Catalog, Offer, Permission

PAUSED = Offer(id=6, advertiser_id=1, name="Hats", url="https://shop.example/", status="paused")
SHOES = Offer(id=7, advertiser_id=1, name="Shoes", url="https://shop.example/")
CATALOG = Catalog(
    affiliates=(Affiliate(id=41, name="Gone", status="blocked"), Affiliate(id=42, name="Blog")),
    offers=(PAUSED, SHOES),
)


def test_the_link_is_of_an_active_offer_and_an_affiliate_that_may_send_clicks() -> None:
    assert first_link("http://edge", CATALOG) == "http://edge/click?offer_id=7&aff_id=42"


def test_an_affiliate_that_the_offer_does_not_admit_is_passed_over() -> None:
    others = msgspec.structs.replace(SHOES, affiliates=(Permission(id=43),))
    assert first_link("http://edge", msgspec.structs.replace(CATALOG, offers=(others,))) == ""
