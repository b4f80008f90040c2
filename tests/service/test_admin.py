"""What the administrator makes of Kafka's errors: none of the library's own leaves it."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import confluent_kafka.admin as cka
import pytest

from service.errors import Problem, Unreachable
from service.kafka import Admin
from service.kafka.records import Description
from service.settings import Settings

FOREIGN = [ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, ck.KafkaError._STATE]
GONE = [ck.KafkaError.UNKNOWN_TOPIC_OR_PART, ck.KafkaError._UNKNOWN_PARTITION]


@pytest.fixture
def admin() -> Admin:
    return Admin(Settings(kafka="127.0.0.1:1"), deadline_s=1.0)


def failing(code: int) -> Any:
    raise ck.KafkaException(ck.KafkaError(code))


def failed(code: int) -> Future[Any]:
    made: Future[Any] = Future()
    made.set_exception(ck.KafkaException(ck.KafkaError(code)))
    return made


@pytest.mark.parametrize("code", FOREIGN)
def test_an_error_that_nobody_expects_is_a_problem_in_words(admin: Admin, code: int) -> None:
    words = ck.KafkaError(code).str().removesuffix(".")
    for ask in (lambda: admin._settled(lambda: failing(code)), lambda: admin._answer(failed(code))):
        with pytest.raises(Problem, match=words) as found:
            ask()
        assert not isinstance(found.value, Unreachable)


@pytest.mark.parametrize("code", FOREIGN)
def test_a_look_whether_a_topic_is_there_says_the_same(admin: Admin, code: int) -> None:
    with pytest.raises(Problem, match="answers"):
        admin._if_there(failed(code))


@pytest.mark.parametrize("code", GONE)
def test_a_topic_that_went_between_two_questions_may_come_back(admin: Admin, code: int) -> None:
    with pytest.raises(Unreachable):
        admin._settled(lambda: failing(code))
    assert admin._if_there(failed(code)) is None


def test_a_topic_that_goes_while_it_is_described_does_not_exist(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: Future[Any] = Future()
    here.set_result({"retention.ms": SimpleNamespace(value=7)})
    monkeypatch.setattr(
        admin, "_found", lambda _: dict.fromkeys("ab", SimpleNamespace(partitions=[0], topic_id="t"))
    )
    answers = {"a": here, "b": failed(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)}
    told = {
        cka.ConfigResource(cka.ConfigResource.Type.TOPIC, name): future for name, future in answers.items()
    }
    monkeypatch.setattr(
        admin, "_client", SimpleNamespace(describe_configs=lambda *_, **__: told, poll=lambda _: 0)
    )
    assert {name: each.config for name, each in admin.describe("ab").items()} == {"a": {"retention.ms": "7"}}


def test_while_a_leader_moves_it_is_asked_again(admin: Admin) -> None:
    codes = [ck.KafkaError.NOT_COORDINATOR, ck.KafkaError._TRANSPORT]
    assert admin._settled(lambda: failing(codes.pop()) if codes else "said") == "said"


def test_a_leader_that_moves_for_ever_counts_as_no_answer() -> None:
    admin = Admin(Settings(kafka="127.0.0.1:1"), deadline_s=0.01)
    with pytest.raises(Unreachable, match="no answer"):
        admin._settled(lambda: failing(ck.KafkaError.NOT_COORDINATOR))


def test_topics_are_there_once_their_partitions_are_led(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy broker takes a while: who asks for an offset then would be told that nobody answers."""
    made = {"a": Description(2, "t", {})}
    described = [{}, made, made, made]
    listed = [ck.KafkaError.NOT_LEADER_FOR_PARTITION, ck.KafkaError.UNKNOWN_TOPIC_OR_PART]

    def offsets(asked: object) -> object:
        return failing(listed.pop()) if listed else asked

    monkeypatch.setattr(admin, "describe", lambda _: described.pop(0))
    monkeypatch.setattr(admin, "_listed", offsets)
    admin._await_topics(["a"])
    assert (described, listed) == ([], [])


def test_a_new_topic_that_may_not_be_read_is_a_problem_at_once(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "describe", lambda _: {"a": Description(1, "t", {})})
    monkeypatch.setattr(admin, "_listed", lambda _: failing(ck.KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(Problem, match="answers"):
        admin._await_topics(["a"])
