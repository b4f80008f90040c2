"""What else reads the topic of clicks: a stock Faust agent that does nothing, and aiokafka alone.

`python -m proof.peers faust|aiokafka KAFKA TOPIC RECORDS` prints the CPU-seconds and seconds that it took
from the first record to the last of so many. Everything is as the libraries come, but for one group each.
"""

import asyncio
import sys
import tempfile
import time
from typing import Any, Final

import aiokafka
import faust
import msgspec

from proof.joiner_costs import Took

GETMANY: Final = {"max_partition_fetch_bytes": 1 << 20, "max_poll_records": 4_000}


class _Clock:
    """From the first record to the last."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0
        self._began = (0.0, 0.0)

    def counted(self, records: int) -> bool:
        """Whether that was the last."""
        if not self.count:
            self._began = (time.process_time(), time.monotonic())
        self.count += records
        return self.count >= self.wanted

    def took(self) -> Took:
        cpu_s, began_s = self._began
        return Took(self.count, time.process_time() - cpu_s, time.monotonic() - began_s)


async def by_aiokafka(kafka: str, topic: str, records: int) -> Took:
    """Its getmany, and nothing done with what comes."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, group_id=None, auto_offset_reset="earliest", **GETMANY
    )
    clock = _Clock(records)
    await consumer.start()
    try:
        while True:
            found = await consumer.getmany(timeout_ms=500)
            if clock.counted(sum(map(len, found.values()))):
                return clock.took()
    finally:
        await consumer.stop()


async def by_faust(kafka: str, topic: str, records: int) -> Took:
    """An agent that counts."""
    with tempfile.TemporaryDirectory() as directory:  # where Faust would keep tables
        return await _by_faust(kafka, topic, records, directory)


async def _by_faust(kafka: str, topic: str, records: int, directory: str) -> Took:
    app = faust.App(
        "roundtrip-peer",
        datadir=directory,
        broker=f"kafka://{kafka}",
        value_serializer="raw",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
    )
    clock, done = _Clock(records), asyncio.Event()

    @app.agent(app.topic(topic))  # type: ignore[untyped-decorator]  # untyped
    async def read(stream: Any) -> None:
        async for _ in stream:
            if clock.counted(1):
                done.set()

    await app.start()
    await done.wait()
    took = clock.took()
    await app.stop()
    return took


READERS: Final = {"aiokafka": by_aiokafka, "faust": by_faust}


def main() -> int:
    """The figures as JSON, on standard output."""
    name, kafka, topic, records = sys.argv[1:]
    found = asyncio.run(READERS[name](kafka, topic, int(records)))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
