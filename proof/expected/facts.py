"""What the naive reading makes of facts."""

from collections.abc import Iterable, Mapping

from proof.expected.cases import expect
from proof.expected.words import Expected, Statement, Visit
from schemas import times
from schemas.catalog import Catalog
from schemas.facts import Adjustment, AnyFact, Click, Impression, Pixel, Postback

OWN = ("action", "payout", "revenue", "by_file", "key", "why")  # only an adjustment has them


def read(facts: Iterable[AnyFact], catalogs: Mapping[int, Catalog]) -> list[Expected]:
    """What must stand of all facts of one transaction."""
    facts = list(facts)
    if not facts:
        return []
    visits = [visit_of(one) for one in facts if isinstance(one, Click | Impression)]
    said = [statement_of(one) for one in facts if not isinstance(one, Click | Impression)]
    return expect(visits, said, catalogs, facts[0].transaction_id)


def visit_of(fact: Click | Impression) -> Visit:
    """The visit that a fact states."""
    return Visit(
        kind="click" if isinstance(fact, Click) else "impression",
        receipt=fact.receipt_id,
        received_ms=times.to_ms(fact.received_at),
        occurred_ms=times.to_ms(fact.occurred_at),
        catalog_version=fact.catalog_version,
        offer_id=fact.offer_id,
        affiliate_id=fact.affiliate_id,
        country=fact.country_code,
        device=fact.device_type,
        source=fact.source,
        is_bot=fact.is_bot,
        redirect_reason=fact.redirect_reason if isinstance(fact, Click) else 0,
    )


def statement_of(fact: Pixel | Postback | Adjustment) -> Statement:
    """The statement that a fact makes."""
    if isinstance(fact, Adjustment):
        own = {"by": fact.stated_by, **{name: getattr(fact, name) for name in OWN}}
    else:
        own = {"proven_by": fact.proven_by, "proven_for": fact.proven_for}
    return Statement(
        kind=fact.kind,
        receipt=fact.receipt_id,
        received_ms=times.to_ms(fact.received_at),
        occurred_ms=times.to_ms(fact.occurred_at),
        catalog_version=fact.catalog_version,
        offer_id=fact.offer_id,
        goal=fact.goal,
        goal_id=fact.goal_id,
        amount=fact.sale_amount,
        currency=fact.sale_currency,
        status=fact.status,
        number=fact.conversion_unique_id,
        test=fact.test,
        **own,
    )
