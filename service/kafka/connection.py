"""Connections to Kafka: their configuration, their errors in words, and what a lost broker is told as."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import confluent_kafka as ck

from service import outage
from service.errors import Unavailable, Usage
from service.settings import Settings

log = logging.getLogger(__name__)

ASK_S = 5.0  # for a question that a living broker answers in milliseconds
LOOK_S = 1.0  # between two looks whether a lost broker is back, and the longest of one
POLL_S = 0.25  # how late the poll thread may notice that it should end; deliveries wake it at once

_ERROR = ck.KafkaError
# Kafka will never take such a record, from whomever and whenever.
FINAL = frozenset(
    {_ERROR.MSG_SIZE_TOO_LARGE, _ERROR.INVALID_RECORD, _ERROR.INVALID_MSG, _ERROR.INVALID_TIMESTAMP}
)


def _codes(*names: str) -> frozenset[int]:
    """Librdkafka's codes by name; its own ones begin with an underscore, public all the same."""
    return frozenset(getattr(_ERROR, name) for name in names)


TOO_LARGE = _codes("MSG_SIZE_TOO_LARGE")
# A batch is refused for one of its records: whether this one is meant shows only when it comes alone.
IN_COMPANY = FINAL | _codes("_INVALID_DIFFERENT_RECORD")
NO_TOPIC = _codes("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION")
_LOST = _codes("_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL")
_CUT = _LOST | _codes("_TRANSPORT", "_TIMED_OUT")  # what is said of a connection that ended
SILENT = _codes("_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT")
AT_END = _codes("_PARTITION_EOF")
# A partition's leader or a group's coordinator starts or moves, or a broker that was away does not yet know
# what it leads: another asking within seconds is answered.
MOVING = _codes(
    "NOT_LEADER_FOR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "OFFSET_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "COORDINATOR_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "_WAIT_COORD",
)


class _Quiet(logging.Filter):
    """Keeps librdkafka's own lines back: they repeat for each broker, connection and attempt.

    What matters of them reaches error_cb, which tells the outage.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL


_library_log = logging.getLogger("librdkafka")
_library_log.addFilter(_Quiet())


def outage_of(settings: Settings) -> outage.Outage:
    """What the process knows of these brokers."""
    return outage.of(f"Kafka at {settings.kafka}")


def connection(settings: Settings, **more: Any) -> dict[str, Any]:
    """Librdkafka's configuration of a connection: where, how secured, who complains to whom."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_security,
        "error_cb": partial(complaint, outage_of(settings)),
        "reconnect.backoff.max.ms": 2_000,  # 10 s would delay what waits after a broker's restart
        "broker.address.ttl": 1_000,
        "allow.auto.create.topics": False,
        "topic.metadata.propagation.max.ms": 5_000,  # a topic that is not there is told after 5 s, not 30
    }
    if settings.kafka_ca:
        config["ssl.ca.location"] = settings.kafka_ca
    if settings.kafka_security.startswith("sasl"):
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password,
        }
    return config | more


def was_cut(error: Any) -> bool:
    """Whether this complaint says that a connection ended, or could not be made."""
    return error.code() in _CUT


def complaint(server: outage.Outage, error: Any) -> None:
    """What librdkafka says of its connections becomes an outage, or a line for who debugs."""
    if error.code() in _LOST:
        server.lost(sentence(error))
    else:
        log.debug("librdkafka: %s", error)


class Look:
    """Whether a lost broker answers again: asked now and then by a client that reads and gets nothing.

    Where no record comes, nothing else would end the outage.
    """

    def __init__(self, server: outage.Outage, client: Any) -> None:
        self._server = server
        self._client = client
        self._at = 0.0

    def again(self) -> None:
        """The outage is over where a broker answered. Blocks up to LOOK_S, cheap while all is well."""
        if not self._server.since or time.monotonic() - self._at < LOOK_S:
            return
        self._at = time.monotonic()
        try:
            self._client.list_topics(timeout=LOOK_S)
        except ck.KafkaException:
            return
        self._server.found()


def sentence(error: Any) -> str:
    """The library's error in its own words."""
    return str(error.str()).removesuffix(".")


def made(kind: Any, config: dict[str, Any]) -> Any:
    """A client of librdkafka; a configuration that it does not take is the settings' fault."""
    try:
        return kind(config, logger=_library_log)
    except ck.KafkaException as error:
        raise Usage(
            f"Kafka's settings cannot be used: {sentence(error.args[0])} (ROUNDTRIP_KAFKA…)"
        ) from error


def missing_topic(topic: str) -> str:
    """What is said of a topic that is not there."""
    return f"Kafka has no topic {topic}, or not that partition; run `roundtrip migrate`"


def asked(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the library answers; Unavailable where it fails."""
    try:
        return call(*arguments)
    except ck.KafkaException as error:
        raise Unavailable(f"Kafka: {sentence(error.args[0])}") from error
