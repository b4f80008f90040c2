"""The Faust app: one agent over all topics that the joiner reads, whole fetches at a time."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.app.base import BootStrategy

from service.settings import Settings
from streams.kafka.client import FAUST_LOG
from streams.kafka.fetch import Fetch, WholeFetch
from streams.kafka.topics import GROUP, READ
from streams.kafka.transport import FetchTransport, Released, StartAt

Handle = Callable[[Fetch], Awaitable[None]]
"""Takes a whole fetch to its end; what it raises ends the process."""


class Boot(BootStrategy):  # type: ignore[misc]  # untyped
    """No producer of Faust's: ours is idempotent, and its queue does not throttle at 100 records."""

    enable_kafka_producer = False
    enable_web = False


class App(faust.App):  # type: ignore[misc]  # untyped
    """An app that leaves no directory of Faust's tables behind: it has none."""

    BootStrategy = Boot
    logger = FAUST_LOG

    def _create_directories(self) -> None:
        """Nothing."""


def build(settings: Settings, handle: Handle, start_at: StartAt, released: Released) -> faust.App:
    """The app, not started. Make it inside the running loop."""
    prefix = settings.topic_prefix
    app = App(
        prefix + GROUP,
        broker=f"aiokafka://{settings.kafka.split(',')[0]}",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        processing_guarantee="at_least_once",
        stream_buffer_maxsize=1,  # one fetch in work, one waiting: what bounds the memory
        stream_wait_empty=True,  # a stop and a rebalance let the fetch in work finish
        broker_commit_interval=1.0,  # what `lag` shows is at most this old
        broker_request_timeout=3600.0,  # what Faust gives `start_at`, which waits for a broker that is away
        stream_processing_timeout=3600.0,
    )
    app.transport = FetchTransport(app, settings, start_at, released)
    topic = app.topic(*(prefix + name for name in READ), schema=WholeFetch())

    @app.agent(topic, name="join", concurrency=1)  # type: ignore[untyped-decorator]  # untyped
    async def join(fetches: Any) -> None:
        async for fetch in fetches:
            await handle(fetch)

    return app


class OneLine(logging.Filter):
    """What the libraries may say: Faust its errors, one line each and one a minute from one place.

    Aiokafka says nothing: a broker that is away makes hundreds of its lines, and our outage tells it in one.
    verbose: everything passes.
    """

    def __init__(self, *, verbose: bool, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._verbose = verbose
        self._clock = clock
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written; a library's trace is cut to its error.

        Nor is what asyncio tells of aiokafka's own tasks: a commit that was given up fails later, unheard.
        """
        if record.name == "asyncio" and record.exc_info and isinstance(record.exc_info[1], KafkaError):
            return self._verbose
        if self._verbose or not record.name.startswith(_LIBRARIES):
            return True
        if record.levelno < logging.ERROR or record.name.startswith("aiokafka"):
            return False
        place, now = (record.pathname, record.lineno), self._clock()
        if now - self._last.get(place, -_QUIET_S) < _QUIET_S:
            return False
        self._last[place] = now
        if record.exc_info:
            record.msg, record.args = f"{record.getMessage()} ({record.exc_info[1]!r})", None
            record.exc_info = None
        return True


_LIBRARIES = ("aiokafka", "faust", "mode")
_QUIET_S = 60.0
