"""The curt no: a whole plain GET turned away from its bytes alone, at a third of what HTTP's machinery costs.

Only what is beyond doubt: one request, without a body, on a path whose 503 looks the same for everybody. All
else takes the long way, and is turned away there (Edge.turned_away).
"""

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, NamedTuple

from ingest import answers, routes
from ingest.answers import OVERLOADED, Answer
from ingest.load import CLASSES, Class
from ingest.routes import PATHS, Endpoint

# What a proxy before us could read as more than one request, or we as less, must not match: no body, no other
# `Connection` than keep-alive, no bare line feed, no folded line.
_PLAIN_GET: Final = re.compile(
    rb"GET (/[a-z_]+)(?:\?[!-~]*+)? HTTP/1\.1\r\n"
    rb"(?:(?!(?i:content-length:|transfer-encoding:|connection:(?! ?keep-alive\r)))"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n)*+\r\n"
)


class No(NamedTuple):
    """A 503 as it goes over the wire, and for whom."""

    endpoint: Endpoint
    kind: Class
    wire: bytes


def wire(answer: Answer) -> bytes:
    """The answer's bytes, for a connection that stays open."""
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(answer.body)}", "", ""]).encode() + answer.body


def _no(endpoint: Endpoint) -> No:
    face = routes.face(endpoint, routes.Route(endpoint), [])
    return No(endpoint, CLASSES[endpoint], wire(answers.answer(face, OVERLOADED)))


# Conversions are few, and HasOffers' paths answer in a form that the parameters tell.
_NOS: Final = {
    path.encode(): _no(route.endpoint)
    for path, route in PATHS.items()
    if route.endpoint in (Endpoint.CLICK, Endpoint.IMPRESSION) and not route.hasoffers
}


def no(received: bytes, shedding: Collection[Class]) -> No | None:
    """What to answer these bytes with, where they are one request of a class that is shed."""
    found = _PLAIN_GET.fullmatch(received)
    answer = _NOS.get(found[1]) if found else None
    return answer if answer and answer.kind in shedding else None
