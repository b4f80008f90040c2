"""The lookout: the console looks at the joiner's group, and says when it is silent.

`roundtrip up` asks it, and ends a silent joiner; elsewhere the metric is there to alarm on.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from console import lag
from console.lag import Lag, Place
from console.silence import Committed, Silence
from service.errors import Unavailable, Unreachable
from service.kafka import Admin
from service.settings import Settings

JOINER: Final = "roundtrip-joiner"
LOOKS: Final = 12  # in the time after which somebody is silent: one every 5 s


class Figures:
    """Its numbers for /metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.silent = Gauge(
            "roundtrip_silent_seconds",
            "For how long records have waited for a group that commits nothing",
            ["group"],
            registry=registry,
        )


class Lookout:
    """Looks as long as it runs."""

    def __init__(self, settings: Settings, figures: Figures) -> None:
        self._settings = settings
        self._figures = figures
        self._silence = Silence()
        self._said = ""

    async def run(self) -> None:
        """For ever, by one connection."""
        admin = await asyncio.to_thread(Admin, self._settings, lag.ASK_S)
        while True:
            try:
                self.look(await asyncio.to_thread(lag.places, admin, [JOINER]), time.monotonic())
            except (Unreachable, Unavailable):
                self.unknown()
            await asyncio.sleep(self._settings.silent_s / LOOKS)

    def look(self, places: Sequence[Place], now_s: float) -> None:
        """What Kafka said now is taken in."""
        waiting = sum(each.lag for each in places)
        committed = {each.partition: Committed(each.offset, each.note) for each in places}
        silent_s = self._silence.look(committed, waiting, now_s)
        self._figures.silent.labels(JOINER).set(silent_s)
        late = silent_s >= self._settings.silent_s
        self._said = f"{waiting} records wait and nothing was committed for {silent_s:.0f} s" if late else ""

    def unknown(self) -> None:
        """Kafka did not answer."""
        self._silence.forget()
        self._figures.silent.labels(JOINER).set(0)
        self._said = ""

    def note(self) -> str:
        """What /readyz says of a silent joiner, else nothing: the console itself is well."""
        return self._said

    def judged(self, lags: list[Lag]) -> list[Lag]:
        """The same, with the verdict `silent` where that is known."""
        return lag.silent(lags, [JOINER]) if self._said else lags
