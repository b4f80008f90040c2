"""The credential of `/adjust`: a bearer token, compared in constant time, kept only as its digest."""

import hashlib
from collections.abc import Mapping
from hmac import compare_digest
from typing import Final

from ingest.answers import Ending, Result
from schemas.reasons import Reason

_SCHEME: Final = "bearer "
OFF: Final = Result(
    ending=Ending.SWITCHED_OFF,
    reason=Reason.INVALID_TOKEN,
    detail="adjustments are off at this edge: it has no credential for them (ROUNDTRIP_ADJUST_TOKEN)",
)
WRONG: Final = Result(
    ending=Ending.UNAUTHORIZED,
    reason=Reason.INVALID_TOKEN,
    detail="the header `Authorization: Bearer TOKEN` is missing, or its token is wrong",
)


class Credential:
    """What a caller must show; an empty token lets nobody in."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token) if token else b""

    def objection(self, headers: Mapping[str, str]) -> Result | None:
        """Why the caller may not adjust; None where it may."""
        if not self._digest:
            return OFF
        given = headers.get("Authorization", "")
        token = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""
        return None if compare_digest(self._digest, _digest(token)) else WRONG


def _digest(token: str) -> bytes:
    """As long for each token: what is compared tells not even the length."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
