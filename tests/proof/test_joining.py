"""What joining costs is measured to its end: in small, so that the figures mean nothing."""

import re

import pytest

from proof import joining

pytestmark = pytest.mark.stack

TINY = {
    "partitions": 2,
    "facts": 400,
    "peers": 400,
    "transactions": 400,
    "live_s": 1,
    "rate": 100,
    "backlog": 100,
    "hot": 200,
    "others": 200,
    "sales": 20,
}


def test_every_part_tells_its_figures(capsys: pytest.CaptureFixture[str]):
    assert TINY.keys() == joining.OPTIONS.keys()
    given = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    assert joining.main([*joining.PARTS, *given]) == 0
    told = re.sub(r"-?\d+(\.\d+)?", "N", capsys.readouterr().out).splitlines()
    assert [line.split(":")[0] for line in told] == [
        "load of the machine",
        "clicks only",
        "clicks and N% conversions",
        *joining.PEERS.values(),
        "N transactions through Kafka",
        "N transactions, N partitions, started again",
        "under live load",
        "a backlog after a stop",
        "a lost state of N facts and N cases, N partitions",
        *("even", "even", "hot", "hot"),
        "hot against even",
    ]
