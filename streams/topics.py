"""The topics that a joiner needs: before it joins, all are there and as chosen at installation."""

import asyncio
import logging
from typing import Final

from schemas.topics import FACTS
from service.errors import Problem, Unreachable
from service.kafka import Admin
from service.outage import Outage
from service.settings import Settings
from streams import logs

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
NEEDED: Final = (*FACTS, "conversions", "notices", "quarantine")


async def are_there(settings: Settings, kafka: Outage) -> None:
    """Kafka answered, and every topic is there; a line while it is not so. Problem where one is otherwise."""
    said = ""
    while True:
        try:
            missing = await asyncio.to_thread(_missing, settings)
        except Unreachable:
            kafka.lost("no answer; is it running, and is ROUNDTRIP_KAFKA right?")
        else:
            kafka.found()
            if not missing:
                return
            if missing != said:
                log.warning("%s; waiting", missing)
            said = missing
        await asyncio.sleep(RETRY_S)


def _missing(settings: Settings) -> str:
    """What must be done before joining, if anything. Problem where waiting cannot help."""
    with Admin(settings) as admin:
        admin.check()
        found = admin.describe(NEEDED)
    for name in (*FACTS, "conversions"):
        if name in found and found[name].partitions != settings.partitions:
            raise Problem(
                f"topic {name} has {found[name].partitions} partitions,"
                f" ROUNDTRIP_PARTITIONS says {settings.partitions}; set it to what was chosen at installation"
            )
    missing = [name for name in NEEDED if name not in found]
    if not missing and (short := logs.kept_too_short(found)):
        log.error("Kafka deletes what a lost state needs: %s; run `roundtrip migrate`", "; ".join(short))
    return f"Kafka lacks the topics {', '.join(missing)}: run `roundtrip migrate`" if missing else ""
