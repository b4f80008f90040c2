"""A lost or stale state comes back from Kafka, without a word to anybody."""
