"""A joiner as its own process, with a decider that needs no catalog, and a moment at which it strikes itself.

python tests/streams/joiner_process.py DIR KAFKA PREFIX PARTITIONS PORT [MOMENT [TIMES [KILL | STOP]]]
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from service import lifetime
from service.errors import Problem
from service.kafka import Producer
from service.settings import Settings
from streams import worker
from streams.kafka.client import ConsumerThread
from streams.kafka.transport import Consumer
from streams.outbox import Outbox
from streams.storing import Storing
from tests.streams.joining import decide

# By moment: the method after which, or before which, the process is no more, or is held still.
AFTER = {
    "kept": (Storing, "keep"),
    "stored": (Storing, "absorb"),
    "queued": (Producer, "_produce"),
    "sent": (Outbox, "_send_once"),
    "handled": (Consumer, "handled"),
}
BEFORE = {"committing": (ConsumerThread, "_commit"), "joining": (worker.Worker, "_join")}


def struck_at(moment: str, times: str = "1", blow: str = "KILL") -> None:
    """The process is killed, or held still, at the given time that it comes to this moment."""
    left = [int(times)]

    def reached(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.Signals[f"SIG{blow}"])

    owner, name = (AFTER | BEFORE)[moment]
    method = getattr(owner, name)
    if moment in BEFORE:

        async def before(*given: Any, **more: Any) -> Any:
            reached()
            return await method(*given, **more)

        setattr(owner, name, before)
    elif moment == "sent":

        async def after_wait(*given: Any, **more: Any) -> Any:
            await method(*given, **more)
            reached()

        setattr(owner, name, after_wait)
    else:

        def after(*given: Any, **more: Any) -> Any:
            found = method(*given, **more)
            reached()
            return found

        setattr(owner, name, after)


def go_deaf() -> None:
    """A moment after each start, aiokafka reads nothing more and says nothing of it."""
    on_start = ConsumerThread.on_start

    async def started(thread: Any) -> None:
        await on_start(thread)
        thread.thread_loop.call_later(1.0, thread._consumer._fetcher._fetch_task.cancel)

    ConsumerThread.on_start = started


def main() -> int:
    directory, kafka, prefix, partitions, port, *hook = sys.argv[1:]
    if hook == ["deaf"]:
        go_deaf()
    elif hook and hook[0] == "looking":
        worker.LOOK_S = float(hook[1])  # type: ignore[misc]
    elif hook:
        if hook[0] == "queued":
            worker.LINGER_MS = 1_000.0  # type: ignore[misc]  so long the record is nowhere but in the queue
        struck_at(*hook)
    worker.Worker._decide = lambda _, known: decide(known)  # type: ignore[method-assign]
    settings = Settings(
        dir=Path(directory),
        kafka=kafka,
        topic_prefix=prefix,
        partitions=int(partitions),
        port=int(port),
        kafka_session_s=6.0,
    )
    return lifetime.run("joiner", settings, worker.main)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:  # as the command does
        sys.exit(f"joiner: {problem}")
