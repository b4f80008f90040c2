"""The sinks: what Kafka holds goes to ClickHouse (writer) and to partners (notifier)."""
