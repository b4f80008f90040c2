"""A plan: what a request comes to, and the fact that must be durable before that may be said."""

from collections.abc import Callable

import msgspec

from ingest.answers import Result
from ingest.receipts import Receipt
from schemas.facts import AnyFact


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    result: the answer, once the fact is durable; at once where there is none.
    topic: of the fact, empty where there is none; build makes the fact of its receipt.
    offer_id, affiliate_id, transaction_id: for counters and refusals, 0 and empty where not known.
    """

    result: Result
    topic: str = ""
    build: Callable[[Receipt], AnyFact] | None = None
    offer_id: int = 0
    affiliate_id: int = 0
    transaction_id: str = ""
