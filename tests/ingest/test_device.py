"""What a user agent says of its device."""

import pytest

from ingest import device

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


def test_a_browser_on_a_desktop_is_told() -> None:
    found = device.read(CHROME)
    assert (found.device_type, found.device_os, found.browser, found.is_bot) == (
        "desktop",
        "Linux",
        "Chrome",
        False,
    )


@pytest.mark.parametrize(
    "agent", ["Googlebot/2.1 (+http://www.google.com/bot.html)", "facebookexternalhit/1.1"]
)
def test_a_spider_is_a_bot(agent: str) -> None:
    assert device.read(agent).is_bot


@pytest.mark.parametrize(
    "agent", ["Python-urllib/3.11", "Java/17.0.2", "python-requests/2.31", "curl/8.5.0", ""]
)
def test_a_programs_http_library_is_no_bot(agent: str) -> None:
    assert not device.read(agent).is_bot
