"""What a joiner's /readyz says: what keeps it from working, or has kept it for too long."""

import time
from typing import TYPE_CHECKING, Final

from service.catalog_follower import Follower
from service.health import Health
from service.outage import Outage
from streams.joiner import Joiner

if TYPE_CHECKING:
    from streams.kafka.transport import Consumer

STUCK_S: Final = 60.0  # a consumer that silently stops advancing is Faust's most reported fault
WAITING_S: Final = 60.0  # a catalog travels in seconds: one that is missed for a minute is worth an alarm
_ASIDE: Final = "the rules failed on transactions: see this service's log, and the quarantine of reason 225"
_LACKING: Final = "statements that were decided before are not here: see this service's log, and replay them"


class Readiness:
    """The checks of one joiner. consumer: Faust's, once it is made."""

    def __init__(self, kafka: Outage, follower: Follower, joiner: Joiner) -> None:
        self.consumer: Consumer | None = None
        self._kafka = kafka
        self._follower = follower
        self._joiner = joiner
        self._waiting_since = self._lacking_since = 0.0

    def tried(self, waiting: int) -> None:
        """What waits was tried; so many partitions still hold some that wait for a catalog."""
        self._waiting_since = (self._waiting_since or time.monotonic()) if waiting else 0.0
        lacking = self._joiner.lacking
        self._lacking_since = (self._lacking_since or time.monotonic()) if lacking else 0.0

    def add_to(self, health: Health) -> None:
        """/readyz asks each of these checks."""
        health.check("kafka", lambda: "cannot be reached" if self._kafka.since else "")
        health.check(
            "assigned", lambda: "" if self._joiner.assignment.begun else "no partitions assigned yet"
        )
        health.check("catalog", lambda: "; ".join(self._follower.alarms()))
        health.check("restoring", lambda: self._joiner.assignment.restorer.told())  # noqa: PLW0108  made later
        health.check("moving", lambda: _lasting(self._joiner.busy_since, STUCK_S, "one fetch is in work"))
        health.check("committing", self._uncommitted)
        health.check(
            "waiting",
            lambda: _lasting(self._waiting_since, WAITING_S, "transactions wait for a catalog version"),
        )
        health.check("lacking", lambda: _lasting(self._lacking_since, WAITING_S, _LACKING))
        health.check("deciding", lambda: _ASIDE if self._joiner.aside else "")

    def _uncommitted(self) -> str:
        since = self.consumer.point.behind_since if self.consumer else 0.0
        return _lasting(since, STUCK_S, "what was handled is not committed")


def _lasting(since: float, limit_s: float, what: str) -> str:
    """What has lasted too long, or nothing. since: by the monotonic clock, 0 for not at all."""
    lasts = time.monotonic() - since if since else 0.0
    return f"{what} since {lasts:.0f} s" if lasts > limit_s else ""
