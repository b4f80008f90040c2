"""A catalog written as a file again, which `catalog check` reads back as the same."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.catalog import Catalog

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# What has a header of its own, so that each offer and goal can be found by eye; all else stands on one line.
_ARRAYS: Final = ("advertisers", "affiliates", "offers", "links")


def dump(catalog: Catalog) -> str:
    """The TOML text; what has its default is left out."""
    data = msgspec.to_builtins(catalog)
    lines = ["[network]", *_pairs(data.get("network", {}))]
    for name in _ARRAYS:
        for entry in data.get(name, ()):
            goals = entry.pop("goals", ())
            lines += ["", f"[[{name}]]", *_pairs(entry)]
            for goal in goals:
                lines += ["", f"[[{name}.goals]]", *_pairs(goal)]
    return "\n".join(lines) + "\n"


def _pairs(table: dict[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else str(value)


def _text(text: str) -> str:
    """JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
