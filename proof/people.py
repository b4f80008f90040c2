"""The people of a simulation: browsers as they name themselves, and what the affiliates note of them."""

import random
from typing import Literal

import msgspec

Device = Literal["desktop", "mobile", "tablet", "bot"]


class Browser(msgspec.Struct, frozen=True):
    """A user agent, its share among people, and the device it is (for prices by device)."""

    user_agent: str
    share: int
    device: Device
    is_bot: bool = False


_MOZILLA = "Mozilla/5.0"
_SAFARI = "Version/17.6 Safari/605.1.15"
_IPHONE = f"{_MOZILLA} (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPAD = f"{_MOZILLA} (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID = f"{_MOZILLA} (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko)"
_WINDOWS = f"{_MOZILLA} (Windows NT 10.0; Win64; x64)"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"

BROWSERS = (
    Browser(f"{_WINDOWS} {_CHROME} Safari/537.36", 30, "desktop"),
    Browser(f"{_WINDOWS} {_CHROME} Safari/537.36 Edg/142.0.0.0", 8, "desktop"),
    Browser(f"{_MOZILLA} (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", 4, "desktop"),
    Browser(
        f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) {_SAFARI}",
        10,
        "desktop",
    ),
    Browser(f"{_IPHONE} Version/17.6 Mobile/15E148 Safari/604.1", 22, "mobile"),
    Browser(f"{_ANDROID} Chrome/142.0.0.0 Mobile Safari/537.36", 22, "mobile"),
    Browser(f"{_IPAD} Version/17.6 Mobile/15E148 Safari/604.1", 4, "tablet"),
)
BOTS = (
    Browser(
        f"{_MOZILLA} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 1, "bot", is_bot=True
    ),
    Browser(f"{_MOZILLA} (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", 1, "bot", is_bot=True),
)
SHOP_SERVER = "shop-backend/3.2"

_SOURCES = ("newsletter", "blog", "search", "social")
_CAMPAIGNS = ("autumn", "winter sale", "läuft & läuft", "retargeting/2")
_CREATIVES = ("728x90", "300x250", "text")


def pick_browser(rng: random.Random, *, bot: bool) -> Browser:
    """A person's browser, or a program."""
    choices = BOTS if bot else BROWSERS
    return rng.choices(choices, weights=[browser.share for browser in choices])[0]


def affiliates_notes(rng: random.Random) -> dict[str, str]:
    """What the affiliate appends to its tracking link for its own reports."""
    return {
        "source": rng.choice(_SOURCES),
        "aff_sub": rng.choice(_CAMPAIGNS),
        "aff_sub2": f"placement-{rng.randrange(20)}",
        "creative_id": rng.choice(_CREATIVES),
    }
