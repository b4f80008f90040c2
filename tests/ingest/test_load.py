"""Load: who is turned away first, what it takes, and how soon it is over."""

import asyncio
import itertools
import logging

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import curt, load
from ingest.load import CLASSES, LIMITS, Class, Load, shed
from ingest.pulse import Pulse
from ingest.routes import Endpoint

ORDER = [Class.IMPRESSION, Class.CLICK, Class.CONVERSION]
loads = st.builds(Load, st.floats(0, 3), st.floats(0, 1.2))


def test_impressions_are_shed_first_then_clicks_conversions_last() -> None:
    for before, after in itertools.pairwise(ORDER):
        assert LIMITS[before].lag_s < LIMITS[after].lag_s
        assert LIMITS[before].queue < LIMITS[after].queue


@given(loads)
def test_who_is_worth_less_is_shed_whenever_who_is_worth_more_is(found: Load) -> None:
    assert [shed(found, kind) for kind in ORDER] == sorted((shed(found, k) for k in ORDER), reverse=True)


@given(loads, loads)
def test_more_load_sheds_no_less(one: Load, more: Load) -> None:
    other = Load(one.lag_s + more.lag_s, one.queue + more.queue)
    assert all(shed(other, kind) for kind in ORDER if shed(one, kind))


def test_either_a_late_loop_or_a_full_queue_is_enough_and_a_quiet_process_sheds_nothing() -> None:
    for kind, limit in LIMITS.items():
        assert shed(Load(limit.lag_s, 0), kind)
        assert shed(Load(0, limit.queue), kind)
    assert not any(shed(Load(), kind) for kind in Class)


def test_every_endpoint_has_a_class_and_whatever_states_a_conversion_is_the_last() -> None:
    assert set(CLASSES) == set(Endpoint)
    for endpoint in (Endpoint.PIXEL, Endpoint.IFRAME, Endpoint.POSTBACK):
        assert CLASSES[endpoint] is Class.CONVERSION


def test_one_long_pause_is_no_overload() -> None:
    assert load.smoothed(0.0, [30.0, 0.0, 0.0]) == 0.0
    assert load.smoothed(0.0, [0.3, 0.2, 0.4]) == 0.2


def test_the_longest_overload_is_forgotten_in_less_than_two_seconds() -> None:
    lag, rounds = load.smoothed(0.0, [60.0, 60.0, 60.0]), 0
    while shed(Load(lag), Class.IMPRESSION) and rounds < 40:
        lag, rounds = load.smoothed(lag, [0.0, 0.0, 0.0]), rounds + 1
    assert 5 < rounds < 40  # of 0.05 s: neither all at once, nor for long


def test_an_overload_is_said_once_however_it_flickers_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    pulse = Pulse(lambda: 0.0)
    for second in range(20):
        pulse.feel(Load(lag_s=0.3 if second % 2 else 0.0), float(second))
    assert pulse.note() == "503 for impressions, clicks: the loop is 300 ms late, the journal's queue 0% full"
    for second in range(20, 60):
        pulse.feel(Load(), float(second))
    assert pulse.note() == ""
    assert [message.partition(" (")[0].partition(":")[0] for message in caplog.messages] == [
        "overloaded",
        "no longer overloaded",
    ]


