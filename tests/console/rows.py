"""Rows in ClickHouse as the writer stores them."""

from collections.abc import Mapping, Sequence

from schemas import decisions, facts
from schemas.decisions import Case, Delivery
from schemas.facts import AnyFact
from schemas.tables import TABLES_OF_TOPIC
from service.clickhouse import ClickHouse
from service.kafka import Record
from service.settings import Settings
from sinks import batches, writer

TOPIC_OF = {
    "click": "clicks",
    "impression": "impressions",
    "pixel": "pixels",
    "iframe": "pixels",
    "postback": "postbacks",
    "adjustment": "adjustments",
}
LOGS: Mapping[str, str] = {topic: f"cluster:{topic}" for topic in TABLES_OF_TOPIC}


def store(config: Settings, things: Sequence[AnyFact | Case | Delivery]) -> None:
    """Stored, each at its place in the sequence."""
    records = []
    for offset, thing in enumerate(things):
        if isinstance(thing, Case):
            topic, value = "conversions", decisions.encode(thing)
        elif isinstance(thing, Delivery):
            topic, value = "deliveries", decisions.encode(thing)
        else:
            kind = getattr(thing, "kind", "") or type(thing).__name__.lower()
            topic, value = TOPIC_OF[kind], facts.encode(thing)
        records.append(Record(topic, 3, offset, 0, thing.transaction_id.encode(), value))
    client = ClickHouse(config)
    tables, bad = batches.sort(records, LOGS)
    assert not bad
    for table, rows in tables.items():
        client.insert_raw(table, batches.body(rows), settings=writer.INSERT)
    client.close()
