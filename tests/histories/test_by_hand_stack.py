"""Histories with answers worked out by hand, told over HTTP and through Kafka to a whole stack."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import roundtrip
from proof.own_stack import OwnStack
from service.clickhouse import ClickHouse
from tests.conftest import Warehouse
from tests.histories import catalogs, judging
from tests.histories.holes import SHOP_KEY
from tests.histories.reading import History, histories
from tests.histories.scene import Scene
from tests.histories.world import DAY_S, PATIENCE_S, World

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]  # a busy machine may take minutes to start it

ALL = histories(Path(__file__).with_name("by_hand.txt"))
NAMES = [history.title for history in ALL]
PROBE = "/click?offer_id=13&aff_id=41"  # an offer that rests while the second version is in force


class Played:
    """All histories on one stack."""

    def __init__(self, stack: OwnStack, world: World, warehouse: Warehouse) -> None:
        self.scenes = {history.title: Scene(world) for history in ALL}
        self.answered: dict[str, list[str]] = {name: [] for name in NAMES}
        self.warehouse = warehouse
        self._directory = stack.directory
        self._world = world
        self._stored: dict[str, list[dict[str, Any]]] = {}

    def command(self, *words: str) -> None:
        """`roundtrip …` of this stack says yes."""
        assert roundtrip.main([*words, "--dir", str(self._directory)]) == 0

    def play(self, version: int) -> None:
        """What happens while this version is in force."""
        for history in ALL:
            for step in history.phases.get(version, []):
                wrong = self.scenes[history.title].play(step)
                self.answered[history.title] += [wrong] if wrong else []

    def take(self, version: int, file: Path) -> None:
        """The version is in force; a HEAD request tells, and is no click."""
        self.command("catalog", "apply", str(file), "--yes")
        rests = version == 2
        _until(lambda: ("/over" in self._world.ask("HEAD", PROBE, {}).text) == rests, f"version {version}")

    def apply_files(self, directory: Path) -> None:
        """The network's files, once ClickHouse has what they speak of: shown, applied, applied again."""
        sql = "SELECT count() AS n FROM conversions WHERE conversion_unique_id LIKE 'CSV-%'"
        for name, scene in self.scenes.items():
            if scene.file:
                _until(lambda: self.warehouse.rows(sql)[0]["n"] == len(scene.file) - 1, name)  # noqa: B023
                file = directory / "orders.csv"
                file.write_text("\n".join(scene.file))
                for how in ("--dry-run", "--apply", "--apply"):
                    self.command("adjust", str(file), how, "--by", "Anna")

    def wrong(self, history: History) -> list[str]:
        """What of its conversions was not as it must be at the last look."""
        return judging.wrong(history, self.scenes[history.title], self._world, self._stored)

    def look(self) -> None:
        """All conversions as they stand now."""
        self._stored = {}
        for row in self.warehouse.rows("SELECT * FROM conversions"):
            self._stored.setdefault(row["transaction_id"], []).append(row)


def _until(is_so: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < limit, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.05)  # the pause between two looks


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every history told, the catalog's three versions in their turn, and the network's file last."""
    directory = tmp_path_factory.mktemp("by_hand")
    start_s = int(time.time())
    files = {version: directory / f"catalog_{version}.toml" for version in catalogs.VERSIONS}
    for version, file in files.items():
        file.write_text(catalogs.text(version, start_s // DAY_S * DAY_S, directory))
    (directory / "shop_key").write_text(SHOP_KEY)
    stack = OwnStack(directory / "state", files[1])
    stack.start(240.0)
    try:
        world, clickhouse = World(stack, start_s), ClickHouse(stack.settings)
        told = Played(stack, world, Warehouse(clickhouse))
        told.play(1)
        for version in catalogs.VERSIONS[1:]:
            told.take(version, files[version])
            told.play(version)
        told.apply_files(directory)
        yield told
        world.close()
        clickhouse.close()
    finally:
        stack.stop()


def test_no_two_histories_have_one_name() -> None:
    assert len(set(NAMES)) == len(NAMES) > 100


@pytest.mark.parametrize("history", ALL, ids=NAMES)
def test_a_history_ends_as_worked_out_by_hand(played: Played, history: History) -> None:
    """Answers at once, conversions as soon as they are in ClickHouse."""
    assert played.answered[history.title] == []
    limit = time.monotonic() + PATIENCE_S
    while wrong := played.wrong(history):
        assert time.monotonic() < limit, "\n".join(wrong)
        time.sleep(0.1)  # the pause between two looks
        played.look()


async def test_all_together_they_owe_what_their_rows_say(played: Played) -> None:
    """The view `stats` states each conversion's money once."""
    sql = (
        "SELECT payout_currency AS currency, sum(payout) AS owed FROM stats GROUP BY currency HAVING owed > 0"
    )
    due = {currency: owed for currency, owed in judging.owed(ALL).items() if owed}
    await played.warehouse.until(lambda rows: {row["currency"]: row["owed"] for row in rows} == due, sql)


async def test_what_could_not_be_used_is_in_quarantine_and_nothing_else(played: Played) -> None:
    """Each with its reason."""
    sql = "SELECT reason, count() AS n FROM quarantine WHERE reader = 'joiner' GROUP BY reason"
    due = Counter[int]()
    for history in ALL:
        due.update(history.quarantined)
    await played.warehouse.until(lambda rows: {row["reason"]: row["n"] for row in rows} == due, sql)


def test_nothing_that_came_later_changed_one(played: Played) -> None:
    """Those that were right at the first look still are."""
    played.look()
    assert [wrong for history in ALL for wrong in played.wrong(history)] == []
