"""The joiner, whose consumer hangs inside as soon as the file `hang` lies in its directory: it reads no more.

Its heartbeats go on, its health page answers.
"""

import asyncio
import sys
from typing import Any

import roundtrip
from service.settings import read
from streams.kafka.client import ConsumerThread

_fetch_records = ConsumerThread._fetch_records


def _is_to_hang() -> bool:
    mark = read("joiner").dir / "hang"
    if mark.exists():
        mark.rename(mark.with_name("hung"))
        return True
    return False


async def _hang_or_fetch(self: ConsumerThread, *given: Any, **more: Any) -> Any:
    if _is_to_hang():
        await asyncio.Event().wait()
    return await _fetch_records(self, *given, **more)


if __name__ == "__main__":
    ConsumerThread._fetch_records = _hang_or_fetch  # type: ignore[method-assign]
    sys.exit(roundtrip.main())
