"""The closed list of reasons: why an event or a conversion is not simply good.

Numbers below 200 are TUNE's published conversion status codes where the meaning is the same
(developers.tune.com, "Conversion Status Codes"); ours start at 200. A number is never reused.
"""

from enum import IntEnum


class Reason(IntEnum):
    """A number for rows and counters; `sentence` for people."""

    NONE = 0
    KNOWN_PROXY = 11
    DUPLICATE_CONVERSION = 12
    NO_REFERRAL_URL = 13
    IP_NOT_ALLOWED = 14
    WRONG_PROTOCOL = 15
    DAILY_CONVERSION_CAP = 17
    DUPLICATE_UNIQUE_ID = 18
    INVALID_TOKEN = 19
    TEST_CONVERSION = 22
    NEEDS_APPROVAL = 31
    ADJUSTMENT = 52
    MONTHLY_CONVERSION_CAP = 61
    DAILY_PAYOUT_CAP = 62
    MONTHLY_PAYOUT_CAP = 63
    AFFILIATE_MONTHLY_CONVERSION_CAP = 81
    AFFILIATE_DAILY_PAYOUT_CAP = 82
    CREATED_BY_UPLOAD = 100
    UPDATED_BY_UPLOAD = 101
    AWAITING_CLICK = 200
    ORDER_NUMBER_MISSING = 201
    AMBIGUOUS_STATEMENT = 202
    UNKNOWN_GOAL = 203
    NO_EXCHANGE_RATE = 204
    TOO_LATE_TO_CORRECT = 205
    NO_CONFIRMATION = 206
    OUTSIDE_CLICK_WINDOW = 207
    OUTSIDE_VIEW_WINDOW = 208
    TOO_SOON = 209
    INVALID_TRANSACTION_ID = 210
    UNKNOWN_OFFER = 211
    OFFER_PAUSED = 212
    AFFILIATE_NOT_APPROVED = 213
    OFFERS_DIFFER = 214
    MALFORMED_EVENT = 215
    TOO_MANY_OBSERVATIONS = 216
    CONSENT_REFUSED = 217
    OVER_LIMIT = 218
    CONFLICTING_VALUES = 219
    UNAVAILABLE = 220
    STATED_BY_ADVERTISER = 221
    UNKNOWN_STATUS_WORD = 222
    BOT_CLICK = 223
    PREFETCH = 224
    UNDECIDED = 225

    @property
    def sentence(self) -> str:
        """What this reason means, in one short phrase without a full stop."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NONE: "nothing speaks against it",
    Reason.KNOWN_PROXY: "the click came through a known proxy",
    Reason.DUPLICATE_CONVERSION: "duplicate conversion: this click's conversion of the goal already counts",
    Reason.NO_REFERRAL_URL: "the request named no referring page",
    Reason.IP_NOT_ALLOWED: "the caller's address is not on the advertiser's allow-list",
    Reason.WRONG_PROTOCOL: "the offer does not track by this kind of request",
    Reason.DAILY_CONVERSION_CAP: "the offer's daily conversion cap is reached",
    Reason.DUPLICATE_UNIQUE_ID: "duplicate conversion: the order number counted under another transaction",
    Reason.INVALID_TOKEN: "the security token or signature is missing or wrong",
    Reason.TEST_CONVERSION: "test conversion: shown, never paid",
    Reason.NEEDS_APPROVAL: "the goal's conversions need an approval",
    Reason.ADJUSTMENT: "stated by the network",
    Reason.MONTHLY_CONVERSION_CAP: "the offer's monthly conversion cap is reached",
    Reason.DAILY_PAYOUT_CAP: "the offer's daily payout cap is reached",
    Reason.MONTHLY_PAYOUT_CAP: "the offer's monthly payout cap is reached",
    Reason.AFFILIATE_MONTHLY_CONVERSION_CAP: "the affiliate's monthly conversion cap is reached",
    Reason.AFFILIATE_DAILY_PAYOUT_CAP: "the affiliate's daily payout cap is reached",
    Reason.CREATED_BY_UPLOAD: "created by the network's upload",
    Reason.UPDATED_BY_UPLOAD: "updated by the network's upload",
    Reason.AWAITING_CLICK: "awaiting the click of this transaction",
    Reason.ORDER_NUMBER_MISSING: "the order number that this identifier needs is missing",
    Reason.AMBIGUOUS_STATEMENT: "the statement names no order number and several conversions could be meant",
    Reason.UNKNOWN_GOAL: "the offer has no such goal",
    Reason.NO_EXCHANGE_RATE: "the catalog has no exchange rate for these currencies on that day",
    Reason.TOO_LATE_TO_CORRECT: "too late to correct: the correction window is over",
    Reason.NO_CONFIRMATION: "not yet confirmed by the advertiser's server",
    Reason.OUTSIDE_CLICK_WINDOW: "after the click window",
    Reason.OUTSIDE_VIEW_WINDOW: "after the view window",
    Reason.TOO_SOON: "too soon after the click",
    Reason.INVALID_TRANSACTION_ID: "the transaction ID is missing, malformed or forged",
    Reason.UNKNOWN_OFFER: "no such offer",
    Reason.OFFER_PAUSED: "the offer was not active at the click",
    Reason.AFFILIATE_NOT_APPROVED: "the affiliate was not approved for the offer at the click",
    Reason.OFFERS_DIFFER: "the request names another offer than the click's",
    Reason.MALFORMED_EVENT: "the event cannot be read",
    Reason.TOO_MANY_OBSERVATIONS: "more observations than one case may have",
    Reason.CONSENT_REFUSED: "consent was refused",
    Reason.OVER_LIMIT: "the request is over a limit",
    Reason.CONFLICTING_VALUES: "the request states two different values for one field",
    Reason.UNAVAILABLE: "not available at the moment: send the same request again",
    Reason.STATED_BY_ADVERTISER: "stated by the advertiser",
    Reason.UNKNOWN_STATUS_WORD: "the status word is not one that this advertiser uses",
    Reason.BOT_CLICK: "the click is marked as a bot's",
    Reason.PREFETCH: "a prefetch is no visit: the visit itself asks again",
    Reason.UNDECIDED: "the rules failed on its transaction: decided again by a release that mends them",
}
