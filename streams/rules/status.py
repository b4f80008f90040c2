"""Which status a conversion has, and why: rule 7 of streams.rules.decide. The first step to speak wins."""

from typing import Final

import msgspec

from schemas.catalog import Goal, Offer, Status
from schemas.facts import Adjustment
from schemas.reasons import Reason
from streams.rules.credit import CLICK_MS, VIEW_MS, Credit, span, spans
from streams.rules.grouping import Group
from streams.rules.merge import AnyStatement
from streams.rules.permission import Objection
from streams.rules.terms import Quote

MAX_QUOTED: Final = 60  # characters of a caller's text in a sentence


class Verdict(msgspec.Struct, frozen=True):
    """A status, its reason and the same with its numbers."""

    status: Status
    reason: int
    detail: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps look at; what is not known, as long as no visit is, is None.

    goal_name: the goal as stated. test: whether it is a test conversion.
    speaker: whose status word counts; word: that word; stated: what it means, None where nobody knows it.
    barred: why none of its observations has permission. at_visit: why its visit can lead to no conversion.
    first: the order number that counts, where this one repeats it.
    is_shared: whether many clicks may have the identifier.
    needs_number: whether an order number is what tells its conversions apart.
    """

    group: Group
    goal_id: int
    goal_name: str
    test: bool
    speaker: AnyStatement | None
    word: str
    stated: Status | None
    credit: Credit | None
    offer: Offer | None
    goal: Goal | None
    quote: Quote | None
    barred: Objection | None
    at_visit: Objection | None
    first: str
    is_shared: bool
    needs_number: bool


def verdict(evidence: Evidence) -> Verdict:
    """What the first step that applies says; approved where nothing speaks against it."""
    return (
        awaiting_click(evidence)
        or stated_by_network(evidence)
        or not_permitted(evidence)
        or not_at_visit(evidence)
        or unknown_offer(evidence)
        or unknown_goal(evidence)
        or outside_window(evidence)
        or too_soon(evidence)
        or ambiguous(evidence)
        or duplicate(evidence)
        or is_a_test(evidence)
        or stated_rejected(evidence)
        or number_missing(evidence)
        or unknown_word(evidence)
        or stated_pending(evidence)
        or bot_click(evidence)
        or untold_amount(evidence)
        or unconfirmed(evidence)
        or stated_approved(evidence)
        or needs_approval(evidence)
        or created(evidence)
        or APPROVED
    )


def awaiting_click(evidence: Evidence) -> Verdict | None:
    """Nothing that it could be credited to has arrived."""
    if evidence.credit:
        return None
    detail = Reason.AWAITING_CLICK.sentence
    if evidence.is_shared:
        detail += f": no click in the {span(CLICK_MS)} before it, no impression in the {span(VIEW_MS)}"
    return Verdict("pending", Reason.AWAITING_CLICK, detail)


def stated_by_network(evidence: Evidence) -> Verdict | None:
    """The network has the last word on what it can name."""
    by = evidence.speaker
    if by is None or by.kind != "adjustment" or evidence.stated is None:
        return None
    if evidence.group.place == "ambiguous":
        return None
    fault = evidence.quote.fault if evidence.quote else None
    if evidence.stated == "approved" and fault:  # what cannot be told cannot be owed
        wants = f"the network approves it ({by.stated_by}), and has not said what is owed"
        return Verdict("pending", fault.reason, f"{fault.detail}: {wants}")
    return _by_network(evidence.stated, by)


def not_permitted(evidence: Evidence) -> Verdict | None:
    """None of its observations may make a conversion."""
    return _rejected(evidence.barred)


def not_at_visit(evidence: Evidence) -> Verdict | None:
    """The visit itself could lead to no conversion."""
    return _rejected(evidence.at_visit)


def unknown_offer(evidence: Evidence) -> Verdict | None:
    """The catalog that counts has no such offer any more."""
    if evidence.offer is not None or evidence.credit is None:
        return None
    detail = f"the catalog has no offer {evidence.credit.visit.offer_id} any more"
    return Verdict("rejected", Reason.UNKNOWN_OFFER, detail)


def unknown_goal(evidence: Evidence) -> Verdict | None:
    """The offer has no such goal; it is never taken for another."""
    if evidence.goal is not None or evidence.offer is None:
        return None
    goal = evidence.goal_name or str(evidence.goal_id)
    return Verdict("rejected", Reason.UNKNOWN_GOAL, f"offer {evidence.offer.id} has no goal {_quoted(goal)}")


def outside_window(evidence: Evidence) -> Verdict | None:
    """The visit is too long ago."""
    credit = evidence.credit
    if credit is None or not credit.outside:
        return None
    distance, window = spans(credit.distance_ms, credit.window_ms)
    return Verdict("rejected", credit.outside, f"{credit.outside.sentence}: {distance}, allowed {window}")


def too_soon(evidence: Evidence) -> Verdict | None:
    """Nobody buys that quickly after a click."""
    credit, offer = evidence.credit, evidence.offer
    if credit is None or offer is None or credit.by != "click" or credit.distance_ms >= offer.min_time_ms:
        return None
    distance, least = spans(credit.distance_ms, offer.min_time_ms)
    detail = f"{Reason.TOO_SOON.sentence}: {distance}, at least {least}"
    return Verdict("rejected", Reason.TOO_SOON, detail)


def ambiguous(evidence: Evidence) -> Verdict | None:
    """It could mean several conversions."""
    return _because("rejected", Reason.AMBIGUOUS_STATEMENT) if evidence.group.place == "ambiguous" else None


def duplicate(evidence: Evidence) -> Verdict | None:
    """Another order number of a goal that counts once."""
    if evidence.group.place != "repeats":
        return None
    counts, repeats = _quoted(evidence.first), _quoted(evidence.group.number)
    detail = f"order {counts} counts, and the goal counts once: order {repeats} repeats it"
    return Verdict("rejected", Reason.DUPLICATE_CONVERSION, detail)


def is_a_test(evidence: Evidence) -> Verdict | None:
    """Somebody tries the integration."""
    return _because("rejected", Reason.TEST_CONVERSION) if evidence.test else None


def stated_rejected(evidence: Evidence) -> Verdict | None:
    """The advertiser rejects it."""
    return _as_stated(evidence, "rejected")


def number_missing(evidence: Evidence) -> Verdict | None:
    """Many orders share the identifier, and this one does not say which it is: it may be another's report."""
    missing = evidence.needs_number and not evidence.group.number
    return _because("pending", Reason.ORDER_NUMBER_MISSING) if missing else None


