"""Macros: `{name}` in offer URLs and partner postbacks, compiled with the catalog, filled at each click."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote

import msgspec

MAX_TEMPLATE_CHARACTERS: Final = 4096

_NUMBERS: Final = ("2", "3", "4", "5")
# Another name of a macro -> the one whose value it shows.
ALIASES: Final = {
    "sub1": "aff_sub",
    **{f"sub{n}": f"aff_sub{n}" for n in _NUMBERS},
    "aff_id": "affiliate_id",
    "event_id": "goal_id",
}
# Each macro that has a value of its own: vocabulary.md's list.
NAMES: Final = (
    *(
        "transaction_id",
        "offer_id",
        "offer_name",
        "offer_ref",
        "affiliate_id",
        "affiliate_name",
        "affiliate_ref",
    ),
    *(
        "advertiser_id",
        "advertiser_ref",
        "source",
        "aff_sub",
        *(f"aff_sub{n}" for n in _NUMBERS),
        "aff_click_id",
    ),
    *(
        "aff_unique1",
        *(f"aff_unique{n}" for n in _NUMBERS),
        "goal_id",
        "adv_sub",
        *(f"adv_sub{n}" for n in _NUMBERS),
    ),
    *(
        "payout",
        "sale_amount",
        "currency",
        "status",
        "conversion_id",
        "goal_name",
        "offer_url_id",
        "creative_id",
    ),
    *("ip", "session_ip", "country_code", "device_os", "device_brand", "user_agent"),
    *("date", "time", "datetime", "timestamp", "ran"),
)
PARAMS: Final = "params"  # every parameter that nobody knows, as `name=value&…`
PARAM: Final = "param:"  # one of them

_MACRO: Final = re.compile(r"\{([^{}]*)\}")
_URL: Final = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", re.ASCII)
# RFC 3986's characters; browsers and proxies disagree about the others, a backslash first of all.
_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII).fullmatch  # what `quote` leaves as it is
_PARAM_NAME: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}", re.ASCII)
_NO_PARAMS: Final[Mapping[str, str]] = {}


class Template(msgspec.Struct, frozen=True):
    """A URL with places for values.

    source: as the catalog has it.
    literals: the text between the places, one more than there are places.
    names: of each place, the macro whose value stands there (aliases resolved).
    in_path: of each place, whether it stands in the path.
    """

    source: str
    literals: tuple[str, ...]
    names: tuple[str, ...]
    in_path: tuple[bool, ...]

    @property
    def host(self) -> str:
        """The host that every filled URL has, in lower case, without port."""
        found = _AUTHORITY.match(self.literals[0].partition("://")[2])
        return found[1].lower() if found else ""


def compile_template(text: str) -> Template:
    """The template of an absolute http(s) URL; ValueError tells what is wrong with it."""
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError(f"longer than {MAX_TEMPLATE_CHARACTERS} characters")
    pieces = _MACRO.split(text)  # literal, macro, literal, macro, …, literal
    literals, macros = pieces[::2], pieces[1::2]
    for literal in literals:
        _check_literal(literal)
    _check_authority(literals, has_macros=bool(macros))
    places = [_place("".join(literals[: n + 1])) for n in range(len(macros))]
    names = tuple(_canonical(name) for name in macros)
    for name, place, before, after in zip(names, places, literals, literals[1:], strict=False):
        if name == PARAMS and not (
            place == "query" and before[-1:] in ("?", "&") and after[:1] in ("", "&", "#")
        ):
            raise ValueError(
                "{params} stands for whole parameters: only after `?` or `&` and before `&` or the end"
            )
    return Template(text, tuple(literals), names, tuple(place == "path" for place in places))


def fill(template: Template, values: Mapping[str, str], params: Mapping[str, str] = _NO_PARAMS) -> str:
    """The URL with every value in its place, percent-encoded, never expanded again; a missing one is empty.

    `params` are the parameters that nobody knows, for {params} and {param:NAME}.
    """
    literals = template.literals
    out = [literals[0]]
    for n, name in enumerate(template.names):
        value = values.get(name)
        if value is None:
            value = _param_value(name, params)
        elif not (value.isascii() and value.isalnum()):  # most are numbers and IDs: 5 times as quick
            value = _encoded(value)
        if template.in_path[n] and not value.strip("."):
            value = ""  # `..` as a segment leaves its place, encoded or not (URL standard)
        out.append(value)
        out.append(literals[n + 1])
    return "".join(out)


def time_values(ms: int) -> dict[str, str]:
    """The values of {date}, {time}, {datetime} and {timestamp} (Unix seconds) at this Unix time, UTC."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    day, clock = f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}"
    return {"date": day, "time": clock, "datetime": f"{day} {clock}", "timestamp": str(ms // 1000)}


def _param_value(name: str, params: Mapping[str, str]) -> str:
    if name == PARAMS:
        return "&".join([f"{_encoded(key)}={_encoded(value)}" for key, value in params.items()])
    if name.startswith(PARAM):
        return _encoded(params.get(name[len(PARAM) :], ""))
    return ""


def _encoded(value: str) -> str:
    """Only unreserved characters stay, so that a value ends in no place where it began in another.

    That is what a query value, a path segment and a fragment each need; what UTF-8 cannot carry becomes `?`.
    """
    if _UNRESERVED(value):
        return value  # `quote` would take five times as long to find it out
    return quote(value, safe="", errors="replace")


def _check_literal(literal: str) -> None:
    found = _LITERAL.match(literal)
    end = found.end() if found else 0
    if end == len(literal):
        return
    character = literal[end]
    if character in "{}":
        raise ValueError(f"a brace that belongs to no macro: {literal[end : end + 20]!r}")
    if character == "%":
        raise ValueError(f"`%` that begins no percent-encoding: {literal[end : end + 3]!r}")
    raise ValueError(f"{character!r} cannot stand in a URL: write it percent-encoded")


def _check_authority(literals: list[str], *, has_macros: bool) -> None:
    found = _URL.match(literals[0])
    if found is None and has_macros and literals[0].lower() in ("", "http://", "https://"):
        raise ValueError("a macro cannot stand in scheme, host or port")
    if found is None:
        raise ValueError("not an absolute URL that begins with http:// or https:// and a host")
    if found.end() == len(literals[0]) and has_macros:
        raise ValueError("a macro cannot stand in scheme, host or port: put a `/` after the host")
    authority = found[0].partition("://")[2]
    if _AUTHORITY.fullmatch(authority) is None:
        raise ValueError(f"not a host, with or without a port: {authority[:80]!r}")


def _place(before: str) -> str:
    """Where the URL stands after these characters."""
    if "#" in before:
        return "fragment"
    return "query" if "?" in before else "path"


def _canonical(name: str) -> str:
    name = ALIASES.get(name, name)
    if name in NAMES or name == PARAMS:
        return name
    if name.startswith(PARAM):
        if _PARAM_NAME.fullmatch(name[len(PARAM) :]):
            return name
        raise ValueError(f"no parameter name in {{{name[:80]}}}")
    near = get_close_matches(name.lower(), [*NAMES, *ALIASES, PARAMS], n=1, cutoff=0.5)
    raise ValueError(f"unknown macro {{{name[:80]}}}" + (f": did you mean {{{near[0]}}}?" if near else ""))
