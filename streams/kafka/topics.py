"""The topics that a joiner reads and writes; before it joins, all are there as chosen at installation."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from schemas.topics import FACTS, TOPICS
from service.errors import Problem, Unreachable
from service.kafka import Admin, Description
from service.outage import Outage
from service.settings import Settings

log = logging.getLogger(__name__)

GROUP: Final = "roundtrip-joiner"  # without the prefix
EMITTED: Final = "conversions"  # what this or another worker sent comes back
READ: Final = (*FACTS, EMITTED)
NEEDED: Final = (*READ, "notices", "quarantine")

RETRY_S: Final = 1.0


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
    for name in READ:
        if name in found and found[name].partitions != settings.partitions:
            raise Problem(
                f"topic {name} has {found[name].partitions} partitions,"
                f" ROUNDTRIP_PARTITIONS says {settings.partitions}; set it to what was chosen at installation"
            )
    missing = [name for name in NEEDED if name not in found]
    if not missing and (short := kept_too_short(found)):
        log.error("Kafka deletes what a lost state needs: %s; run `roundtrip migrate`", "; ".join(short))
    return f"Kafka lacks the topics {', '.join(missing)}: run `roundtrip migrate`" if missing else ""


def kept_too_short(found: Mapping[str, Description]) -> list[str]:
    """Which settings of the topics that are read let Kafka delete what a state is restored from."""
    return [
        f"topic {name} has {key} {found[name].config.get(key)}, not {value}"
        for name in READ
        for key, value in TOPICS[name].config.items()
        if not _keeps(key, value, found[name].config.get(key, ""))
    ]


def _keeps(key: str, wanted: str, present: str) -> bool:
    if key == "cleanup.policy" or present == wanted:
        return present == wanted
    if key in ("retention.ms", "retention.bytes"):
        return present == "-1" or (wanted != "-1" and int(present) >= int(wanted))
    return True  # `migrate` sees to the others; they delete nothing
