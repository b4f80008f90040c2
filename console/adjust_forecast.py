"""What lines of any number would change, a piece at a time, as ClickHouse shows the conversions then."""

from collections.abc import Iterator
from functools import cached_property
from typing import Self

from console import adjust_rows
from console.adjust_file import Lines
from console.adjust_keys import Keys
from console.adjust_plan import Defaults, Effect, Plan, canonical_id
from console.catalog_log import KafkaLog, history_of
from schemas.adjustments import number
from schemas.catalog_versions import History
from service.clickhouse import ClickHouse
from service.settings import Settings


class Forecaster:
    """Says what lines would change. Use as a context manager.

    A line sees what earlier lines of its piece change; what earlier pieces change, once ClickHouse shows it.
    """

    def __init__(self, settings: Settings, defaults: Defaults) -> None:
        self._settings = settings
        self._defaults = defaults
        self._clickhouse = ClickHouse(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The connection is closed."""
        self._clickhouse.close()

    def effects(self, lines: Lines) -> Iterator[list[Effect]]:
        """What each line comes to, a piece at a time."""
        keys = Keys()
        for piece in lines.pieces():
            named = [line.texts for line in piece if not line.problem]
            known = adjust_rows.known(
                self._clickhouse,
                [canonical_id(texts["transaction_id"]) for texts in named if "transaction_id" in texts],
                [texts["conversion_unique_id"] for texts in named if _is_by_order(texts)],
                [texts["conversion_id"].lower() for texts in named if "conversion_id" in texts],
            )
            history = self._catalog if any(map(_needs_catalog, named)) else History()
            yield Plan(known, history, self._defaults, keys).effects(piece)

    @cached_property
    def _catalog(self) -> History:
        return history_of(KafkaLog(self._settings).read())


def _needs_catalog(texts: dict[str, str]) -> bool:
    """Whether a goal's name, or a price of a new amount, is to be looked up."""
    return "amount" in texts or number(texts.get("goal_id", "0")) is None


def _is_by_order(texts: dict[str, str]) -> bool:
    return "conversion_unique_id" in texts and not {"transaction_id", "conversion_id"} & texts.keys()
