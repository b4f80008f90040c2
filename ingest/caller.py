"""The caller: its network address, by what scheme it came, its browser, its language and its consent."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from ingest import device
from ingest.device import Device
from ingest.traces import page

MAX_REFERER: Final = 2_000  # characters; browsers cut at 4 KiB, and nobody groups by what is longer
_MAX_HINT: Final = 200
_MAX_LANGUAGE: Final = 35  # RFC 5646's longest tag that must be taken
_MAX_CONSENT: Final = 2_000  # a TCF string of all vendors is about 1 KiB
_HINTS: Final = tuple(
    f"Sec-CH-UA{part}"
    for part in ("", "-Mobile", "-Platform", "-Platform-Version", "-Model", "-Arch", "-Full-Version-List")
)
# What proxies that know the visitor's country call it: Cloudflare, CloudFront, and a plain name.
_COUNTRY: Final = ("CF-IPCountry", "CloudFront-Viewer-Country", "X-Country-Code")
_NO_COUNTRIES: Final = frozenset({"XX", "T1", "ZZ"})  # unknown, Tor, unknown
_CONSENT: Final = ("gdpr", "gdpr_consent", "gpp", "gpp_sid", "us_privacy")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Mapping[str, str]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    ip: canonical text, empty where the peer has no address (a Unix socket).
    secure: the caller itself came by https.
    country_code: ISO 3166 as a trusted proxy states it, else empty.
    """

    ip: str
    secure: bool
    country_code: str
    user_agent: str
    device: Device
    referer: str
    language: str
    client_hints: dict[str, str]
    opts_out: bool


class Proxies:
    """The networks whose X-Forwarded-… headers are believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(each) for each in networks]
        self._trusted = lru_cache(maxsize=4096)(self._holds)

    def _holds(self, ip: str) -> bool:
        address = ipaddress.ip_address(ip)
        return any(address in network for network in self._networks if network.version == address.version)

    def caller(self, peer: str, headers: Headers, *, secure: bool) -> Caller:
        """What the request's outermost trusted hop says of the caller."""
        ip = address(peer)
        country = ""
        if self._networks and ip and self._trusted(ip):
            secure = (
                headers.get("X-Forwarded-Proto", "https" if secure else "http").strip().lower() == "https"
            )
            ip = self._forwarded(ip, headers)
            country = _country(headers)
        user_agent = clean(headers.get("User-Agent", ""))[: device.MAX_CHARACTERS]
        return Caller(
            ip=ip,
            secure=secure,
            country_code=country,
            user_agent=user_agent,
            device=device.read(user_agent),
            referer=_referer(headers["Referer"]) if "Referer" in headers else "",
            language=_language(headers.get("Accept-Language", "")),
            client_hints=_hints(headers) if "Sec-CH-UA" in headers else {},
            opts_out=headers.get("Sec-GPC") == "1",
        )

    def _forwarded(self, ip: str, headers: Headers) -> str:
        """The first address from the right that is no trusted proxy; what is no address ends the search."""
        for hop in reversed(",".join(every(headers, "X-Forwarded-For")).split(",")):
            found = address(hop)
            if not found:
                return ip
            ip = found
            if not self._trusted(ip):
                return ip
        return ip


def _country(headers: Headers) -> str:
    stated = next((headers[name] for name in _COUNTRY if name in headers), "").strip().upper()
    known = len(stated) == 2 and stated.isascii() and stated.isalpha() and stated not in _NO_COUNTRIES  # noqa: PLR2004  alpha-2
    return stated if known else ""


def every(headers: Headers, name: str) -> list[str]:
    """Every header of the name, where the mapping can hold several."""
    getall = getattr(headers, "getall", None)
    return list(getall(name, [])) if getall else [headers.get(name, "")]


@lru_cache(maxsize=4096)
def address(text: str) -> str:
    """The canonical text of an address, also with port or brackets; an IPv4 in IPv6 as IPv4; else empty."""
    text = text.strip()[:64]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


@lru_cache(maxsize=4096)
def _language(accepted: str) -> str:
    """The language that the browser names first."""
    first = accepted.partition(",")[0].partition(";")[0].strip()[:_MAX_LANGUAGE]
    return first if first.replace("-", "").isalnum() and first.isascii() else ""


def _hints(headers: Headers) -> dict[str, str]:
    return {name: clean(value)[:_MAX_HINT] for name in _HINTS if (value := headers.get(name))}


def _referer(text: str) -> str:
    """The page that the request came from; its query is left out where it may hold personal data."""
    return page(clean(text))[:MAX_REFERER]


def clean(text: str) -> str:
    """The text as UTF-8 can carry it: aiohttp hands over bytes that it cannot decode as surrogates."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def consent(values: Mapping[str, str], *, opts_out: bool) -> str:
    """The consent signals as stated, `name=value` joined by `;`."""
    stated = [f"{name}={values[name]}" for name in _CONSENT if name in values]
    if opts_out:
        stated.append("gpc=1")
    return ";".join(stated)[:_MAX_CONSENT] if stated else ""
