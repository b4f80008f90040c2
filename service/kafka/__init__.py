"""Kafka: the only door to confluent_kafka.

Topics and groups are named without ROUNDTRIP_TOPIC_PREFIX outside this package; it adds and strips it.
"""

from service.kafka.admin import Admin
from service.kafka.connection import asked
from service.kafka.producer import Producer
from service.kafka.ranges import Ranges, Stretch
from service.kafka.readback import records_at
from service.kafka.reader import Reader
from service.kafka.records import Description, Outgoing, Partition, Record, TopicSpec, told_together
from service.kafka.shipments import Outcome, Turned
from service.kafka.tail import Tail, read_range

__all__ = [
    "Admin",
    "Description",
    "Outcome",
    "Outgoing",
    "Partition",
    "Producer",
    "Ranges",
    "Reader",
    "Record",
    "Stretch",
    "Tail",
    "TopicSpec",
    "Turned",
    "asked",
    "read_range",
    "records_at",
    "told_together",
]
