"""Notice: what is to be done with a notice, and the delivery record of what was done."""

from typing import Literal

from schemas import times
from schemas.decisions import Delivery, Notice
from sinks.dial import Answer


def outcome(answer: Answer) -> Literal["delivered", "refused", "dead"]:
    """The outcome of an answer, where each notice is tried once."""
    if answer.delivered:
        return "delivered"
    return "refused" if answer.forbidden else "dead"


def superseded(notice: Notice, told_version: int) -> Answer | None:
    """The answer to a notice that is older than what its partner was told last; none where it is not."""
    if notice.version >= told_version:
        return None
    return Answer(
        detail=f"superseded: version {told_version} was told before this version {notice.version}",
        forbidden=True,
    )


def delivery(notice: Notice, answer: Answer, now_ms: int) -> Delivery:
    """The record of the one attempt; with it the notice has ended."""
    return Delivery(
        notice_id=notice.notice_id,
        transaction_id=notice.transaction_id,
        conversion_id=notice.conversion_id,
        version=notice.version,
        affiliate_id=notice.affiliate_id,
        offer_id=notice.offer_id,
        subscription=notice.subscription,
        url=notice.url,
        attempt=1,
        outcome=outcome(answer),
        http_status=answer.status,
        detail=answer.detail,
        ended=True,
        at=times.from_ms(now_ms),
        took_ms=answer.took_ms,
    )


def was_dialled(record: Delivery) -> bool:
    """Whether the partner was, or may have been, told."""
    return record.outcome != "refused"
