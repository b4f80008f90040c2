"""Parameters: which names mean which field, and what is taken where several are sent (vocabulary.md)."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from schemas import transaction_id
from schemas.transaction_id import Keyring, Verdict

MAX_TEXT: Final = 500  # characters of a sub ID: TUNE's limit
MAX_PARAMS_BYTES: Final = 2_048
Pair = tuple[str, str]

_FOUR: Final = ("2", "3", "4", "5")
_FIVE: Final = ("1", *_FOUR)

VISIT: Final[Mapping[str, tuple[str, ...]]] = {
    "offer_id": ("oid", "o"),
    "aff_id": ("affid", "affiliate_id", "pid", "a"),
    "aff_sub": ("sub1", "s1"),
    **{f"aff_sub{n}": (f"sub{n}", f"s{n}") for n in _FOUR},
    "aff_click_id": ("external_id", "externalid", "clickid"),
    **{f"aff_unique{n}": () for n in _FIVE},
    "source": ("utm_source",),
    "url_id": ("landing_id", "uid"),
    "url": (),
    "creative_id": ("file_id",),
    "gdpr": (),
    "gdpr_consent": (),
    "gpp": (),
    "gpp_sid": (),
    "us_privacy": (),
}
CONVERSION: Final[Mapping[str, tuple[str, ...]]] = {
    "transaction_id": ("tid", "clickid", "click_id", "cid", "subid", "reqid", "cnv_id"),
    "offer_id": (),
    "goal_id": ("goal", "goal_name", "event_id", "adv_event_id", "et", "type"),
    "aff_id": ("affid", "affiliate_id"),
    "advertiser_id": ("adv_id",),
    "amount": ("sum", "sale_amount"),
    "currency": (),
    "ip": ("conv_ip",),
    "user_agent": (),
    **{f"adv_unique{n}": () for n in _FIVE},
    "conversion_unique_id": ("order_id", "txid", "action_id", "rdtk_event_id", "t"),
    "status": (),
    "adv_sub": ("adv1", "param1", "custom_field1"),
    **{f"adv_sub{n}": (f"adv{n}", f"param{n}", f"custom_field{n}") for n in _FOUR},
    "promo_code": (),
    "user_id": (),
    "datetime": ("timestamp",),
    "security_token": ("secure", "verification_token"),
    "sig": (),
    "test": (),
    "gdpr": (),
    "gdpr_consent": (),
    "gpp": (),
    "gpp_sid": (),
    "us_privacy": (),
}
# Aliases of the transaction ID that mean something else where another parameter is the ID.
NEXT_MEANING: Final[Mapping[str, str]] = {"tid": "conversion_unique_id"}

# Never kept, whatever their case: not in facts, not in `params`, not on refusals.
CUSTOMER: Final = frozenset({"email", "user_name"})
PERSONAL: Final = CUSTOMER | {"user_id"}
SECRET: Final = frozenset({"security_token", "secure", "verification_token", "sig"})
DROPPED: Final = PERSONAL | SECRET


class Fields(msgspec.Struct):
    """What a request states, by canonical names.

    values: each stated field once; an empty value is not stated.
    params: what nobody knows, and aliases that were outvoted.
    conflict: the field for which two different values were sent, empty where none.
    problems: what was not taken as sent.
    personal: e-mail addresses and user names as sent; for derived identifiers, and to be kept nowhere.
    """

    values: dict[str, str]
    params: dict[str, str]
    conflict: str
    problems: list[str]
    personal: list[Pair] = []


class Vocabulary:
    """One endpoint family's names, ready for look-up."""

    def __init__(self, table: Mapping[str, tuple[str, ...]]) -> None:
        self._meaning = {name: name for name in table}
        self._meaning |= {alias: field for field, aliases in table.items() for alias in aliases}

    def read(self, pairs: Iterable[Pair]) -> Fields:
        """The canonical name wins; else the aliases, which must agree."""
        fields = Fields({}, {}, "", [])
        exact, aliases, rest = fields.values, [], []
        for pair in pairs:
            name, value = pair
            meaning = self._meaning.get(name)
            if meaning is None:
                rest.append(pair)
            elif not value:
                continue
            elif meaning == name:
                if exact.setdefault(name, value) != value:
                    fields.conflict = name
            else:
                aliases.append((meaning, pair))
        if aliases:
            rest += _add_aliases(fields, aliases)
        if rest:
            kept = [pair for pair in rest if pair[0].lower() not in DROPPED]
            if len(kept) < len(rest):
                fields.personal = [pair for pair in rest if pair[0].lower() in CUSTOMER and pair[1]]
            _add_params(fields, kept)
        return fields


