"""One conversion, whole: what its statements and its visit make of a group of them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import compress
from operator import attrgetter
from typing import Any, Final

import msgspec

from schemas.decisions import ZERO, Conversion, Notice
from schemas.facts import Click, Impression
from schemas.reasons import Reason
from streams.rules.credit import Credit
from streams.rules.grouping import Group
from streams.rules.merge import AnyStatement, order, rank, said_amount, speaker, speaker_of_currency
from streams.rules.names import absorbed, conversion_id
from streams.rules.notices import Story, notices
from streams.rules.permission import Objection, objection_at_visit
from streams.rules.status import Evidence, Verdict, verdict
from streams.rules.terms import Quote, Sale, quote
from streams.rules.transaction import Setting, Transaction, version_of

BEFORE_CLICK: Final = "before_click"  # the clocks say that the conversion came before its visit
TOO_MANY: Final = "too_many_observations"  # of the case; some of them do not count

# Fields that a conversion has under the same name as its credited visit, and as its statements.
FROM_VISIT: Final = (
    *("affiliate_id", "aff_sub", "aff_sub2", "aff_sub3", "aff_sub4", "aff_sub5", "aff_click_id"),
    *("aff_unique1", "aff_unique2", "aff_unique3", "aff_unique4", "aff_unique5", "source", "url_id"),
    *("creative_id", "country_code", "device_type", "device_os", "is_bot"),
)
_of_visit: Final = attrgetter(*FROM_VISIT)  # twice as quick as asking for each
SPOKEN_BY_ALL: Final = ("status", "sale_amount", "sale_currency")  # what is told of who spoke
SPOKEN: Final = (*SPOKEN_BY_ALL, "payout", "revenue")
FROM_STATEMENTS: Final = ("promo_code", "adv_sub", "adv_sub2", "adv_sub3", "adv_sub4", "adv_sub5")
_of_observation: Final = attrgetter(*FROM_STATEMENTS)
_NOTHING: Final = ("",) * len(FROM_STATEMENTS)


class Words(msgspec.Struct, frozen=True):
    """What is stated of a conversion.

    ranked: by whom, the most trusted first. speakers: by field whose word counts, None where nobody says it.
    """

    ranked: Sequence[AnyStatement]
    speakers: Mapping[str, AnyStatement | None]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What the conversions of a case share.

    setting: what the catalog says of its first observation; own: the visit that this one is about.
    click: with a person's identifier the receipt of the visit that they are of; else empty.
    counts: the first of its groups, which on a once goal is the one that counts.
    objections: by receipt, why an observation may make no conversion.
    is_cut: whether there were more observations than a case may have.
    """

    transaction: Transaction
    goal_id: int
    test: bool
    setting: Setting
    own: Click | Impression | None
    click: str
    counts: Group
    objections: Mapping[str, Objection]
    is_cut: bool


class Row(msgspec.Struct, frozen=True):
    """A conversion, what partners are to be told of it, and the visit that it is credited to."""

    conversion: Conversion
    notices: list[Notice]
    visit: Click | Impression | None


def conversion_of(case: Case, group: Group) -> Row:
    """The conversion that these statements make."""
    transaction = case.transaction
    credit = transaction.credit(group.statements[0])
    visit = credit.visit if credit else None
    setting = _setting(case, visit, group)
    ranked = rank(_in_order(group))
    words = Words(ranked, _speakers(ranked))
    sale = _sale(words, setting, group.statements[0].occurred_at[:10])
    worth = quote(setting.goal, visit, sale, setting.catalog) if visit and setting.goal else None
    found = verdict(_evidence(case, group, credit, setting, worth, words))
    conversion = Conversion(
        test=case.test,
        catalog_version=setting.version,
        offer_id=setting.offer_id,
        advertiser_id=setting.advertiser_id,
        sale_amount=ZERO if sale.amount is None else sale.amount,
        sale_currency=sale.currency,
        flags=_flags(case, credit),
        **_named(case, group, found),
        **_credited(credit),
        **_observed(group, ranked),
        **_adjusted(group, ranked),
        **_explained(case, group, words),
        **_worth(worth, found, test=case.test),
    )
    if visit is None:
        return Row(conversion, [], None)
    story = Story(
        transaction_id=transaction.transaction_id,
        goal_id=case.goal_id,
        conversion=conversion,
        visit=visit,
        ranked=ranked,
        catalog=setting.catalog,
    )
    return Row(conversion, notices(story), visit)


