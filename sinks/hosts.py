"""Hosts: how many calls a partner's host gets at once, so that a dead one delays nobody else."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from sinks.dial import Answer

Dial = Callable[[str], Awaitable[Answer]]

AT_ONCE = 4  # to one host; also how many of its notices may be told twice when the process is killed
IN_ALL = 200  # to all hosts: open sockets
SILENT_CALLS = 5  # without an answer one after the other: the host is taken for dead
REST_S = 30.0  # then nothing is sent to it for so long
MAX_HOSTS = 10_000  # that are remembered


class _Host:
    """What is known of a host."""

    def __init__(self) -> None:
        self.lane = asyncio.Semaphore(AT_ONCE)
        self.users = 0
        self.silent = 0
        self.rests_until = 0.0


class Hosts:
    """A lane for each host."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._all = asyncio.Semaphore(IN_ALL)

    @contextlib.asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[Callable[[Dial], Awaitable[Answer]]]:
        """Inside it is this URL's turn at its host: what is given calls it.

        A host that is taken for dead is answered for at once, without a call.
        """
        host = self._host(_name(url))
        host.users += 1
        try:
            async with host.lane:
                yield functools.partial(self._call, host, url)
        finally:
            host.users -= 1

    async def _call(self, host: _Host, url: str, dial: Dial) -> Answer:
        if host.rests_until > self._clock():
            return Answer(detail=f"not called: the last {host.silent} calls to this host got no answer")
        async with self._all:
            answer = await dial(url)
        self._learn(host, answer)
        return answer

    def _learn(self, host: _Host, answer: Answer) -> None:
        if answer.status or answer.forbidden:
            host.silent = 0
            return
        host.silent += 1
        if host.silent >= SILENT_CALLS:
            host.rests_until = self._clock() + REST_S

    def _host(self, name: str) -> _Host:
        if name not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            for idle in [other for other, host in self._hosts.items() if not host.users]:
                del self._hosts[idle]
        return self._hosts.setdefault(name, _Host())


def _name(url: str) -> str:
    """The host as written, with its port; what is no URL shares one lane, and is refused there."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
