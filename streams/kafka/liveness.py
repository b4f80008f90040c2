"""What in aiokafka can end, or wait for somebody who never comes, without a word.

Its own way of reading would raise these errors; Faust goes past it, straight to the fetcher. The worker would
keep its partitions, answer its health checks and read nothing more, for ever.
"""

import asyncio
from typing import Any


def silent(consumer: Any) -> str:
    """What of aiokafka's work is over, and why; nothing while all of it goes on. Asked from any thread.

    - A task that ended: nothing starts it again.
    - An error of the group's that aiokafka keeps for the next who reads by its own `getmany`: until somebody
      takes it, it coordinates nothing, sends no heartbeat and does not join again.
    """
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001  it tells no other way
    if coordinator is None or fetcher is None:
        return ""  # not started yet
    tasks = {
        "membership": coordinator._coordination_task,  # noqa: SLF001
        "fetching": fetcher._fetch_task,  # noqa: SLF001
        "metadata": consumer._client._sync_task,  # noqa: SLF001
    }
    over = [f"{name}: {_end(task)}" for name, task in tasks.items() if task.done()]
    if (kept := coordinator._pending_exception) is not None:  # noqa: SLF001
        over.append(f"membership: {kept!r}")
    return "; ".join(over)


def _end(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "was cancelled"
    return f"ended with {task.exception()!r}"
