"""The administrator: topics and groups, what is known of them and done to them."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

import confluent_kafka as ck
from confluent_kafka import admin as cka

from schemas.topics import TOPICS
from service.errors import Problem, Unreachable
from service.kafka.connection import (
    MOVING,
    NO_TOPIC,
    SILENT,
    connection,
    made,
    missing_topic,
    outage_of,
    sentence,
)
from service.kafka.records import Description, Partition, TopicSpec, note_of
from service.settings import Settings

CREATED_S = 120.0  # for new topics, in all; usually 1 s, and a busy broker took 15 to lead 600 new partitions
# A longer retention than asked for is the operator's choice; a shorter one loses what state expects to find.
_AT_LEAST = frozenset({"retention.ms", "retention.bytes", "max.message.bytes"})


_EARLIEST = cka.OffsetSpec.earliest()
T = TypeVar("T")


class Admin:
    """What is known of and done to topics and groups; everything blocks, at most deadline_s a call.

    Unreachable where Kafka does not answer, or has just lost what was asked about; any other error that it
    answers with is a Problem. Use as a context manager, or close.
    """

    def __init__(self, settings: Settings, deadline_s: float = 10.0) -> None:
        self._settings = settings
        self._prefix = settings.topic_prefix
        self._deadline_s = deadline_s
        self._server = outage_of(settings)
        self._client = made(cka.AdminClient, connection(settings, error_cb=_unheard))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do: the client goes with the last reference."""

    def _answer(self, future: Any) -> Any:
        """What Kafka answered; Problem where that is an error."""
        try:
            return self._told(future)
        except ck.KafkaException as error:
            raise self._refused(error) from error

    def _told(self, future: Any, deadline_s: float = 0.0) -> Any:
        """What Kafka answered, KafkaException where that is an error; that it did ends an outage."""
        self._client.poll(0)  # its complaints gather until somebody takes them: 1 MB a minute of an outage
        try:
            answer = future.result(deadline_s or self._deadline_s)
        except ck.KafkaException as error:
            code = error.args[0].code()
            if code in SILENT:
                raise self._unreachable() from error
            if code > 0:  # the broker's own words; the library's are below
                self._server.found()
            raise
        except TimeoutError as error:
            raise self._unreachable() from error
        self._server.found()
        return answer

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            f"Kafka at {self._settings.kafka} cannot be reached (no answer in {self._deadline_s:.0f} s);"
            " is it running, and is ROUNDTRIP_KAFKA right?"
        )

    def _refused(self, error: ck.KafkaException) -> Problem:
        """What a person is told of an answer that nobody expected: no rights, a topic that has just gone."""
        why = f"Kafka at {self._settings.kafka} answers: {sentence(error.args[0])}"
        return Unreachable(why) if error.args[0].code() in NO_TOPIC else Problem(why)

    def check(self) -> str:
        """The cluster's ID: a broker answered."""
        return str(self._answer(self._client.describe_cluster(request_timeout=self._deadline_s)).cluster_id)

    def describe(self, topics: Iterable[str]) -> dict[str, Description]:
        """Each topic that exists; one that goes while Kafka is asked does not."""
        found = self._found(topics)
        return {
            name.removeprefix(self._prefix): Description(
                len(found[name].partitions), str(found[name].topic_id), config
            )
            for name, config in self._configs(found).items()
        }

    def _found(self, topics: Iterable[str]) -> dict[str, Any]:
        """Those that exist, by their names in the cluster."""
        asked = [self._prefix + topic for topic in topics]
        if not asked:
            return {}
        futures = self._client.describe_topics(ck.TopicCollection(asked), request_timeout=self._deadline_s)
        return {name: each for name, future in futures.items() if (each := self._if_there(future))}

    def _if_there(self, future: Any) -> Any:
        try:
            return self._told(future)
        except ck.KafkaException as error:
            if error.args[0].code() in NO_TOPIC:
                return None
            raise self._refused(error) from error

    def _configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [cka.ConfigResource(cka.ConfigResource.Type.TOPIC, name) for name in topics]
        if not resources:
            return {}
        futures = self._client.describe_configs(resources, request_timeout=self._deadline_s)
        return {
            resource.name: {name: str(entry.value) for name, entry in each.items()}
            for resource, future in futures.items()
            if (each := self._if_there(future)) is not None
        }

    def ensure_topics(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Every topic is there as specified; one line for each thing that was done.

        A number of partitions never changes, because keys would move: a difference is a Problem. A retention
        that is longer than specified stays.
        """
        wanted = {spec.name: spec for spec in specs}
        present = self.describe(wanted)
        for name, found in present.items():
            if found.partitions != wanted[name].partitions:
                raise Problem(
                    f"topic {name} has {found.partitions} partitions, not {wanted[name].partitions}:"
                    " their number is chosen at installation; set ROUNDTRIP_PARTITIONS to what is there,"
                    " or use another ROUNDTRIP_TOPIC_PREFIX"
                )
        missing = [spec for name, spec in wanted.items() if name not in present]
        return self._create(missing) + [
            line for name, found in present.items() for line in self._alter(wanted[name], found.config)
        ]

    def _create(self, specs: list[TopicSpec]) -> list[str]:
        if not specs:
            return []
        fresh = [
            cka.NewTopic(self._prefix + name, count, copies, config=dict(config))
            for name, count, copies, config in specs
        ]
        futures = self._client.create_topics(fresh, request_timeout=CREATED_S, operation_timeout=CREATED_S)
        for name, future in futures.items():
            try:
                self._told(future, CREATED_S)
            except ck.KafkaException as error:
                if error.args[0].code() != ck.KafkaError.TOPIC_ALREADY_EXISTS:  # another migrate was quicker
                    raise Problem(
                        f"Kafka does not create the topic {name}: {sentence(error.args[0])}"
                    ) from error
        self._await_topics([spec.name for spec in specs])
        return [f"topic {spec.name}: created, partitions: {spec.partitions}" for spec in specs]

    def _await_topics(self, topics: list[str]) -> None:
        """Brokers answer for the topics and lead them: they say `created` before each of them knows."""
        limit = time.monotonic() + CREATED_S
        while not self._are_led(topics):
            if time.monotonic() > limit:
                raise self._unreachable()
            time.sleep(0.05)

    def _are_led(self, topics: list[str]) -> bool:
        found = self.describe(topics)
        try:
            return len(found) == len(topics) and bool(self._listed(self._places(found, _EARLIEST)))
        except ck.KafkaException as error:
            if error.args[0].code() in MOVING | NO_TOPIC:
                return False
            raise self._refused(error) from error

    def _alter(self, spec: TopicSpec, present: Mapping[str, str]) -> list[str]:
        changes = {
            name: value
            for name, value in spec.config.items()
            if not _suffices(name, value, present.get(name, ""))
        }
        if not changes:
            return []
        entries = [
            cka.ConfigEntry(name, value, incremental_operation=cka.AlterConfigOpType.SET)
            for name, value in changes.items()
        ]
        resource = cka.ConfigResource(
            cka.ConfigResource.Type.TOPIC, self._prefix + spec.name, incremental_configs=entries
        )
        for future in self._client.incremental_alter_configs(
            [resource], request_timeout=self._deadline_s
        ).values():
            self._answer(future)
        return [
            f"topic {spec.name}: {name} set to {value} (was {present.get(name, 'unset')})"
            for name, value in changes.items()
        ]

    def start_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The first offset that is still there, of each partition."""
        return self._offsets(topics, _EARLIEST)

    def end_offsets(self, topics: Iterable[str]) -> dict[Partition, int]:
        """The offset that the next record will get, of each partition."""
        return self._offsets(topics, cka.OffsetSpec.latest())

    def _offsets(self, topics: Iterable[str], spec: Any) -> dict[Partition, int]:
        asked = self._places(self.describe(topics), spec)
        if not asked:
            return {}
        return self._settled(lambda: self._listed(asked))

    def _places(self, topics: Mapping[str, Description], spec: Any) -> dict[Any, Any]:
        return {
            ck.TopicPartition(self._prefix + topic, number): spec
            for topic, found in topics.items()
            for number in range(found.partitions)
        }

    def _listed(self, asked: dict[Any, Any]) -> dict[Partition, int]:
        futures = self._client.list_offsets(asked, request_timeout=self._deadline_s)
        return {
            (each.topic.removeprefix(self._prefix), each.partition): int(self._told(future).offset)
            for each, future in futures.items()
        }

    def _settled(self, ask: Callable[[], T]) -> T:
        """The answer, asked again while a leader or coordinator moves; Unreachable at the deadline."""
        ends = time.monotonic() + self._deadline_s
        while True:
            try:
                return ask()
            except ck.KafkaException as error:
                code = error.args[0].code()
                if code not in SILENT and code not in MOVING:
                    raise self._refused(error) from error
                if time.monotonic() > ends:
                    raise self._unreachable() from error
                time.sleep(0.1)

    def committed(self, group: str) -> dict[Partition, tuple[int, str]]:
        """Offset and note that a group holds of each partition of our topics.

        Asked as a consumer that never joins: while a group's coordinator starts or moves, librdkafka's own
        question for administrators ends the process (SIGSEGV, librdkafka#5040).
        """
        asked = [
            ck.TopicPartition(self._prefix + topic, number)
            for topic, found in self.describe(TOPICS).items()
            for number in range(found.partitions)
        ]
        member = {"group.id": self._prefix + group, "enable.auto.commit": False}
        client = made(ck.Consumer, connection(self._settings, **member))
        try:
            found = self._settled(lambda: client.committed(asked, self._deadline_s)) if asked else []
        finally:
            client.close()
        return {
            (each.topic.removeprefix(self._prefix), each.partition): (each.offset, note_of(each))
            for each in found
            if each.offset >= 0
        }

    def groups(self) -> list[str]:
        """The consumer groups of this installation (with an empty prefix: of the cluster)."""
        found = self._answer(self._client.list_consumer_groups(request_timeout=self._deadline_s)).valid
        return sorted(
            each.group_id.removeprefix(self._prefix)
            for each in found
            if each.group_id.startswith(self._prefix)
        )

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic that exists has."""
        return {
            name.removeprefix(self._prefix): len(each.partitions)
            for name, each in self._found(topics).items()
        }

    def log_identity(self, topic: str) -> str:
        """`CLUSTER:TOPIC` by their IDs: another one is another log, whatever its offsets say."""
        found = self.log_identities([topic])
        if topic not in found:
            raise Unreachable(missing_topic(topic))
        return found[topic]

    def log_identities(self, topics: Iterable[str]) -> dict[str, str]:
        """The same of each topic that exists, in two questions."""
        found = self._found(topics)
        cluster = self.check()
        return {name.removeprefix(self._prefix): f"{cluster}:{each.topic_id}" for name, each in found.items()}


def _unheard(_error: Any) -> None:
    """A complaint may be old when it is taken, and whoever asks gets the error himself."""


def _suffices(name: str, wanted: str, present: str) -> bool:
    if wanted == present:
        return True
    if name not in _AT_LEAST or not present:
        return False
    return present == "-1" or (wanted != "-1" and int(present) > int(wanted))
