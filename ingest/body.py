"""Bodies: the parameters of a POST, as a form or as one flat JSON object."""

import json
from typing import Any, Final

from ingest.parameters import Pair, split

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class Unreadable(ValueError):
    """The body holds no parameters; the text says why."""


class Members(list[tuple[str, Any]]):
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
    stated = json_of(body)
    if not isinstance(stated, Members):
        raise Unreadable("the body is no JSON object")
    try:
        return [(_encodable(name), text_of(value)) for name, value in stated]
    except UnicodeEncodeError as error:
        raise Unreadable(f"the body is no JSON object: {error}") from error


def json_of(body: bytes) -> Any:
    """What the body holds: objects are Members, numbers their own text."""
    try:
        return _decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is no JSON: {error}") from error


def _no_number(text: str) -> str:
    raise ValueError(f"{text} is no number")


# Not msgspec: it would keep the last of two members of one name, where two amounts are a conflict. Numbers
# stay as they are written: a float would change an amount.
_decode = json.JSONDecoder(
    object_pairs_hook=Members, parse_float=str, parse_int=str, parse_constant=_no_number
).decode


def text_of(value: Any) -> str:
    """A member's value as a form would send it; Unreadable for lists and objects."""
    if isinstance(value, str):
        return _encodable(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    raise Unreadable("the body must be one flat JSON object: no lists, no objects inside")


def _encodable(text: str) -> str:
    """The text; half of a surrogate pair, which JSON can write and nothing can keep, is a ValueError."""
    text.encode()
    return text
