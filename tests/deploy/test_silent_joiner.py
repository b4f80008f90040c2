"""A real joiner on the real Kafka that stands still, or hangs inside, is seen from outside and replaced."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from console import lag
from console.lookout import Figures, Lookout
from deploy.kafka_server import KafkaServer
from deploy.silence import Silence
from deploy.supervisor import watch
from proof import histories
from proof.joiner_stack import Joiner, JoinerStack
from service.kafka import Admin
from tests.deploy.test_process import Enough

pytestmark = pytest.mark.stack

SILENT_S = 5.0
DEADLINE_S = 120.0
PROGRAM = Path(__file__).with_name("hanging_joiner.py")


class Console:
    """The console's lookout; looks when it is asked."""

    def __init__(self, stack: JoinerStack) -> None:
        settings = msgspec.structs.replace(stack.settings, silent_s=SILENT_S)
        self._admin = Admin(settings)
        self._lookout = Lookout(settings, Figures(CollectorRegistry()))

    def note(self, _name: str) -> str:
        self._lookout.look(lag.places(self._admin, ["roundtrip-joiner"]), time.monotonic())
        return self._lookout.note()


def stopped(joiner: Joiner) -> None:
    os.kill(joiner.pid, signal.SIGSTOP)


def hung(joiner: Joiner) -> None:
    (joiner.directory / "hang").touch()
    wait_for((joiner.directory / "hung").exists)


def wait_for(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.mark.parametrize("fault", [stopped, hung])
def test_a_joiner_that_takes_nothing_more_is_replaced(
    kafka: KafkaServer, tmp_path: Path, fault: Callable[[Joiner], None]
) -> None:
    stack = JoinerStack(kafka, tmp_path, prefix=f"{fault.__name__}-", partitions=2, program=PROGRAM)
    stack.install(histories.catalogs())
    told = [
        histories.record(fact) for fact in histories.histories("1", 20, time.time_ns() // 1_000_000).shipped
    ]
    joiner = stack.joiner()
    try:
        joiner.start()
        stack.produce(told[:20])
        wait_for(stack.is_caught_up)
        first = joiner.pid
        fault(joiner)
        stack.produce(told[20:])
        silence = Silence(joiner, Console(stack), SILENT_S)  # type: ignore[arg-type]  its lookout is the real one
        limit = time.monotonic() + DEADLINE_S

        def heed(now: float) -> None:
            assert now < limit
            silence.heed(now)

        def replaced() -> None:
            raise Enough

        with pytest.raises(Enough):
            watch([joiner], replaced, lambda _: True, heed)
        assert joiner.pid != first
        wait_for(stack.is_caught_up)
    finally:
        joiner.kill()
