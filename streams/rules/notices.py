"""What partners are to be told of a conversion: rule 8 of streams.rules.decide."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from schemas import macros, times
from schemas.catalog import Catalog, PartnerPostback
from schemas.decisions import Conversion, Notice
from schemas.facts import Click, Impression
from schemas.reasons import Reason
from streams.rules.merge import AnyStatement, said, said_amount
from streams.rules.names import digest

_UNDATED: Final = times.from_ms(0)  # the worker fills in version and time: they are no part of the content


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that a partner's URL may ask for. ranked: the conversion's statements, the most trusted first."""

    transaction_id: str
    goal_id: int
    conversion: Conversion
    visit: Click | Impression
    ranked: Sequence[AnyStatement]
    catalog: Catalog


def notices(story: Story) -> list[Notice]:
    """One for each of the affiliate's subscriptions to this status, its URL complete."""
    conversion = story.conversion
    affiliate = story.catalog.affiliate(conversion.affiliate_id)
    if affiliate is None or conversion.test or conversion.reason == Reason.DUPLICATE_CONVERSION:
        return []
    due = [
        _notice(story, postback)
        for postback in affiliate.postbacks
        if conversion.status in postback.on and postback.wants(conversion.offer_id, story.goal_id)
    ]
    return list({notice.notice_id: notice for notice in due}.values()) if len(due) > 1 else due


def notice_id(conversion_id: str, subscription: str, status: str, amount: Decimal | None) -> str:
    """What a notice is known by; amount: the payout where changed ones are subscribed to."""
    if amount is None:
        return digest(conversion_id, subscription, status)
    return digest(conversion_id, subscription, status, f"{amount:f}")


def _notice(story: Story, postback: PartnerPostback) -> Notice:
    conversion = story.conversion
    subscription = _subscription_id(conversion.affiliate_id, postback.subscription)
    amount = conversion.payout if postback.amounts else None
    named = notice_id(conversion.conversion_id, subscription, conversion.status, amount)
    values = {name: VALUES[name](story) for name in postback.template.names if name in VALUES}
    if "ran" in postback.template.names:  # another for each notice, and the same when decided again
        values["ran"] = str(int(named[:8], 16))
    return Notice(
        notice_id=named,
        transaction_id=story.transaction_id,
        conversion_id=conversion.conversion_id,
        version=0,
        affiliate_id=conversion.affiliate_id,
        offer_id=conversion.offer_id,
        subscription=subscription,
        status=conversion.status,
        url=macros.fill(postback.template, values, story.visit.params),
        decided_at=_UNDATED,
    )


def _of_conversion(name: str) -> Callable[[Story], str]:
    return lambda story: str(getattr(story.conversion, name))


def _of_offer(name: str) -> Callable[[Story], str]:
    return lambda story: _text(story.catalog.offer(story.conversion.offer_id), name)


def _of_affiliate(name: str) -> Callable[[Story], str]:
    return lambda story: _text(story.catalog.affiliate(story.conversion.affiliate_id), name)


def _of_advertiser(name: str) -> Callable[[Story], str]:
    return lambda story: _text(story.catalog.advertiser(story.conversion.advertiser_id), name)


def _of_time(name: str) -> Callable[[Story], str]:
    return lambda story: macros.time_values(times.to_ms(story.conversion.occurred_at))[name]


def _text(entry: object, name: str) -> str:
    return "" if entry is None else str(getattr(entry, name))


def _goal_name(story: Story) -> str:
    offer = story.catalog.offer(story.conversion.offer_id)
    return _text(offer.goal(story.goal_id) if offer else None, "name")


def _sale_amount(story: Story) -> str:
    amount = said_amount(story.ranked, "sale_amount")
    return "" if amount is None else f"{amount:f}"


def _customer(field: str) -> Callable[[Story], str]:
    """The customer's address or browser: as the advertiser states it, else as seen; never a server's."""

    def found(story: Story) -> str:
        stated = said(story.ranked, f"conversion_{field}")
        seen = said([one for one in story.ranked if one.kind in ("pixel", "iframe")], field)
        return str(stated or seen or getattr(story.visit, field))

    return found


_FROM_CONVERSION: Final = (
    *("conversion_id", "status", "offer_id", "affiliate_id", "advertiser_id", "source", "creative_id"),
    *("aff_sub", "aff_sub2", "aff_sub3", "aff_sub4", "aff_sub5", "aff_click_id"),
    *("aff_unique1", "aff_unique2", "aff_unique3", "aff_unique4", "aff_unique5"),
    *("adv_sub", "adv_sub2", "adv_sub3", "adv_sub4", "adv_sub5", "country_code", "device_os"),
)

VALUES: Final[dict[str, Callable[[Story], str]]] = {
    **{name: _of_conversion(name) for name in _FROM_CONVERSION},
    **{name: _of_time(name) for name in ("date", "time", "datetime", "timestamp")},
    "transaction_id": lambda story: story.transaction_id,
    "goal_id": lambda story: str(story.goal_id),
    "goal_name": _goal_name,
    "offer_name": _of_offer("name"),
    "offer_ref": _of_offer("ref"),
    "affiliate_name": _of_affiliate("name"),
    "affiliate_ref": _of_affiliate("ref"),
    "advertiser_ref": _of_advertiser("ref"),
    "payout": lambda story: f"{story.conversion.payout:f}",
    "currency": lambda story: story.conversion.payout_currency,
    "sale_amount": _sale_amount,
    "offer_url_id": lambda story: str(story.visit.url_id),
    "ip": _customer("ip"),
    "user_agent": _customer("user_agent"),
    "session_ip": lambda story: story.visit.ip,
    "device_brand": lambda story: story.visit.device_brand,
}


@lru_cache(maxsize=4096)  # a network has about as many; each conversion asks for its affiliate's
def _subscription_id(affiliate_id: int, subscription: str) -> str:
    """Two affiliates may call theirs alike, and a conversion may be first the one's and then the other's."""
    return digest(str(affiliate_id), subscription)[:16]
