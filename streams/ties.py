"""What ties the joiner to Kafka: how it sends, where it reads, and whether its group still counts on it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from faust.types import TP

from service import outage
from service.errors import Unavailable, Unreachable
from service.kafka import Outgoing
from service.settings import Settings
from streams.fence import Fence
from streams.logs import Logs

RETRY_S: Final = 0.5


class Sender(Protocol):
    """What is asked of service.kafka.Producer."""

    async def send_all(self, records: Sequence[Outgoing]) -> None: ...  # noqa: D102  see there


class Positions(Protocol):
    """What is asked of the transport's consumer."""

    def handled(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def rewind(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def hold(self, partitions: Iterable[TP]) -> None: ...  # noqa: D102  see there
    async def go_on(self, offsets: Mapping[TP, int]) -> None: ...  # noqa: D102  see there
    async def say(self, note: str) -> None: ...  # noqa: D102  see there


class Ties:
    """Shared by the joiner's parts. The worker sets `sender`, `consumer` and `fence` before it joins.

    turn: held by who uses the states: a fetch, what waits, an assignment, a closing; one after another.
    stopping: nothing more is begun, and nothing waits for Kafka any longer.
    """

    sender: Sender
    consumer: Positions

    def __init__(self, settings: Settings, read: Callable[[Settings], Logs]) -> None:
        self.fence = Fence(settings.kafka_session_s)
        self.turn = asyncio.Lock()
        self.stopping = asyncio.Event()
        self._settings = settings
        self._read = read

    async def may_act(self) -> None:
        """The partitions are still this worker's; as Fence.passed."""
        await self.fence.passed(self.stopping)

    async def logs(self) -> Logs:
        """What Kafka holds now; asked until it answers. Unavailable at a stop before that."""
        while True:
            try:
                return await asyncio.to_thread(self._read, self._settings)
            except Unreachable as error:
                if self.stopping.is_set():
                    raise Unavailable(str(error)) from error
                outage.of(f"Kafka at {self._settings.kafka}").lost(str(error))
                await self.later()

    async def later(self) -> None:
        """A pause between two tries."""
        await asyncio.sleep(RETRY_S)
