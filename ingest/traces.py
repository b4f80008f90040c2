"""Traces of personal data in a text: what of it may be kept. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

_E_MAIL: Final = r"\S\s*@\s*\S"
_DECODED: Final = 3  # times: a URL in a URL in a URL


class Traces:
    """What a guarded request must leave nowhere: the values that it states, and every e-mail address."""

    def __init__(self, stated: Iterable[str] = ()) -> None:
        needles = sorted({_folded(each) for each in stated} - {""})
        self._found = re.compile(
            "|".join([_E_MAIL, *(rf"(?<!\w){re.escape(each)}(?!\w)" for each in needles)])
        )

    def in_(self, text: str) -> bool:
        """Whether the text holds any of it, percent-encoded or not, in any case."""
        return self._found.search(_folded(text)) is not None


def _folded(text: str) -> str:
    for _ in range(_DECODED):
        decoded = unquote_plus(text)
        if decoded == text:
            break
        text = decoded
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def page(url: str, traces: Traces | None = None) -> str:
    """The URL as it may be kept: where it may hold personal data without its query, else without its path."""
    if traces is None:
        may_tell = "@" in url or "%40" in url or "%2540" in url or "email" in url or "user_name" in url
        return _without_query(url) if may_tell else url
    kept = (url, _without_query(url), "/".join(url.split("/", 3)[:3]))
    return next((each for each in kept if not traces.in_(each)), "")


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]
