"""Keys rotate while two edges run: in the right order nobody is refused, in the wrong one somebody is."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import keys, rotation
from service.key_watch import KeyWatch
from service.keys import KeyFile
from tests.chance import FIXTURE
from tests.ingest.fakes import KNOWN, NOW_MS, Bench, get

SOON_MS = NOW_MS + 3_600_000


class Edge:
    """An edge with a file of keys of its own, of which it learns as a collector does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bench = Bench()
        self.watch = KeyWatch(path)
        self.learn()

    def learn(self) -> None:
        """It has looked at its file twice."""
        for _ in range(2):
            self.watch.look()
        self.bench.edge.known = msgspec.structs.replace(KNOWN, keyring=self.watch.keyring)

    async def click(self) -> str:
        answer = await self.bench.edge.answer(get("/click?offer_id=7&aff_id=42"))
        assert answer.status == 302
        return str(self.bench.facts()[-1].transaction_id)

    async def status(self, path: str) -> int:
        return (await self.bench.edge.answer(get(path))).status


class Network:
    """Two edges; their files are copies of one, which is rotated."""

    def __init__(self, directory: Path) -> None:
        self.origin = directory / "keys.toml"
        keys.write(self.origin, rotation.added(KeyFile(), keys.new_secret(), NOW_MS)[0])
        self.edges = [Edge(self._copy(directory / name)) for name in ("a", "b")]
        self.ids: list[str] = []

    def _copy(self, path: Path) -> Path:
        shutil.copy2(self.origin, path)
        return path

    def rotate(self, step: Any, *arguments: Any, **more: Any) -> None:
        found = step(keys.read(self.origin), *arguments, **more)
        keys.write(self.origin, found[0] if step is rotation.added else found)

    def hand_out(self, number: int) -> None:
        """The edge has the file as it is now, and has learned of it."""
        self._copy(self.edges[number].path)
        self.edges[number].learn()

    async def every_id_is_good_everywhere(self) -> bool:
        self.ids += [await edge.click() for edge in self.edges]
        paths = [f"/{kind}?transaction_id={one}" for one in self.ids for kind in ("postback", "pixel")]
        return {await edge.status(path) for path in paths for edge in self.edges} == {200}


STEPS: list[tuple[Any, tuple[Any, ...]]] = [
    (rotation.added, ("bb" * 32, NOW_MS)),
    (rotation.signing, (2, SOON_MS, SOON_MS)),
    (rotation.added, ("cc" * 32, SOON_MS)),
    (rotation.signing, (3, SOON_MS + SOON_MS, SOON_MS)),
]


@settings(max_examples=16, deadline=None, suppress_health_check=FIXTURE)
@given(st.lists(st.booleans(), min_size=len(STEPS), max_size=len(STEPS)))
async def test_step_by_step_whichever_edge_comes_first_nobody_is_refused(
    tmp_path_factory: pytest.TempPathFactory, first: list[int]
) -> None:
    network = Network(tmp_path_factory.mktemp("edges"))
    for (step, arguments), number in zip(STEPS, first, strict=True):
        network.rotate(step, *arguments)
        for edge in (number, 1 - number):
            network.hand_out(edge)
            assert await network.every_id_is_good_everywhere()


async def test_who_signs_before_all_verify_is_asked_to_come_again_and_a_pixel_is_kept(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.rotate(rotation.added, "bb" * 32, NOW_MS)
    network.rotate(rotation.signing, 2, NOW_MS, NOW_MS, at_once=True)
    network.hand_out(0)
    ahead, behind = network.edges
    new = await ahead.click()
    assert await ahead.status(f"/postback?transaction_id={new}") == 200
    assert await behind.status(f"/postback?transaction_id={new}") == 503
    assert await behind.status(f"/pixel?transaction_id={new}") == 200
    assert behind.bench.facts()[-1].transaction_id == new
    network.hand_out(1)
    assert await behind.status(f"/postback?transaction_id={new}") == 200
    assert await network.every_id_is_good_everywhere()


async def test_an_edge_whose_file_breaks_goes_on_with_the_keys_of_before(tmp_path: Path) -> None:
    network = Network(tmp_path)
    for edge in network.edges:
        edge.path.write_text("[[keys")
        edge.learn()
        assert edge.watch.problem
    assert await network.every_id_is_good_everywhere()


async def test_ids_of_a_key_that_was_retired_by_force_are_no_longer_good(tmp_path: Path) -> None:
    network = Network(tmp_path)
    old = await network.edges[0].click()
    network.rotate(rotation.added, "bb" * 32, NOW_MS)
    network.rotate(rotation.signing, 2, SOON_MS, SOON_MS)
    network.rotate(rotation.retired, 1, SOON_MS, force=True)
    network.hand_out(0)
    assert await network.edges[0].status(f"/postback?transaction_id={old}") == 503
