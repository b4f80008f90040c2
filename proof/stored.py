"""What ClickHouse holds, as the ledger compares it: every row of the stack, whoever sent it."""

from typing import Final, NamedTuple

from proof.ledger import Row, Sale, Stored
from schemas import facts
from schemas.topics import FACTS as FACT_TOPICS
from service.clickhouse import ClickHouse
from service.kafka import Admin, read_range
from service.settings import Settings

FACTS: Final = """
SELECT 'click', aff_click_id, receipt_id, transaction_id, '' FROM clicks
UNION ALL SELECT 'impression', aff_click_id, receipt_id, transaction_id, '' FROM impressions
UNION ALL SELECT kind, adv_unique1, receipt_id, transaction_id, conversion_unique_id FROM observations
"""
SALES: Final = """
SELECT conversion_unique_id, transaction_id, status, reason, payout, observations FROM conversions
"""
# Of the tables themselves, before any merge hides a row: where it lies in Kafka and when it came may differ,
# nothing else.
_CONTENT: Final = "cityHash64(* EXCEPT (kafka_topic, kafka_partition, kafka_offset, kafka_log, inserted_at))"
TWINS: Final = f"""
SELECT receipt_id FROM
(
    SELECT receipt_id, {_CONTENT} AS content FROM click_facts
    UNION ALL SELECT receipt_id, {_CONTENT} FROM impression_facts
    UNION ALL SELECT receipt_id, {_CONTENT} FROM observation_facts
)
GROUP BY receipt_id
HAVING uniqExact(content) > 1
"""  # noqa: S608  constants
QUARANTINED: Final = "SELECT concat(reader, ' ', topic, ' ', receipt_id, ': ', detail) FROM quarantine"
TAILS: Final = "SELECT epoch, last FROM tails"
# Another value whenever something has come in.
PULSE: Final = """
SELECT
    (SELECT count() FROM click_facts), (SELECT count() FROM impression_facts),
    (SELECT count() FROM observation_facts), (SELECT count() FROM case_history),
    (SELECT count() FROM quarantine_facts)
"""


def stored(clickhouse: ClickHouse) -> Stored:
    """Everything that is stored now."""
    return Stored(
        rows=[Row(*row) for row in clickhouse.query(FACTS).rows],
        sales=[Sale(*row) for row in clickhouse.query(SALES).rows],
        twins=[row[0] for row in clickhouse.query(TWINS).rows],
        quarantined=[row[0] for row in clickhouse.query(QUARANTINED).rows],
        tails={epoch: int(last) for epoch, last in clickhouse.query(TAILS).rows},
    )


class Logged(NamedTuple):
    """What Kafka holds: every receipt, and what the first of each epoch names (no table keeps that)."""

    receipts: frozenset[str]
    previous: dict[str, tuple[str, int]]


def logged(settings: Settings) -> Logged:
    """Every fact that Kafka holds now."""
    with Admin(settings) as admin:
        starts, ends = admin.start_offsets(FACT_TOPICS), admin.end_offsets(FACT_TOPICS)
    receipts, previous = set(), {}
    for (topic, number), end in ends.items():
        for record in read_range(settings, topic, number, starts[topic, number], end):
            fact = facts.decode(topic, record.value)
            receipts.add(fact.receipt_id)
            if fact.previous:
                epoch = fact.receipt_id.rpartition("-")[0]
                previous[epoch] = (fact.previous.epoch, fact.previous.last)
    return Logged(frozenset(receipts), previous)
