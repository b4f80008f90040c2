"""A catalog as large as networks have: offers, advertisers, affiliates, each with something of everything."""

from collections.abc import Iterator
from typing import Final

ADVERTISERS: Final = 1_000
AFFILIATES: Final = 1_000
OFFERS: Final = 10_000
TOKEN: Final = "the static token of advertiser {}"  # noqa: S105  a made-up shop's
CURRENCIES: Final = ("EUR", "GBP", "SEK", "PLN", "CHF", "JPY", "CAD", "AUD")
DAYS: Final = 28  # of rates
OWN_PERCENT: Final = 9  # of the affiliate that has its own price, of the order
TIERS: Final = ("", "silver", "gold")


def written(
    offers: int = OFFERS, *, paused: int = 0, landing: str = "https://shop{advertiser}.example"
) -> str:
    """The file. paused: this offer is, else none. landing: where an advertiser's visitors go."""
    return "\n".join(_lines(offers, paused, landing))


def advertiser_of(offer: int) -> int:
    """Whose offer it is."""
    return 1 + offer % ADVERTISERS


def favourite_of(offer: int) -> int:
    """The affiliate that has its own price at the offer."""
    return 1 + offer % AFFILIATES


def lead_of(offer: int) -> int:
    """The ID of the offer's second goal, which may repeat."""
    return 100_000 + offer


def _lines(offers: int, paused: int, landing: str) -> Iterator[str]:
    yield '[network]\ntime_zone = "Europe/Berlin"\nrates = ['
    for day in range(1, DAYS + 1):
        for n, code in enumerate(CURRENCIES):
            yield f'  {{ from = "{code}", to = "USD", rate = "1.{n}{day:02}", since = "2026-10-{day:02}" }},'
    yield "]"
    for n in range(1, ADVERTISERS + 1):
        yield f'[[advertisers]]\nid = {n}\nname = "Advertiser {n}"\nref = "A-{n}"\ntime_zone = "Europe/Paris"'
        yield f'postback = {{ token = "{TOKEN.format(n)}", allow_from = ["10.{n // 250}.{n % 250}.0/24"] }}'
        yield 'status_words = { ok = "approved", cancelled = "rejected", open = "pending" }'
    for n in range(1, AFFILIATES + 1):
        yield f'[[affiliates]]\nid = {n}\nname = "Affiliate {n}"\ntier = "{TIERS[n % len(TIERS)]}"'
        tracker = f"https://t{n}.example/cb?c={{aff_click_id}}&s={{payout}}"
        yield f'postbacks = [{{ url = "{tracker}", on = ["approved"] }}]'
    for n in range(1, offers + 1):
        shop = landing.format(advertiser=advertiser_of(n))
        yield f'[[offers]]\nid = {n}\nadvertiser_id = {advertiser_of(n)}\nname = "Offer {n}"\nref = "O-{n}"'
        yield f'status = "{"paused" if n == paused else "active"}"'
        yield f'hosts = ["shop{advertiser_of(n)}.example"]'
        yield f'url = "{shop}/o/{n}?tid={{transaction_id}}&s={{aff_sub}}&c={{country_code}}"'
        yield f'landing_pages = [{{ id = 1, url = "{shop}/sale/{n}?tid={{transaction_id}}" }}]'
        yield f'fallback_url = "{shop}/?tid={{transaction_id}}"\nproof = "token"\nmin_time = "0s"'
        yield '[[offers.goals]]\nid = 0\nname = "sale"\naliases = ["purchase", "order"]'
        yield 'payout = { percent = "8" }\nrevenue = { percent = "10" }\ncurrency = "USD"\nterms = ['
        yield f'  {{ affiliate = {favourite_of(n)}, payout = {{ percent = "{OWN_PERCENT}" }} }},'
        yield '  { tier = "gold", country = ["DE", "AT"], payout = { percent = "10" } },\n]'
        yield f'[[offers.goals]]\nid = {lead_of(n)}\nname = "lead"\nrepeat = "many"'
        yield 'payout = { fixed = "2.00" }\nrevenue = { fixed = "3.00" }\ncurrency = "EUR"'
