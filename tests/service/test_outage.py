"""Outages: one line when a server is lost, one when it is back."""

import logging

import pytest

from service.outage import STALE_S, Outage, of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO)
    return Clock()


def test_many_complaints_make_one_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    server = Outage("Kafka at k:1", clock)
    for _ in range(1000):
        server.lost("1/1 brokers are down")
    assert caplog.messages == [
        "Kafka at k:1 cannot be reached: 1/1 brokers are down; trying again until it can"
    ]
    assert server.since == 1000


def test_the_recovery_is_one_line_with_its_length(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    server = Outage("Kafka at k:1", clock)
    server.lost("x")
    caplog.clear()
    clock.now += 12
    server.found()
    server.found()
    assert caplog.messages == ["Kafka at k:1 can be reached again after 12 s"]
    assert server.since == 0


def test_a_late_complaint_right_after_the_recovery_is_no_new_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server = Outage("Kafka at k:1", clock)
    server.lost("x")
    server.found()
    caplog.clear()
    server.lost("late")
    assert not caplog.messages
    clock.now += STALE_S
    server.lost("new")
    assert len(caplog.messages) == 1


def test_a_server_has_one_record_in_the_process() -> None:
    assert of("Kafka at one:1") is of("Kafka at one:1")
    assert of("Kafka at one:1") is not of("Kafka at two:1")
