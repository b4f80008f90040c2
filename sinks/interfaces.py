"""Interfaces: what the sinks need of Kafka and ClickHouse, so that a test can stand in for either."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from service.kafka import Outgoing, Partition, Record


class Source(Protocol):
    """A member of a consumer group: service.kafka.Reader."""

    async def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """What is there, after at most timeout_s."""

    async def commit(
        self, offsets: Mapping[Partition, int], notes: Mapping[Partition, str] | None = None
    ) -> None:
        """The group goes on from these offsets."""

    def assigned(self) -> frozenset[Partition]:
        """What this member reads now."""

    async def pause(self, partitions: Iterable[Partition]) -> None:
        """Nothing is read from these until they are resumed."""

    async def resume(self, partitions: Iterable[Partition]) -> None:
        """These are read again."""

    async def close(self) -> None:
        """The group knows that this member left."""


class Outlet(Protocol):
    """What sends records: service.kafka.Producer."""

    async def send_all(self, records: Sequence[Outgoing]) -> None:
        """All are acknowledged, else Unavailable or RecordsRefused."""


class Storage(Protocol):
    """What stores rows: service.clickhouse.ClickHouse."""

    def check(self) -> str:
        """Unreachable where it does not answer."""

    def insert_raw(
        self, table: str, body: bytes, *, token: str = "", settings: Mapping[str, object] | None = None
    ) -> int:
        """All rows of the body are stored, else Unavailable or Refused."""


class Logs(Protocol):
    """What knows the logs that a group reads: sinks.new_log.Watch."""

    identities: Mapping[str, str]

    async def verify(self) -> None:
        """Unavailable where a log became another."""

    def notes(self, partitions: Iterable[Partition]) -> dict[Partition, str]:
        """What is committed beside the offsets."""