async def test_the_pulse_feels_a_late_loop_and_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock is a fake: the loop's own, that jumps by how late it is to be."""
    now, late = 0.0, 0.0
    loop = asyncio.get_running_loop()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + late
        if now > 100:
            raise asyncio.CancelledError

    monkeypatch.setattr(loop, "time", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    for late, queue, shedding in (  # noqa: B007  sleep reads it
        (0.0, 0.0, set()),
        (0.15, 0.0, {Class.IMPRESSION}),
        (0.0, 0.8, {Class.IMPRESSION, Class.CLICK}),
        (2.0, 0.0, set(Class)),
    ):
        now, pulse = 0.0, Pulse(lambda: queue)  # noqa: B023  called before the next round
        with pytest.raises(asyncio.CancelledError):
            await pulse.run()
        assert pulse.shedding == shedding


NAMES = [
    b"Host",
    b"Host",
    b"Accept",
    b"Connection",
    b"CONNECTION",
    b"Content-Length",
    b"transfer-encoding",
    b"X",
]
VALUES = [b"t", b"keep-alive", b"close", b"Keep-Alive", b"0", b"5", b"chunked", b"\xff", b"a\nb", b"upgrade"]
fields = st.tuples(st.sampled_from(NAMES), st.sampled_from([b":", b": ", b" :"]), st.sampled_from(VALUES))
heads = st.builds(
    lambda start, lines, ends: (
        start + b"Host: t" + ends + b"".join(n + c + v + ends for n, c, v in lines) + ends
    ),
    st.sampled_from(
        [
            b"GET /click?a=b HTTP/1.1\r\n",
            b"GET /impression HTTP/1.1\r\n",
            b"GET /click?a b HTTP/1.1\r\n",
            b"HEAD /click HTTP/1.1\r\n",
            b"GET /click HTTP/1.0\r\n",
            b"GET /click HTTP/1.1\n",
        ]
    ),
    st.lists(fields, max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)


def parsed(received: bytes) -> list[tuple[str, bool, bool]] | None:
    """What aiohttp makes of it: method, whether the connection ends, whether a body is awaited."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        messages, _, _ = parser.feed_data(received)
        return [
            (message.method, message.should_close or message.version != HttpVersion11, not payload.is_eof())
            for message, payload in messages
        ]
    except HttpProcessingError:
        return None  # one bad request, one no
    finally:
        loop.close()


@settings(deadline=None)
@given(st.lists(heads, min_size=1, max_size=2).map(b"".join))
def test_only_what_http_reads_as_one_request_without_a_body_is_turned_away_unread(received: bytes) -> None:
    if curt.no(received, set(Class)):
        assert parsed(received) in ([("GET", False, False)], None)
        assert received.count(b"\n") == received.count(b"\r\n")  # nor is it two to a lenient reader


@pytest.mark.parametrize(
    ("was", "sent"),
    [
        (b"", b""),
        (b"X: y", b"Content-Length: 5"),
        (b"X: y", b"content-length:0"),
        (b"X: y", b"Transfer-Encoding: chunked"),
        (b"X: y", b"Connection: close"),
        (b"X: y", b"Connection: keep-alive, close"),
        (b"X: y", b" folded: y"),
        (b"X: y", b"X: y\nX: z"),
        (b"X: y", b"X: y\r\n\r\nGET /click HTTP/1.1"),
        (b"X: y", b"X : y"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"GET", b"HEAD"),
        (b"?a=b", b"?a b"),
        (b"?a=b", b"?a\xfc"),
        (b"/click", b"/postback"),
        (b"/click", b"/clickx"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_whatever_could_be_read_in_two_ways_goes_the_long_way(was: bytes, sent: bytes) -> None:
    plain = b"GET /click?a=b HTTP/1.1\r\nHost: t\r\nX: y\r\n\r\n"
    found = curt.no(plain.replace(was, sent) if was else plain, set(Class))
    assert (found is None) == bool(was)


BROWSER = (
    b"Host: track.example\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n"
    b'User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nsec-ch-ua: "Chromium"\r\n'
    b"Cookie: rt=c7.x; a=b\r\n\r\n"
)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"GET /click?offer_id=7&aff_sub=%C3%BC HTTP/1.1\r\n", Class.CLICK),
        (b"GET /impression?offer_id=7 HTTP/1.1\r\n", Class.IMPRESSION),
    ],
)
def test_a_browser_s_request_is_turned_away_unread_while_its_class_is_shed(line: bytes, kind: Class) -> None:
    found = curt.no(line + BROWSER, {kind})
    assert found is not None
    assert found.wire.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 5\r\n" in found.wire
    assert curt.no(line + BROWSER, set(Class) - {kind}) is None
