"""Load: which requests get a 503 at once while a process has more to do than it can."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from ingest.routes import Endpoint


class Class(Enum):
    """What a request is worth when not all can be answered; the least first."""

    IMPRESSION = "impression"
    CLICK = "click"
    CONVERSION = "conversion"


class Load(NamedTuple):
    """How busy a process is.

    lag_s: how late its event loop runs what is due. queue: which part of the places for events that wait for
    the disk is taken, 0 to 1.
    """

    lag_s: float = 0.0
    queue: float = 0.0


CLASSES: Final[Mapping[Endpoint, Class]] = {
    Endpoint.NONE: Class.IMPRESSION,  # on no path of ours: nobody's loss
    Endpoint.IMPRESSION: Class.IMPRESSION,
    Endpoint.CLICK: Class.CLICK,
    Endpoint.PIXEL: Class.CONVERSION,
    Endpoint.IFRAME: Class.CONVERSION,
    Endpoint.POSTBACK: Class.CONVERSION,
    Endpoint.ADJUST: Class.CONVERSION,
}
# From where on a class is shed. A request takes some three rounds of the loop, so an answer is late by about
# three times the lag (measured with 64, 400 and 2 000 connections at once: lag 1, 9 and 50 ms, half of the
# answers within 4, 28 and 142 ms). Impressions go when a person would begin to notice, clicks before one
# gives up, conversions before the shop's server does. Of the queue, what others may not take stays free.
LIMITS: Final[Mapping[Class, Load]] = {
    Class.IMPRESSION: Load(lag_s=0.1, queue=0.5),
    Class.CLICK: Load(lag_s=0.25, queue=0.75),
    Class.CONVERSION: Load(lag_s=0.5, queue=1.0),
}
LONGEST_LAG_S: Final = 1.0  # twice the last limit: more would only make the way back longer
FADING: Final = 0.9  # of the lag is left after a measurement: from the longest to nothing shed in 22


def shed(load: Load, kind: Class) -> bool:
    """Whether requests of the class are turned away under this load."""
    limit = LIMITS[kind]
    return load.lag_s >= limit.lag_s or load.queue >= limit.queue


def smoothed(before_s: float, newest_s: Sequence[float]) -> float:
    """The lag to decide by, in seconds: what the newest measurements have in common, fading from before.

    One long pause (a disk, a collection of garbage) is no overload: it is gone when it is noticed. After an
    overload the lag fades, so that those who are let in again do not come all at once and again.
    """
    return min(max(min(newest_s), before_s * FADING), LONGEST_LAG_S)
