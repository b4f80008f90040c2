"""Answers: ONE table of every ending of a request, and the faces in which an ending is shown."""

from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Final, NamedTuple

import msgspec

from schemas.reasons import Reason


class Kind(NamedTuple):
    """What an ending means: status, outcome (vocabulary.md), and whether asking again helps."""

    status: int
    outcome: str
    again: bool = False


class Ending(StrEnum):
    """How a request ended; each is a label of the request counter."""

    ACCEPTED = "accepted"  # a fact, durable
    FALLBACK = "fallback"  # a click that is a fact, sent elsewhere than to the offer
    NOWHERE = "nowhere"  # a click that is a fact, with no place to send it to
    UNRECORDED = "unrecorded"  # a click that nothing could take: redirected all the same
    TURNED_AWAY = "turned_away"  # a refused click, sent to the network's default page
    LOOKED = "looked"  # HEAD: answered without a fact
    MALFORMED = "malformed"
    UNKNOWN_OFFER = "unknown_offer"
    UNAUTHORIZED = "unauthorized"  # an adjustment without the credential
    SWITCHED_OFF = "switched_off"  # an adjustment where this edge has none
    UNKNOWN_PATH = "unknown_path"
    WRONG_METHOD = "wrong_method"
    BODY_STALLED = "body_stalled"
    BODY_TOO_LONG = "body_too_long"
    QUERY_TOO_LONG = "query_too_long"
    HEADERS_TOO_LONG = "headers_too_long"
    PREFETCH = "prefetch"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"  # turned away unread: more came than can be answered
    BUG = "bug"  # ours


ENDINGS: Final[dict[Ending, Kind]] = {
    Ending.ACCEPTED: Kind(200, "accepted"),
    Ending.FALLBACK: Kind(200, "accepted"),
    Ending.NOWHERE: Kind(404, "accepted"),
    Ending.UNRECORDED: Kind(200, "unavailable"),
    Ending.TURNED_AWAY: Kind(200, "refused"),
    Ending.LOOKED: Kind(200, "refused"),
    Ending.MALFORMED: Kind(400, "refused"),
    Ending.UNKNOWN_OFFER: Kind(404, "refused"),
    Ending.UNAUTHORIZED: Kind(401, "refused"),
    Ending.SWITCHED_OFF: Kind(403, "refused"),
    Ending.UNKNOWN_PATH: Kind(404, "refused"),
    Ending.WRONG_METHOD: Kind(405, "refused"),
    Ending.BODY_STALLED: Kind(408, "refused"),
    Ending.BODY_TOO_LONG: Kind(413, "refused"),
    Ending.QUERY_TOO_LONG: Kind(414, "refused"),
    Ending.HEADERS_TOO_LONG: Kind(431, "refused"),
    Ending.PREFETCH: Kind(503, "unavailable"),
    Ending.UNAVAILABLE: Kind(503, "unavailable", again=True),
    Ending.OVERLOADED: Kind(503, "unavailable", again=True),
    Ending.BUG: Kind(500, "unavailable"),
}

RETRY_AFTER_S: Final = 5  # long enough for a broker's restart to begin, short enough for a person's patience


