"""The real ClickHouse and Kafka, as the sinks' tests start them."""

from tests.sinks.conftest import clickhouse_server, kafka, stored

__all__ = ["clickhouse_server", "kafka", "stored"]
