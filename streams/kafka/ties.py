"""What ties the joiner to Kafka: how it sends, where it reads, and whether its group still counts on it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from faust.types import TP

from service import outage
from service.errors import Unavailable, Unreachable
from service.kafka import Outgoing
from service.kafka import Partition as Place
from service.settings import Settings
from streams.kafka.fence import Fence
from streams.kafka.logs import Logs, Questions, Records

RETRY_S: Final = 0.5

_Answer = TypeVar("_Answer")


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
    async def look_again(self) -> None: ...  # noqa: D102  see there


class Ties:
    """Shared by the joiner's parts. The worker sets `sender`, `consumer` and `fence` before it joins.

    turn: held by who uses the states: a fetch, what waits, an assignment, a closing; one after another.
    stopping: nothing more is begun, and nothing waits for Kafka any longer.
    """

    sender: Sender
    consumer: Positions

    def __init__(self, settings: Settings, ask: Questions) -> None:
        self.fence = Fence(settings.kafka_session_s)
        self.turn = asyncio.Lock()
        self.stopping = asyncio.Event()
        self._settings = settings
        self._ask = ask

    async def may_act(self) -> None:
        """The partitions are still this worker's; as Fence.passed."""
        await self.fence.passed(self.stopping)

    async def logs(self) -> Logs:
        """What Kafka holds now, as `_answered`."""
        return await self._answered(lambda: self._ask.logs(self._settings))

    async def records_at(self, offsets: Mapping[Place, int]) -> Records:
        """What lies there, or next after it, as `_answered`."""
        return await self._answered(lambda: self._ask.records_at(self._settings, offsets)) if offsets else {}

    async def identities(self) -> Mapping[str, str]:
        """The identity of each topic's log; of none while Kafka does not answer."""
        try:
            return await asyncio.to_thread(self._ask.identities, self._settings)
        except Unreachable:
            return {}  # told by those who need it at once

    async def _answered(self, ask: Callable[[], _Answer]) -> _Answer:
        """What Kafka answered; asked until it does. Unavailable at a stop before that."""
        while True:
            try:
                return await asyncio.to_thread(ask)
            except (Unreachable, Unavailable) as error:
                if self.stopping.is_set():
                    raise Unavailable(str(error)) from error
                outage.of(f"Kafka at {self._settings.kafka}").lost(str(error))
                await self.later()

    async def later(self) -> None:
        """A pause between two tries."""
        await asyncio.sleep(RETRY_S)