def _in_order(group: Group) -> Sequence[AnyStatement]:
    """What has a say, in the order of receipt: the network may have created it after it spoke of it."""
    if not group.adjustments:
        return group.statements
    return sorted([*group.statements, *group.adjustments], key=order)


def _setting(case: Case, visit: Click | Impression | None, group: Group) -> Setting:
    """The case's, but where this conversion is of another visit or a later catalog."""
    first = group.statements[0]
    if visit and visit is case.own and version_of(visit, first) == case.setting.version:
        return case.setting
    return case.transaction.setting(case.goal_id, visit, group.statements)


def _speakers(ranked: Sequence[AnyStatement]) -> dict[str, AnyStatement | None]:
    """Whose word counts for what: rule 2."""
    fields = SPOKEN if ranked[0].kind == "adjustment" else SPOKEN_BY_ALL
    found = {field: speaker(ranked, field) for field in fields}
    if found["sale_currency"]:
        found["sale_currency"] = speaker_of_currency(ranked)
    return found


def _sale(words: Words, setting: Setting, day: str) -> Sale:
    ranked, by, of_currency = words.ranked, words.speakers["sale_amount"], words.speakers["sale_currency"]
    amount = by.sale_amount if by else None
    currency = of_currency.sale_currency if of_currency else ""
    if amount is not None and not currency and setting.goal:
        currency = setting.goal.paid_in
    if ranked[0].kind != "adjustment":  # the network's word comes first, and no other states what is owed
        return Sale(amount, currency, day)
    return Sale(amount, currency, day, said_amount(ranked, "payout"), said_amount(ranked, "revenue"))


def _evidence(
    case: Case,
    group: Group,
    credit: Credit | None,
    setting: Setting,
    worth: Quote | None,
    words: Words,
) -> Evidence:
    by = words.speakers["status"]
    transaction = case.transaction
    return Evidence(
        group=group,
        goal_id=case.goal_id,
        goal_name=group.statements[0].goal,
        test=case.test,
        speaker=by,
        word=by.status if by else "",
        stated=setting.status_of(by) if by else None,
        credit=credit,
        offer=setting.offer,
        goal=setting.goal,
        quote=worth,
        barred=_barred(case, group, words.ranked),
        at_visit=_at_visit(case, credit),
        first=case.counts.number,
        is_shared=transaction.is_shared,
        needs_number=transaction.is_shared and not transaction.is_persons,
    )


def _barred(case: Case, group: Group, ranked: Sequence[AnyStatement]) -> Objection | None:
    """Why none of the group's observations has permission, in the words about the most trusted."""
    if group.statements[0].receipt_id not in case.objections:
        return None
    return next(case.objections[one.receipt_id] for one in ranked if one.receipt_id in case.objections)


def _at_visit(case: Case, credit: Credit | None) -> Objection | None:
    if credit is None:
        return None
    catalog = case.transaction.catalog(credit.visit.catalog_version)
    return objection_at_visit(credit.visit, case.goal_id, catalog)


def _named(case: Case, group: Group, found: Verdict) -> dict[str, Any]:
    transaction_id, goal_id = case.transaction.transaction_id, case.goal_id
    repeats = found.reason == Reason.DUPLICATE_CONVERSION
    return {
        "conversion_id": _id(case, group),
        "conversion_unique_id": group.number,
        "absorbs": absorbed(transaction_id, goal_id, group, test=case.test),
        "status": found.status,
        "reason": int(found.reason),
        "reason_detail": found.detail,
        "duplicate_of": _id(case, case.counts) if repeats else "",
    }


