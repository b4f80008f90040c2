"""Facts by the million: real clicks and postbacks, each a function of its number, spelled without an object.

Ten times as quick as making and encoding a Click each; a test decodes them. Their times run evenly over the
last days, so that identifiers, which carry theirs, come in the order of time as they do in life.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from proof.histories import BY_AFFILIATE, DAY, KEYS, shared_id
from proof.people import BROWSERS
from schemas import times, transaction_id
from service.kafka import Outgoing

DAYS: Final = 20  # within every window
HOT: Final = shared_id("a", "the hot affiliate")
OFFER, AFFILIATE = 7, 42

_AGENTS: Final = [browser.user_agent.encode() for browser in BROWSERS]
_CLICK: Final = (
    b'{"kind":"click","receipt_id":"06cvproof%07d0000000-%d","transaction_id":"%b","received_at":"%b",'
    b'"occurred_at":"%b","edge":"proof-1","catalog_version":1,"offer_id":%d,"affiliate_id":42,'
    b'"advertiser_id":1,"aff_sub":"campaign-%d","aff_click_id":"%b","source":"newsletter",'
    b'"host":"track.example","country_code":"DE","device_type":"mobile","device_os":"iOS","ip":"198.51.%d.%d",'
    b'"user_agent":"%b","is_unique":true,"redirect_url":"https://shop.example/landing?tid=%b"}'
)
_POSTBACK: Final = (
    b'{"kind":"postback","receipt_id":"06cvsales%07d0000000-%d","transaction_id":"%b","received_at":"%b",'
    b'"occurred_at":"%b","edge":"proof-1","catalog_version":1,"offer_id":%d,"sale_amount":"49.90",'
    b'"sale_currency":"EUR","conversion_unique_id":"order-%d","ip":"203.0.113.9","user_agent":"shop-backend/3.2"}'
)
_EPOCH: Final = 10_000_000  # receipts of one epoch


class Bulk:
    """So many transactions of one click each, and what is stated about them."""

    def __init__(self, transactions: int, now_ms: int, days: int = DAYS) -> None:
        self.transactions = transactions
        self._start_ms = now_ms - days * DAY
        self._step_ms = days * DAY / max(1, transactions)
        self._sales = 0

    def identifier(self, number: int) -> str:
        """The transaction of this number."""
        chance = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=7).digest()
        return transaction_id.make(KEYS, self._at_ms(number), chance)

    def clicks(self, start: int, end: int) -> Iterator[Outgoing]:
        """The clicks of these transactions."""
        for number in range(start, end):
            yield self._click(number, self.identifier(number), OFFER)

    def hot_clicks(self, start: int, end: int) -> Iterator[Outgoing]:
        """The same, all under one affiliate identifier."""
        for number in range(start, end):
            yield self._click(number, HOT, BY_AFFILIATE)

    def sale(self, number: int) -> Outgoing:
        """An order of this transaction, another one each time."""
        return self._sale(number, self.identifier(number), OFFER)

    def hot_sale(self, number: int) -> Outgoing:
        """An order of the affiliate, at the time of this transaction."""
        return self._sale(number, HOT, BY_AFFILIATE)

    def _at_ms(self, number: int) -> int:
        return self._start_ms + int(number * self._step_ms)

    def _click(self, number: int, name: str, offer_id: int) -> Outgoing:
        key, at = name.encode(), times.from_ms(self._at_ms(number)).encode()
        made = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=12).hexdigest().encode()
        value = _CLICK % (
            *(number // _EPOCH, number % _EPOCH + 1, key, at, at, offer_id, number % 997, made),
            *(number % 251, number % 241, _AGENTS[number % len(_AGENTS)], key),
        )
        return Outgoing("clicks", key, value)

    def _sale(self, number: int, name: str, offer_id: int) -> Outgoing:
        self._sales += 1
        count = self._sales
        key, at = name.encode(), times.from_ms(self._at_ms(number) + 1_000).encode()
        value = _POSTBACK % (count // _EPOCH, count % _EPOCH + 1, key, at, at, offer_id, count)
        return Outgoing("postbacks", key, value)