def _add_aliases(fields: Fields, aliases: list[tuple[str, Pair]]) -> list[Pair]:
    """What the canonical names outvoted."""
    canonical = frozenset(fields.values)
    outvoted = []
    for meaning, pair in aliases:
        if meaning in canonical:
            if fields.values[meaning] != pair[1]:
                outvoted.append(pair)
        elif fields.values.setdefault(meaning, pair[1]) != pair[1]:
            fields.conflict = meaning
    return outvoted


def _add_params(fields: Fields, pairs: Iterable[Pair]) -> None:
    """Params hold the first of each name, as long as they fit."""
    room = MAX_PARAMS_BYTES
    for name, value in pairs:
        size = _size((name, value))
        if size > room:
            fields.problems.append(f"params: over {MAX_PARAMS_BYTES} bytes, not all kept")
            return
        if fields.params.setdefault(name, value) is value:
            room -= size


def _size(pair: Pair) -> int:
    name, value = pair
    if name.isascii() and value.isascii():
        return len(name) + len(value)
    return len(name.encode()) + len(value.encode())


_ID: Final = "transaction_id"
_ID_ALIASES: Final = frozenset(CONVERSION[_ID])
_VISIT = Vocabulary(VISIT)
# Beside an ID: what of its aliases means nothing else is kept in `params`.
_CONVERSION = Vocabulary(
    {
        field: aliases + tuple(alias for alias, meaning in NEXT_MEANING.items() if meaning == field)
        for field, aliases in CONVERSION.items()
        if field != _ID
    }
)


def visit(pairs: list[Pair]) -> Fields:
    """What a click or an impression states."""
    return _VISIT.read(pairs)


def conversion(pairs: list[Pair], keyring: Keyring) -> Fields:
    """What a pixel, iframe or postback states; `transaction_id` as sent, verified by nobody yet.

    1. The canonical name is the ID.
    2. Else the alias whose value carries our signature, or names a key that this edge does not have yet.
    3. Else the first alias, which will be refused.
    The aliases that are not the ID fall to their next meaning; two different IDs of ours are a conflict.
    """
    claims = [pair for pair in pairs if pair[0] in _ID_ALIASES and pair[1]]
    exact = {value: None for name, value in pairs if name == _ID and value}
    rest = [pair for pair in pairs if pair[0] not in _ID_ALIASES and pair[0] != _ID]
    chosen, rivals = _chosen(list(exact), claims, keyring)
    others = [pair for pair in claims if pair[1] != chosen]
    if others:  # each look at an ID is an HMAC
        same = _canonical(keyring, chosen)
        others = [pair for pair in others if _canonical(keyring, pair[1]) != same]
    fields = _CONVERSION.read(rest + others)
    if chosen:
        fields.values[_ID] = chosen
    if rivals:
        fields.conflict = _ID
    return fields


def _canonical(keyring: Keyring, text: str) -> str:
    return transaction_id.check(keyring, text).transaction_id or text


def _chosen(exact: list[str], claims: list[Pair], keyring: Keyring) -> tuple[str, bool]:
    """The text that is the ID, and whether others claim it as well as it does."""
    if exact:
        return exact[0], len(exact) > 1 and len({_canonical(keyring, text) for text in exact}) > 1
    if len(claims) <= 1:
        return (claims[0][1] if claims else ""), False
    checked = [(value, transaction_id.check(keyring, value)) for _, value in claims]
    for good in (Verdict.GENUINE, Verdict.UNKNOWN_KEY):
        ours = {found.transaction_id: value for value, found in checked if found.verdict is good}
        if ours:
            return next(iter(ours.values())), len(ours) > 1
    return claims[0][1], False


def split(query: str) -> list[Pair]:
    """The pairs of a query string or form, in order; bytes that are no UTF-8 become U+FFFD.

    `query` may hold what aiohttp could not decode, as surrogates.
    """
    parts = [part.partition("=") for part in query.split("&") if part]
    if query.isascii() and "%" not in query and "+" not in query:  # most are: a third of the cost
        return [(name, value) for name, _, value in parts]
    return [(_decoded(name), _decoded(value)) for name, _, value in parts]


def _decoded(text: str) -> str:
    if text.isascii():
        if "+" in text:
            text = text.replace("+", " ")
        if "%" not in text:
            return text
        return unquote_to_bytes(text).decode("utf-8", "replace")
    raw = text.replace("+", " ").encode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw).decode("utf-8", "replace")
