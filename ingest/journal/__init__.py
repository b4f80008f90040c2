"""The journal: what the collector said yes to, on this disk until Kafka has it and a while after."""