class Face(Enum):
    """In which form an ending is shown, by endpoint."""

    REDIRECT = "redirect"
    GIF = "gif"
    HTML = "html"
    VERDICT = "verdict"
    ADJUSTMENTS = "adjustments"
    HASOFFERS = "hasoffers"
    HASOFFERS_JSON = "hasoffers_json"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended, in full.

    location: where a click goes, empty where nowhere; cookie: the Set-Cookie header, empty for none.
    detail: more than the reason's sentence, for the caller.
    """

    ending: Ending
    reason: Reason = Reason.NONE
    detail: str = ""
    receipt: str = ""
    problems: tuple[str, ...] = ()
    location: str = ""
    cookie: str = ""


OVERLOADED: Final = Result(
    ending=Ending.OVERLOADED,
    reason=Reason.UNAVAILABLE,
    detail="more requests came than can be answered: send it again later",
)


class Answer(NamedTuple):
    """What goes out."""

    status: int
    headers: dict[str, str]
    body: bytes


# The smallest transparent GIF that every browser draws.
GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x01D\x00;"
)
_PAGE: Final = b"<!doctype html><html><head><meta charset=utf-8><title></title></head><body></body></html>\n"
_TYPES: Final = {
    Face.REDIRECT: "text/plain; charset=utf-8",
    Face.GIF: "image/gif",
    Face.HTML: "text/html; charset=utf-8",
    Face.VERDICT: "application/json",
    Face.ADJUSTMENTS: "application/json",
    Face.HASOFFERS: "text/plain; charset=utf-8",
    Face.HASOFFERS_JSON: "application/json",
}
# The faces of postbacks and adjustments, which alone may have a body.
_ALLOWED: Final = {
    **dict.fromkeys((Face.VERDICT, Face.HASOFFERS, Face.HASOFFERS_JSON), "GET, HEAD, POST"),
    Face.ADJUSTMENTS: "POST",
}
_encode = msgspec.json.Encoder().encode


def answer(face: Face, result: Result) -> Answer:
    """The status tells the truth in every face; nothing that is answered may be cached."""
    kind = ENDINGS[result.ending]
    headers = {"Cache-Control": "no-store", "Server": "roundtrip"}
    if result.cookie:
        headers["Set-Cookie"] = result.cookie
    if result.ending is Ending.WRONG_METHOD:
        headers["Allow"] = _ALLOWED.get(face, "GET, HEAD")
    if result.ending is Ending.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="adjust"'
    if kind.again:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if result.location:
        headers["Location"] = result.location
        return Answer(302, headers, b"")
    headers["Content-Type"] = _TYPES[face]
    headers["X-Content-Type-Options"] = "nosniff"
    return Answer(kind.status, headers, _body(face, kind, result))


def _body(face: Face, kind: Kind, result: Result) -> bytes:
    if face is Face.GIF:
        return GIF
    if face is Face.HTML:
        return _PAGE
    said = result.detail or result.reason.sentence
    yes = kind.outcome == "accepted"
    if face is Face.HASOFFERS:
        return b"success=true;\n" if yes else f"success=false; err_msg={_plain(said)};\n".encode()
    if face is Face.HASOFFERS_JSON:
        return _encode({"success": True} if yes else {"success": False, "err_msg": said})
    if face is Face.REDIRECT:
        return f"{said}\n".encode()
    return verdict(result)


def verdicts(results: Sequence[Result]) -> tuple[Result, Answer]:
    """How a list of adjustments ended, and its answer: each one's verdict, in order.

    503 where none is stored and some may be sent again; else 200, whatever the verdicts are.
    """
    again = [result for result in results if ENDINGS[result.ending].again]
    stored = any(result.receipt for result in results)
    ended = again[0] if again and not stored else Result(ending=Ending.ACCEPTED)
    outcomes = [ENDINGS[result.ending].outcome for result in results]
    worst = max(outcomes, key=("accepted", "refused", "unavailable").index)
    each = b",".join([verdict(result).rstrip() for result in results])
    content = b'{"outcome":%b,"verdicts":[%b]}\n' % (_encode(worst), each)
    return ended, answer(Face.ADJUSTMENTS, ended)._replace(body=content)


def verdict(result: Result) -> bytes:
    """The JSON that a postback or an adjustment is answered with."""
    outcome = ENDINGS[result.ending].outcome
    reason = int(result.reason)
    body: dict[str, object] = {"outcome": outcome, "reason": reason}
    if reason:
        body["sentence"] = result.detail or result.reason.sentence
    return _encode(body | {"receipt": result.receipt, "problems": result.problems}) + b"\n"


def _plain(text: str) -> str:
    """Without what ends a value in HasOffers' dialect."""
    return text.replace(";", ",").replace("\r", " ").replace("\n", " ")
