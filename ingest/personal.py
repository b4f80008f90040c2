"""Personal data: found wherever in a request it stands, and kept nowhere.

A request is guarded where its offer makes IDs of the customer's variables, or where it states an e-mail
address or a user name. Of a guarded request a text that holds an e-mail address, or a variable that it
states, is kept as a pseudonym: the same text has the same one, so that it still groups and tells orders
apart. URLs are cut.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from ingest.parameters import Fields
from ingest.request import Request
from ingest.traces import Traces, page
from schemas.transaction_id import Keyring

# Values that are used as they are: one of them says whose transaction it is, the others are not kept.
_USED: Final = frozenset({"transaction_id", "url", "user_id", "security_token", "sig", "ip"})
_NUMBERS: Final = frozenset(
    {"offer_id", "aff_id", "advertiser_id", "goal_id", "url_id", "amount", "datetime"}
)
_IS_NUMBER: Final = re.compile(r"\s*\d+([.,]\d+)?\s*", re.ASCII).fullmatch


def guard(fields: Fields, traces: Traces, keyring: Keyring) -> None:
    """The fields hold nothing personal any more, but for what is used and not kept."""
    for name, value in fields.values.items():
        usual = name in _USED or (name in _NUMBERS and _IS_NUMBER(value))
        if not usual and traces.in_(value):
            fields.values[name] = hidden(keyring, value)
            fields.problems.append(f"{name}: kept as a pseudonym: it holds personal data")
    fields.params = _guarded(fields.params, traces, keyring)


def _guarded(params: Mapping[str, str], traces: Traces, keyring: Keyring) -> dict[str, str]:
    return {
        hidden(keyring, name) if traces.in_(name) else name: hidden(keyring, value)
        if traces.in_(value)
        else value
        for name, value in params.items()
    }


def hidden(keyring: Keyring, text: str) -> str:
    """What stands for a text that is not kept: the same for the same text."""
    return f"hidden-{keyring.pseudonym(text)}"


def without(request: Request, traces: Traces, *, hides_ip: bool) -> Request:
    """The request without personal data in what its caller sent besides parameters."""
    caller = request.caller
    caller = replace(caller, ip="" if hides_ip else caller.ip, referer=page(caller.referer, traces))
    return replace(request, caller=caller)
