"""How calls are spread over hosts."""

import asyncio

from sinks import hosts
from sinks.dial import Answer
from sinks.hosts import Dial, Hosts
from tests.sinks.fakes import until


async def call(lanes: Hosts, url: str, dial: Dial) -> Answer:
    async with lanes.turn(url) as turn:
        return await turn(dial)


async def test_a_dead_host_delays_nobody_else() -> None:
    never = asyncio.Event()
    lanes = Hosts()
    called: list[str] = []

    async def dial(url: str) -> Answer:
        called.append(url)
        if "dead" in url:
            await never.wait()
        return Answer(200)

    stuck = [asyncio.create_task(call(lanes, "http://dead.example/", dial)) for _ in range(500)]
    await until(lambda: len(called) == hosts.AT_ONCE)
    async with asyncio.timeout(60):
        assert (await call(lanes, "http://alive.example/", dial)).delivered
    for task in stuck:
        task.cancel()


async def test_a_silent_host_rests_and_is_tried_again_afterwards() -> None:
    now = [0.0]
    lanes = Hosts(lambda: now[0])
    calls = [0]

    async def silent(_url: str) -> Answer:
        calls[0] += 1
        return Answer(detail="no answer")

    for _ in range(20):
        answer = await call(lanes, "http://a.example/", silent)
    assert (calls[0], "not called" in answer.detail) == (hosts.SILENT_CALLS, True)
    now[0] += hosts.REST_S
    await call(lanes, "http://a.example/", silent)
    assert calls[0] == hosts.SILENT_CALLS + 1


async def test_an_answer_of_any_kind_shows_that_the_host_lives() -> None:
    lanes = Hosts()

    async def dial(url: str) -> Answer:
        return Answer(500) if "error" in url else Answer(detail="no answer")

    for path in ("", "", "", "", "error") * 3:
        answer = await call(lanes, f"http://a.example/{path}", dial)
    assert answer.status == 500


async def test_hosts_are_told_apart_by_name_and_port_not_by_case_or_user() -> None:
    assert hosts._name("http://u:p@A.example:80/x") == hosts._name("http://a.EXAMPLE:80/y")
    assert hosts._name("http://a.example:80") != hosts._name("http://a.example:81")
    assert hosts._name("http://[::1") == ""


async def test_the_number_of_remembered_hosts_is_bounded() -> None:
    lanes = Hosts()

    async def dial(_url: str) -> Answer:
        return Answer(200)

    for n in range(hosts.MAX_HOSTS + 50):
        await call(lanes, f"http://{n}.example/", dial)
    assert len(lanes._hosts) <= hosts.MAX_HOSTS
