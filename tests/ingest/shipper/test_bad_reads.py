"""A disk that takes writes and gives nothing back for a while: the carrier waits, and loses nothing."""

from ingest.journal.patience import LASTS_S
from tests.ingest.shipper.fakes import Edge, FakeKafka, until


async def test_reads_that_fail_for_a_while_lose_nothing(edge: Edge, kafka: FakeKafka) -> None:
    edge.accept(20)
    edge.disk.faults.unreadable = range(1 << 30)
    async with edge.carrying():
        await edge.turns()
        edge.seconds += LASTS_S / 10
        await edge.turns()
        edge.disk.faults.unreadable = range(0)
        await until(lambda: len(kafka.receipts) == 20)
    assert set(kafka.receipts) == set(edge.receipts)


async def test_a_carrier_keeps_in_mind_how_long_a_block_is_bad(edge: Edge, kafka: FakeKafka) -> None:
    """Guard: each try has a new reader, and the first one would begin to count each time."""
    edge.accept(20)
    at = edge.journal.committed.offset // 2
    edge.disk.faults.unreadable = range(at, at + 1)
    async with edge.carrying():
        await until(lambda: 0 < len(kafka.receipts) < 20)
        for _ in range(10):
            assert len(kafka.receipts) < 19
            await edge.turns()
            edge.seconds += LASTS_S / 10
        await until(lambda: len(kafka.receipts) == 19)
