"""What invented histories reach: reasons, settings, kinds of fact; and what never came up."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from proof import invented_catalog
from proof.expected import Expected
from proof.expected.identity import CORRECTED_MS
from proof.invented import CROWDED, History
from schemas import times
from schemas.facts import Adjustment, AnyFact, Click, Impression
from schemas.reasons import Reason

ENOUGH: Final = 5_000  # histories that reach everything

# Those that a single transaction can be given: by its facts, or by the click's own refusal.
REASONS: Final = frozenset(
    {
        *(Reason.NONE, Reason.DUPLICATE_CONVERSION, Reason.IP_NOT_ALLOWED, Reason.WRONG_PROTOCOL),
        *(Reason.INVALID_TOKEN, Reason.TEST_CONVERSION, Reason.NEEDS_APPROVAL, Reason.ADJUSTMENT),
        *(Reason.CREATED_BY_UPLOAD, Reason.UPDATED_BY_UPLOAD, Reason.AWAITING_CLICK),
        *(Reason.ORDER_NUMBER_MISSING, Reason.AMBIGUOUS_STATEMENT, Reason.UNKNOWN_GOAL),
        *(Reason.NO_EXCHANGE_RATE, Reason.TOO_LATE_TO_CORRECT, Reason.NO_CONFIRMATION),
        *(Reason.OUTSIDE_CLICK_WINDOW, Reason.OUTSIDE_VIEW_WINDOW, Reason.TOO_SOON, Reason.UNKNOWN_OFFER),
        *(Reason.OFFER_PAUSED, Reason.AFFILIATE_NOT_APPROVED, Reason.OFFERS_DIFFER),
        *(Reason.TOO_MANY_OBSERVATIONS, Reason.CONSENT_REFUSED, Reason.OVER_LIMIT),
        *(Reason.STATED_BY_ADVERTISER, Reason.UNKNOWN_STATUS_WORD, Reason.BOT_CLICK),
    }
)
IDENTIFIERS: Final = {"0": "random", "d": "derived", "a": "affiliate"}


class Reached:
    """Counts by what was reached."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.settings: Counter[str] = Counter()
        self.facts: Counter[str] = Counter()

    def count(self, history: History, found: Iterable[Expected]) -> None:
        """The history counts for what its conversions came to."""
        conversions = list(found)
        for one in conversions:
            self.reasons[_told(one.reason)] += 1
        shown = {receipt for one in conversions for receipt in one.receipts}
        if any(_said(fact) and fact.receipt_id not in shown for fact in history.facts):
            self.reasons[_told(Reason.TOO_LATE_TO_CORRECT)] += _is_long(history)
        if len(history.facts) > CROWDED:
            self.reasons[_told(Reason.TOO_MANY_OBSERVATIONS)] += 1
        for settings in history.settings if conversions else ():
            invented_catalog.count(self.settings, settings)
        for fact in history.facts:
            self.facts[f"{IDENTIFIERS[history.identifier[0]]}: {_kind(fact)}"] += 1

    def missing(self) -> list[str]:
        """What never came up."""
        wanted = {_told(one) for one in REASONS} | invented_catalog.every_setting() | _every_fact()
        return sorted(wanted - self.reasons.keys() - self.settings.keys() - self.facts.keys())


def _told(reason: int) -> str:
    return f"{int(reason)} {Reason(reason).sentence.partition(':')[0]}"


def _said(fact: AnyFact) -> bool:
    return not isinstance(fact, Click | Impression)


def _is_long(history: History) -> bool:
    """Whether something was said longer after something else than anything can be corrected."""
    moments = [times.to_ms(fact.received_at) for fact in history.facts if _said(fact)]
    return bool(moments) and max(moments) - min(moments) > CORRECTED_MS


def _kind(fact: AnyFact) -> str:
    if isinstance(fact, Adjustment):
        return fact.action
    return "click" if isinstance(fact, Click) else "impression" if isinstance(fact, Impression) else fact.kind


def _every_fact() -> set[str]:
    kinds = ("click", "impression", "pixel", "iframe", "postback", "state", "create", "release")
    return {f"{identifier}: {kind}" for identifier in IDENTIFIERS.values() for kind in kinds}