def _id(case: Case, group: Group) -> str:
    transaction_id = case.transaction.transaction_id
    return conversion_id(transaction_id, case.goal_id, group, click=case.click, test=case.test)


def _credited(credit: Credit | None) -> dict[str, Any]:
    if credit is None:
        return {}
    visit = credit.visit
    values = _of_visit(visit)
    return dict(
        compress(zip(FROM_VISIT, values, strict=True), values),  # what is empty there is so here
        credited_by=credit.by,
        click_receipt_id=visit.receipt_id,
        clicked_at=visit.occurred_at,
    )


def _observed(group: Group, ranked: Sequence[AnyStatement]) -> dict[str, Any]:
    all_of_it = [*ranked, *group.shown] if group.shown else ranked
    return {
        "occurred_at": group.statements[0].occurred_at,
        "received_at": group.statements[0].received_at,
        "observations": len(all_of_it),
        "observed_by": tuple(sorted({one.kind for one in all_of_it})),
        "receipts": tuple(sorted([one.receipt_id for one in all_of_it])),
        **_said(ranked),
    }


def _said(ranked: Sequence[AnyStatement]) -> dict[str, str]:
    """Of FROM_STATEMENTS those that anybody states, as the first says who does."""
    found: dict[str, str] = {}
    for one in reversed(ranked):
        if one.kind != "adjustment" and (values := _of_observation(one)) != _NOTHING:
            found.update(compress(zip(FROM_STATEMENTS, values, strict=True), values))
    return found


def _adjusted(group: Group, ranked: Sequence[AnyStatement]) -> dict[str, Any]:
    """The network's latest word on it, who, when and why: it outranks all others, or was taken back."""
    if not group.shown and ranked[0].kind != "adjustment":
        return {}
    stated = [one for one in (ranked[0], *group.shown) if one.kind == "adjustment"]
    if not stated:
        return {}
    last = max(stated, key=order)
    return {"adjusted_by": last.stated_by, "adjusted_at": last.received_at, "adjusted_why": last.why}


def _explained(case: Case, group: Group, words: Words) -> dict[str, Any]:
    """Of several statements which one spoke for what; and why some have no say."""
    found: dict[str, Any] = {}
    if len(words.ranked) > 1 or words.ranked[0].kind == "adjustment":
        found["spoke"] = tuple([f"{field} {by.receipt_id}" for field, by in words.speakers.items() if by])
    if group.shown:
        found["unheard"] = tuple(f"{one.receipt_id}: {_why_unheard(case, one)}" for one in group.shown)
    return found


def _why_unheard(case: Case, one: AnyStatement) -> str:
    if one.receipt_id in case.objections:
        return case.objections[one.receipt_id].detail
    released = one.kind == "adjustment" and one.action == "release"
    return "takes back what the network stated before" if released else "the network took it back"


def _worth(worth: Quote | None, found: Verdict, *, test: bool) -> dict[str, Any]:
    """What the terms give, and what of it is owed: only what is approved, and never for a test."""
    if worth is None:
        return {}
    is_owed = found.status == "approved" and not test
    return {
        "payout": _owed(worth.payout.owed, is_owed=is_owed),
        "payout_currency": worth.payout.currency,
        "payout_nominal": worth.payout.nominal,
        "payout_rule": worth.payout.rule,
        "payout_rate": worth.payout.rate,
        "revenue": _owed(worth.revenue.owed, is_owed=is_owed),
        "revenue_currency": worth.revenue.currency,
        "revenue_nominal": worth.revenue.nominal,
        "revenue_rule": worth.revenue.rule,
        "revenue_rate": worth.revenue.rate,
    }


def _owed(amount: Decimal, *, is_owed: bool) -> Decimal:
    return amount if is_owed else ZERO


def _flags(case: Case, credit: Credit | None) -> tuple[str, ...]:
    before = (BEFORE_CLICK,) if credit and credit.is_before else ()
    return (*before, TOO_MANY) if case.is_cut else before
