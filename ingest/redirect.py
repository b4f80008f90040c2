"""Where a click goes: the offer, a landing page, a deep link, or a fallback and why."""

from functools import lru_cache
from typing import Final
from urllib.parse import quote

import msgspec

from schemas import macros
from schemas.catalog import Catalog, Offer
from schemas.macros import Template
from schemas.reasons import Reason

MAX_DEEP_LINK: Final = 2_000  # characters: what every browser and shop takes
_URL_CHARACTERS: Final = "%/:?#[]@!$&'()*+,;=-._~"


class Destination(msgspec.Struct, frozen=True):
    """A place to go; template is None where there is none.

    reason: why it is not the offer, NONE where it is.
    url_id: the landing page that was chosen, 0 for the offer's own URL and deep links.
    """

    template: Template | None
    reason: Reason = Reason.NONE
    url_id: int = 0


def destination(catalog: Catalog, offer: Offer, affiliate_id: int, wish: tuple[str, int]) -> Destination:
    """Where a click on the offer goes; `wish` is the deep link and the landing page that it names.

    A wish that cannot be met leads to the offer's own URL: the person wanted the offer.
    """
    if not offer.is_active:
        return Destination(offer.fallback_template or catalog.default_template, Reason.OFFER_PAUSED)
    if not catalog.approves(offer, affiliate_id):
        return Destination(offer.fallback_template or catalog.default_template, Reason.AFFILIATE_NOT_APPROVED)
    url, url_id = wish
    if url and (deep := deep_link(url, offer.template)) and offer.admits_host(deep.host):
        return Destination(deep)
    if url_id and (page := offer.landing_page(url_id)):
        return Destination(page.template, url_id=url_id)
    return Destination(offer.template)


@lru_cache(maxsize=4096)  # affiliates link to the same products: compiling costs 30 us
def deep_link(url: str, own: Template) -> Template | None:
    """The deep link as a template; None where it is no URL.

    It may name macros. Where it does not carry the transaction ID itself, the offer's own parameters that
    have macros are added: without them the shop would never learn the ID.
    """
    if len(url) > MAX_DEEP_LINK:
        return None
    for kept in ("{}", ""):  # braces that are no macros of ours are text
        text = quote(url, safe=_URL_CHARACTERS + kept)
        try:
            template = macros.compile_template(text)
            if "transaction_id" in template.names:
                return template
            return macros.compile_template(_with_parameters(text, own))
        except ValueError:
            continue
    return None


def _with_parameters(url: str, own: Template) -> str:
    query = own.source.partition("#")[0].partition("?")[2]
    carried = "&".join(part for part in query.split("&") if "{" in part)
    if not carried:
        return url
    page, hash_sign, fragment = url.partition("#")
    return f"{page}{'&' if '?' in page else '?'}{carried}{hash_sign}{fragment}"
