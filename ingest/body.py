"""Bodies: the parameters of a POST, as a form or as one flat JSON object."""

import json
from typing import Any, Final

from ingest.parameters import Pair, split

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class Unreadable(ValueError):
    """The body holds no parameters; the text says why."""


class _Members(list[tuple[str, Any]]):
    """A JSON object: every member, as often as it was sent."""


def pairs(body: bytes, content_type: str) -> list[Pair]:
    """The parameters of a body. Without a type, one that begins with a brace is JSON."""
    if not body.strip():
        return []
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON or kind.endswith("+json") or (not kind and body.lstrip().startswith(b"{")):
        return _json(body)
    if kind in (FORM, "", "text/plain"):
        return split(body.decode("utf-8", "surrogateescape").strip())
    raise Unreadable(f"the body must be {FORM} or {JSON}")


def _json(body: bytes) -> list[Pair]:
    try:
        stated = _decode(body.decode("utf-8-sig"))
        if isinstance(stated, _Members):
            return [(_encodable(name), _encodable(_text(value))) for name, value in stated]
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is no JSON object: {error}") from error
    raise Unreadable("the body is no JSON object")


def _no_number(text: str) -> str:
    raise ValueError(f"{text} is no number")


# Not msgspec: it would keep the last of two members of one name, where two amounts are a conflict. Numbers
# stay as they are written: a float would change an amount.
_decode = json.JSONDecoder(
    object_pairs_hook=_Members, parse_float=str, parse_int=str, parse_constant=_no_number
).decode


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    raise Unreadable("the body must be one flat JSON object: no lists, no objects inside")


def _encodable(text: str) -> str:
    """The text; half of a surrogate pair, which JSON can write and nothing can keep, is a ValueError."""
    text.encode()
    return text
