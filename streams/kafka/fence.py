"""The fence: nothing is written or sent by a worker whose partitions Kafka may have given to others.

Kafka does so when it has not heard from a worker for the session's time. The worker itself may not know: it
was stopped (SIGSTOP, a paused machine), or cut off. So each answer of the group's coordinator opens the fence
for half of the session's time, counted from the moment of asking, and before each write and each sending it
must be open. A worker behind a shut fence waits for one of two answers: it still belongs to the group, and
goes on; or it does not, and what is in work is dropped: it is somebody else's now.

Between the look at the fence and Kafka's log lies a queue. What was handed over may wait there for the other
half (`sending_s`), and is given up then: a process that was stopped in between sends nothing of it. What a
network holds back beyond that is known for what it is: it comes back in `conversions` as a record that the
partition's owner did not send.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from service.errors import Unavailable

POLL_S: Final = 0.05  # between two looks of who waits; the answer comes in another thread
_WELL: Final = 0
_REBALANCING: Final = 27  # Kafka knows the member and waits for it to join again
_CONFIRMS: Final = {HeartbeatRequest: (_WELL, _REBALANCING), SyncGroupRequest: (_WELL,)}


def sending_s(session_s: float) -> float:
    """How long a record may be under way after the fence was passed."""
    return session_s / 2


class Fenced(Unavailable):
    """Others have this worker's partitions: what it has in work is not its own any more."""


def boot_s() -> float:
    """Seconds since the machine's start; unlike the usual clock it counts a suspended machine's time too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Fence:
    """Open while the group counts on this worker. Told in one thread, asked in another.

    Open from the beginning: who never joined was given nothing.
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = boot_s) -> None:
        self._open_s = session_s - sending_s(session_s)
        self._clock = clock
        self._until = float("inf")
        self._out = False

    @property
    def is_open(self) -> bool:
        """Whether nobody else can have been given this worker's partitions."""
        return not self._out and self._clock() < self._until

    async def passed(self, stopping: asyncio.Event) -> None:
        """The fence is open. Fenced where it will not be again; Unavailable at a stop while it is shut."""
        while not self.is_open:
            if self._out:
                raise Fenced("Kafka gave this worker's partitions to others")
            if stopping.is_set():
                raise Unavailable("Kafka does not say whether this worker still belongs to its group")
            await asyncio.sleep(POLL_S)

    def confirmed(self, asked_at: float) -> None:
        """The group counts on this worker, said in answer to what was asked then."""
        self._out, self._until = False, asked_at + self._open_s

    def lost(self) -> None:
        """The group does not know this worker any more."""
        self._out = True

    def listen(self, coordinator: Any) -> None:
        """From now on it hears what the coordinator of aiokafka's consumer hears."""
        send, forget = coordinator._send_req, coordinator.reset_generation  # noqa: SLF001  the only place

        async def heard(request: Any) -> Any:
            asked_at = self._clock()
            answer = await send(request)
            confirms = _CONFIRMS.get(type(request))
            if confirms and answer.error_code in confirms:
                self.confirmed(asked_at)
            return answer

        def forgotten() -> None:
            self.lost()
            forget()

        coordinator._send_req, coordinator.reset_generation = heard, forgotten  # noqa: SLF001
