"""An invented history as one line of JSON, to be looked at and played again."""

from typing import Any

import msgspec

from proof.invented import History
from schemas import facts
from schemas.catalog import Catalog


class _Line(msgspec.Struct, frozen=True):
    """facts: each with the topic that it would come by."""

    identifier: str
    facts: list[tuple[str, Any]]
    catalogs: dict[int, Catalog]


def written(history: History) -> bytes:
    """The line."""
    told = [(facts.TOPIC_OF[type(one)], one) for one in history.facts]
    return msgspec.json.encode(_Line(history.identifier, told, history.catalogs))


def read(line: bytes) -> History:
    """The history; msgspec.DecodeError or facts.Malformed where the line is none."""
    found = msgspec.json.decode(line, type=_Line)
    told = [facts.decode(topic, msgspec.json.encode(one)) for topic, one in found.facts]
    return History(identifier=found.identifier, facts=told, catalogs=found.catalogs)
