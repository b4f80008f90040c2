"""Routes: the table of paths, ours and HasOffers', and what each is for."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from ingest.answers import Face
from ingest.parameters import Pair


class Endpoint(StrEnum):
    """What a request is; a label of the request counter."""

    CLICK = "click"
    IMPRESSION = "impression"
    PIXEL = "pixel"
    IFRAME = "iframe"
    POSTBACK = "postback"
    ADJUST = "adjust"
    NONE = "none"


class Route(NamedTuple):
    """An endpoint, and whether it answers in HasOffers' dialect."""

    endpoint: Endpoint
    hasoffers: bool = False


NOWHERE: Final = Route(Endpoint.NONE)
LINK: Final = Route(Endpoint.CLICK)

PATHS: Final[Mapping[str, Route]] = {
    "/click": Route(Endpoint.CLICK),
    "/impression": Route(Endpoint.IMPRESSION),
    "/pixel": Route(Endpoint.PIXEL),
    "/iframe": Route(Endpoint.IFRAME),
    "/postback": Route(Endpoint.POSTBACK),
    "/adjust": Route(Endpoint.ADJUST),
    "/aff_c": Route(Endpoint.CLICK, hasoffers=True),
    "/aff_i": Route(Endpoint.IMPRESSION, hasoffers=True),
    "/aff_l": Route(Endpoint.PIXEL, hasoffers=True),  # or an iframe: the browser says
    "/aff_lsr": Route(Endpoint.POSTBACK, hasoffers=True),
    "/aff_goal": Route(Endpoint.NONE, hasoffers=True),  # `a` says: l or lsr
}
_ACTIONS: Final = {"l": Endpoint.PIXEL, "lsr": Endpoint.POSTBACK}
# HasOffers' own parameters: they say what is asked, and are no part of what is stated.
RESERVED: Final = {"/aff_goal": frozenset({"a", "format"})}
_FORMAT: Final = frozenset({"format"})

_FACES: Final = {
    Endpoint.CLICK: Face.REDIRECT,
    Endpoint.IMPRESSION: Face.GIF,
    Endpoint.PIXEL: Face.GIF,
    Endpoint.IFRAME: Face.HTML,
    Endpoint.POSTBACK: Face.VERDICT,
    Endpoint.ADJUST: Face.ADJUSTMENTS,
    Endpoint.NONE: Face.VERDICT,
}


def stated(path: str, route: Route, pairs: list[Pair]) -> list[Pair]:
    """The parameters without those that only say what is asked and how to answer."""
    if not route.hasoffers:
        return pairs
    reserved = RESERVED.get(path, _FORMAT)
    return [pair for pair in pairs if pair[0] not in reserved]


def endpoint(path: str, route: Route, pairs: Sequence[Pair], headers: Mapping[str, str]) -> Endpoint:
    """What a request on the route is."""
    if not route.hasoffers:
        return route.endpoint
    if path == "/aff_goal":
        return _ACTIONS.get(next((value for name, value in pairs if name == "a"), ""), Endpoint.NONE)
    if path == "/aff_l" and _wants_page(headers):
        return Endpoint.IFRAME
    return route.endpoint


def _wants_page(headers: Mapping[str, str]) -> bool:
    """Whether the browser shows the answer as a page: it says so, or asks for HTML first."""
    shown_as = headers.get("Sec-Fetch-Dest")
    if shown_as:
        return shown_as in ("iframe", "frame", "document")
    return headers.get("Accept", "").lstrip().startswith("text/html")


def face(asked: Endpoint, route: Route, pairs: Sequence[Pair]) -> Face:
    """How the endpoint answers."""
    own = _FACES[asked]
    if not route.hasoffers or own in (Face.GIF, Face.HTML):
        return own
    return Face.HASOFFERS_JSON if ("format", "json") in pairs else Face.HASOFFERS