def unknown_word(evidence: Evidence) -> Verdict | None:
    """A word that nobody explained is never an approval."""
    if not evidence.word or evidence.stated:
        return None
    detail = f"{Reason.UNKNOWN_STATUS_WORD.sentence}: {_quoted(evidence.word)}"
    return Verdict("pending", Reason.UNKNOWN_STATUS_WORD, detail)


def stated_pending(evidence: Evidence) -> Verdict | None:
    """The advertiser has not made up its mind."""
    return _as_stated(evidence, "pending")


def bot_click(evidence: Evidence) -> Verdict | None:
    """A program clicked, and the offer does not say that this counts."""
    credit, offer = evidence.credit, evidence.offer
    if credit is None or not credit.visit.is_bot or offer is None or offer.bots == "count":
        return None
    return _because("pending", Reason.BOT_CLICK)


def untold_amount(evidence: Evidence) -> Verdict | None:
    """What it is worth cannot be told: no exchange rate, or beyond what an amount may be."""
    fault = evidence.quote.fault if evidence.quote else None
    return None if fault is None else Verdict("pending", fault.reason, fault.detail)


def unconfirmed(evidence: Evidence) -> Verdict | None:
    """The goal wants the advertiser's server, and only browsers have spoken."""
    if evidence.goal is None or evidence.goal.confirm != "postback":
        return None
    if not evidence.group.kinds.isdisjoint(("postback", "adjustment")):
        return None
    kinds = " and ".join(sorted(evidence.group.kinds))
    detail = f"{Reason.NO_CONFIRMATION.sentence}: reported by {kinds} only"
    return Verdict("pending", Reason.NO_CONFIRMATION, detail)


def stated_approved(evidence: Evidence) -> Verdict | None:
    """The advertiser approves it."""
    return APPROVED if evidence.stated == "approved" else None


def needs_approval(evidence: Evidence) -> Verdict | None:
    """The goal's conversions wait for somebody's word."""
    goal = evidence.goal
    if goal is None or goal.approval != "manual":
        return None
    return Verdict("pending", Reason.NEEDS_APPROVAL, f"{Reason.NEEDS_APPROVAL.sentence}: goal {goal.id}")


def created(evidence: Evidence) -> Verdict | None:
    """The network made it, and nobody says more: approved, and why it is there at all."""
    if "adjustment" not in evidence.group.kinds:
        return None
    by = [one for one in evidence.group.statements if one.kind == "adjustment"]
    return _by_network("approved", by[-1]) if by else None


APPROVED: Final = Verdict("approved", Reason.NONE, "")


def _by_network(status: Status, by: Adjustment) -> Verdict:
    reason = Reason.ADJUSTMENT
    if by.by_file:
        reason = Reason.CREATED_BY_UPLOAD if by.action == "create" else Reason.UPDATED_BY_UPLOAD
    why = f": {by.why}" if by.why else ""
    return Verdict(status, reason, f"{reason.sentence} ({by.stated_by}){why}")


def _quoted(text: str) -> str:
    """A caller's text, short enough for a sentence."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")


def _because(status: Status, reason: Reason) -> Verdict:
    return Verdict(status, reason, reason.sentence)


def _rejected(objection: Objection | None) -> Verdict | None:
    return None if objection is None else Verdict("rejected", objection.reason, objection.detail)


def _as_stated(evidence: Evidence, status: Status) -> Verdict | None:
    if evidence.stated != status:
        return None
    detail = f"{Reason.STATED_BY_ADVERTISER.sentence}: {_quoted(evidence.word)}"
    return Verdict(status, Reason.STATED_BY_ADVERTISER, detail)
