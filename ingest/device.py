"""The device behind a user agent: what ua-parser reads in it, remembered for the user agents seen last."""

import re
from functools import lru_cache
from typing import Final

import msgspec
import ua_parser
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

MAX_CHARACTERS: Final = 1_000  # of a user agent that is parsed and kept: real ones end near 500
_REMEMBERED: Final = 20_000  # a parse costs 30 to 100 times a look-up; about 10 MB when full

_TABLET: Final = re.compile(r"ipad|tablet|kindle|silk/|playbook", re.IGNORECASE).search
_MOBILE_OS: Final = frozenset(
    {"iOS", "Android", "Windows Phone", "BlackBerry OS", "Firefox OS", "KaiOS", "HarmonyOS"}
)
_DESKTOP_OS: Final = frozenset(
    {"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD"}
)
_NO_BRANDS: Final = frozenset(
    {"Generic", "Generic_Android", "Generic_Android_Tablet", "Generic_Inettv", "Spider", "Other"}
)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a visit that come from its user agent; empty where it does not say."""

    device_type: str = ""
    device_os: str = ""
    os_version: str = ""
    device_brand: str = ""
    browser: str = ""
    is_bot: bool = False


# HTTP libraries that ua-parser counts among the spiders, while curl, requests and a dozen others are not:
# networks forward clicks from server to server with any of them.
_LIBRARY: Final = re.compile(r"(Python-urllib|Java)/").match

_parser = ua_parser.Parser(Resolver(load_builtins()))


@lru_cache(maxsize=_REMEMBERED)
def read(user_agent: str) -> Device:
    """What the user agent says; a bot is what ua-parser's list calls a spider, but for HTTP libraries."""
    found = _parser.parse(user_agent)
    os, browser, device = found.os, found.user_agent, found.device
    family = os.family if os else ""
    is_bot = device is not None and device.family == "Spider" and not _LIBRARY(user_agent)
    brand = (device.brand or "") if device else ""
    return Device(
        device_type="bot" if is_bot else _type(user_agent, family),
        device_os=family,
        os_version=".".join(part for part in (os.major, os.minor) if part) if os else "",
        device_brand="" if brand in _NO_BRANDS else brand,
        browser=browser.family if browser else "",
        is_bot=is_bot,
    )


def _type(user_agent: str, family: str) -> str:
    # An Android without the word Mobile is a tablet: Google's own rule for its user agents.
    if _TABLET(user_agent) or (family == "Android" and "Mobile" not in user_agent):
        return "tablet"
    if family in _MOBILE_OS or "Mobile" in user_agent:
        return "mobile"
    return "desktop" if family in _DESKTOP_OS else ""
