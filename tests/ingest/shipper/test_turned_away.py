"""What Kafka does not take: it comes alone, then lies in the quarantine, and the journal goes on."""

import base64

import pytest

from ingest.journal.segments import Position
from schemas import decisions
from schemas.decisions import Quarantine
from schemas.reasons import Reason
from tests.ingest.shipper.fakes import Edge, FakeKafka, until


def quarantine(kafka: FakeKafka) -> list[Quarantine]:
    found = [decisions.decode("quarantine", value) for log in kafka.values("quarantine") for value in log]
    return [each for each in found if isinstance(each, Quarantine)]


def facts(kafka: FakeKafka) -> int:
    return sum(len(log) for log in kafka.values("clicks"))


async def test_a_record_over_the_limit_is_quarantined_alone_and_the_others_go_on(
    edge: Edge, kafka: FakeKafka
) -> None:
    edge.accept(3)
    (large,) = edge.accept(1, pad=2_000)
    edge.accept(3)
    kafka.max_bytes = 1_500
    kafka.max_bytes, limit = 10_000, 1_500
    ship = kafka._answer

    def answer(records: list, future: object) -> None:  # type: ignore[type-arg]  # the topic's limit, not the quarantine's
        kafka.max_bytes = limit if records[0].topic == "clicks" else 10_000
        ship(records, future)  # type: ignore[arg-type]

    kafka._answer = answer  # type: ignore[method-assign,assignment]
    await edge.ship_all()
    (kept,) = quarantine(kafka)
    assert (kept.receipt_id, kept.identity) == (large, large)
    assert (kept.reader, kept.topic, kept.reason) == ("collector", "clicks", Reason.OVER_LIMIT)
    assert large.encode() in base64.b64decode(kept.value)
    assert facts(kafka) == 6
    assert edge.count("roundtrip_shipped_refused_total") == 1
    assert edge.count("roundtrip_shipped_total") == 6
    assert edge.saved.position == edge.journal.committed


async def test_a_record_that_was_turned_away_for_its_company_lies_in_its_topic(
    edge: Edge, kafka: FakeKafka
) -> None:
    ship = kafka._answer

    def answer(records: list, future: object) -> None:  # type: ignore[type-arg]
        """A batch with the odd record is refused whole; and so is the odd record alone."""
        odd = [each.value for each in records if b"-2" in each.value]
        kafka.refused = {each.value for each in records if each.topic == "clicks"} if odd else set()
        ship(records, future)  # type: ignore[arg-type]

    kafka._answer = answer  # type: ignore[method-assign,assignment]
    edge.accept(3)
    await edge.ship_all()
    (kept,) = quarantine(kafka)
    assert (kept.receipt_id, kept.reason) == (edge.receipts[1], Reason.MALFORMED_EVENT)
    assert facts(kafka) == 2


async def test_while_the_quarantine_takes_nothing_the_cursor_stays(
    edge: Edge, kafka: FakeKafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.max_bytes = 50
    edge.accept(1)
    async with edge.carrying() as carrier:
        await edge.turns(10)
        assert carrier.logbook.position == Position()
        assert "the quarantine does not take" in caplog.text
        del kafka.topics["quarantine"]
        await until(lambda: edge.waits.count(2.0) > 10)
        assert carrier.logbook.position == Position()
    assert edge.count("roundtrip_shipped_refused_total") == 0
