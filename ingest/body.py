"""Bodies: the parameters of a POST, as a form or as one flat JSON object."""

from typing import Any, Final

import msgspec

from ingest.parameters import Pair, split

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode  # a float would change an amount


class Unreadable(ValueError):
    """The body holds no parameters; the text says why."""


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
        stated = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(f"the body is no JSON object: {error}") from error
    return [(_text(name), _text(value)) for name, value in stated.items()]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 512 else ""  # noqa: PLR2004  no parameter is such a number
    raise Unreadable("the body must be one flat JSON object: no lists, no objects inside")
