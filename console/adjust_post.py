"""Sends adjustments to a collector's `/adjust`, a list at a time, again where it was unavailable."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from service.errors import No, Unreachable

ATTEMPTS: Final = 4  # over some 7 s: a collector's restart; who waits longer is told to start again
TIMEOUT_S: Final = 30.0
FORBIDDEN: Final = (401, 403)
TO_DO: Final = "start the same command again: what was accepted changes nothing the second time"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The collector's word on one adjustment."""

    outcome: str
    reason: int = 0
    sentence: str = ""
    receipt: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The collector's word on a list."""

    verdicts: list[Verdict] = []


class Collector:
    """Where a collector is, and the credential that it wants."""

    def __init__(self, address: str, token: str, pause_s: float = 1.0) -> None:
        self._url = address.rstrip("/") + "/adjust"
        self._token = token
        self._pause_s = pause_s
        # Of our own: the library's would go through HTTP_PROXY, with the credential.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def state(self, adjustments: Sequence[dict[str, str]]) -> list[Verdict]:
        """Each one's verdict, in order; one that stays unavailable is so told.

        No where the credential is not accepted, Unreachable where nobody answers.
        """
        verdicts = [Verdict(outcome="unavailable", sentence="not sent yet") for _ in adjustments]
        for left in self._rounds(verdicts):
            sent = [adjustments[at] for at in left]
            for at, verdict in zip(left, self._posted(sent), strict=True):
                verdicts[at] = verdict
        return verdicts

    def _rounds(self, verdicts: Sequence[Verdict]) -> Iterator[list[int]]:
        """What is to be sent in each attempt."""
        for attempt in range(ATTEMPTS):
            left = [at for at, verdict in enumerate(verdicts) if verdict.outcome == "unavailable"]
            if not left:
                return
            if attempt:
                time.sleep(self._pause_s * 2 ** (attempt - 1))
            yield left

    def _posted(self, adjustments: Sequence[dict[str, str]]) -> list[Verdict]:
        request = urllib.request.Request(  # noqa: S310  the setting allows http and https only
            self._url,
            data=json.dumps(adjustments).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with self._open(request, timeout=TIMEOUT_S) as answer:
                return self._read(answer.read(), len(adjustments))
        except urllib.error.HTTPError as error:
            return self._refused(error, len(adjustments))
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise Unreachable(f"the collector at {self._url} cannot be reached: {why}; {TO_DO}") from error

    def _refused(self, error: urllib.error.HTTPError, count: int) -> list[Verdict]:
        content = error.read()
        said = _sentence(content)
        if error.code in FORBIDDEN:
            raise No(f"{self._url}: {said}; the command reads ROUNDTRIP_ADJUST_TOKEN, else DIR/adjust.token")
        if error.code == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return [Verdict(outcome="unavailable", sentence=said)] * count
        raise No(f"{self._url} answered {error.code}: {said}")

    def _read(self, content: bytes, count: int) -> list[Verdict]:
        try:
            verdicts = msgspec.json.decode(content, type=Answer).verdicts
        except msgspec.MsgspecError as error:
            raise No(f"{self._url} is no collector of ours: {error}") from error
        if len(verdicts) != count:
            raise No(f"{self._url} gave {len(verdicts)} verdicts on {count} adjustments; {TO_DO}")
        return verdicts


def _sentence(content: bytes) -> str:
    """What the answer says."""
    try:
        said: Any = json.loads(content)
        found = said.get("sentence") or said["verdicts"][0]["sentence"]
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return content[:200].decode("utf-8", "replace")
    return str(found)
