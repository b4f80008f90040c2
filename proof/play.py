"""Plays a journey over real HTTP, and works out from what was sent what must come out."""

import asyncio
import random
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal
from urllib.parse import unquote, urlencode

import msgspec

from proof import people
from proof.expected import Statement, Visit, at_the_edge, expect
from proof.scenario import LOOPBACK, Journey, Step
from proof.truth import Sent, Truth, truth
from proof.wire import Answer, Lost, Wire
from schemas.catalog import Catalog
from service.errors import Unreachable

PATIENCE_S = 120.0  # that long the same request is sent again: longer than any restart of a collector
PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# A no that comes at once was said without trying. After a wait it means that nobody can tell: what the edge
# handed to Kafka in vain for 2 s may arrive all the same.
DOUBTFUL_S = 1.0
APART_S = 0.003  # between statements whose order matters: the edge's clock counts milliseconds
SURPRISES = 20  # that are kept for the report

_OUR_ID = re.compile(r"(?<![0-9a-z])[0-9][0-9a-hjkmnp-tv-z]{31}(?![0-9a-z])").search
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_KEY = slice(20, 23)  # the characters that name the signing key: an unknown key would be no forgery yet
_ACCEPTED = 200
_REDIRECT = 302
_REFUSED = 400
_UNAVAILABLE = 503


class _Person(msgspec.Struct):
    """Who is on the way: a browser with its cookie, and what was said about them so far.

    answers_lost: answers that never came, in the current transaction.
    """

    journey: Journey
    rng: random.Random
    cookie: str = ""
    told_ms: int = 0
    receipts: int = 0
    answers_lost: int = 0
    is_uncertain: bool = False


class Player:
    """Plays journeys against one collector, under one catalog version."""

    def __init__(self, wire: Wire, catalogs: Mapping[int, Catalog], sent: Sent) -> None:
        self._wire = wire
        self._catalogs = catalogs
        self._version = max(catalogs)
        self._sent = sent
        self.requests = 0
        self.sent_again = 0
        self.surprises: list[str] = []
        self.surprised = 0

    async def play(self, journey: Journey) -> list[Truth]:
        """The conversions that must stand because of this journey."""
        person = _Person(journey, random.Random(f"{self._sent.seed}/{journey.number}/{journey.outcome}"))
        visit, transaction_id = None, ""
        if journey.sees_ad:
            visit, transaction_id = await self._visit(person, "impression")
        if journey.clicks:
            person.answers_lost = 0  # what was lost before belongs to another transaction
            visit, transaction_id = await self._visit(person, "click")
        if visit is None:
            return []
        person.answers_lost = 0
        statements = await self._statements(person, transaction_id)
        if person.is_uncertain:
            self._sent.uncertain.append(transaction_id)
            return []
        found = expect([visit], statements, self._catalogs)
        return [truth(transaction_id, expected, person.answers_lost) for expected in found]

    async def _visit(self, person: _Person, kind: Literal["click", "impression"]) -> tuple[Visit | None, str]:
        """The visit as the rules see it, and its transaction ID."""
        journey = person.journey
        ours = {
            "offer_id": str(journey.offer_id),
            "aff_id": str(journey.affiliate_id),
            "aff_sub5": self._sent.tag,
        }
        own_id = {"aff_click_id": f"{self._sent.tag}-{journey.number}"}
        target = f"/{kind}?{urlencode(ours | own_id | journey.visit)}"
        answer = await self._settled(person, kind, target, None)
        good = _REDIRECT if kind == "click" else _ACCEPTED
        transaction_id = id_of(answer)
        if answer.status != good or not transaction_id:
            self._surprise(target, answer, good)
            return None, ""
        self._sent.facts[kind].accepted += 1
        now_ms = self._now_ms(person)
        return Visit(
            kind=kind,
            receipt=f"{kind}-{person.receipts}",
            received_ms=now_ms,
            occurred_ms=now_ms,
            catalog_version=self._version,
            offer_id=journey.offer_id,
            affiliate_id=journey.affiliate_id,
            device=journey.browser.device,
            source=journey.visit.get("source", ""),
            is_bot=journey.browser.is_bot,
        ), transaction_id

    async def _statements(self, person: _Person, transaction_id: str) -> list[Statement]:
        """What the collector accepted of the journey's steps."""
        statements: list[Statement] = []
        for number, step in enumerate(person.journey.steps):
            if number:
                await asyncio.sleep(APART_S)
            target, occurred_ms = self._request(person, step, transaction_id)
            same = [self._report(person, step, target) for _ in range(step.times)]
            accepted = sum(await asyncio.gather(*same))
            statements += [self._statement(person, step, occurred_ms) for _ in range(accepted)]
        return statements

    def _request(self, person: _Person, step: Step, transaction_id: str) -> tuple[str, int | None]:
        """The request's target, and the moment that it claims, in ms."""
        stated = {**step.stated, "adv_sub5": self._sent.tag}
        name = person.rng.choice(("tid", "click_id", "subid")) if step.id_as == "alias" else "transaction_id"
        if step.id_as != "cookie":
            stated[name] = _written(person.rng, step, transaction_id)
        claimed_s = None if step.claim_s is None else int(time.time()) + step.claim_s
        if claimed_s is not None:
            iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claimed_s))
            stated["datetime"] = iso if person.rng.random() < 0.5 else str(claimed_s)  # noqa: PLR2004
        return f"{step.path}?{urlencode(stated)}", None if claimed_s is None else claimed_s * 1000

    async def _report(self, person: _Person, step: Step, target: str) -> bool:
        """Whether it was accepted. A refusal may be what must be; anything else is a surprise."""
        kind = step.path[1:]
        answer = await self._settled(person, kind, target, step)
        good = _REFUSED if step.is_refused else _ACCEPTED
        if answer.status != good:
            self._surprise(target, answer, good)
            return False
        if step.is_refused:
            self._sent.refused += 1
            return False
        self._sent.facts[kind].accepted += 1
        return True

    def _statement(self, person: _Person, step: Step, occurred_ms: int | None) -> Statement:
        person.receipts += 1
        now_ms = self._now_ms(person)
        stated, offer_id = step.stated, int(step.stated.get("offer_id", "0"))
        kinds: dict[str, Literal["pixel", "iframe", "postback"]] = {
            "/pixel": "pixel",
            "/iframe": "iframe",
            "/postback": "postback",
        }
        proven = self._proven(offer_id) if step.path == "/postback" else ()
        return Statement(
            kind=kinds[step.path],
            receipt=f"{person.receipts:06d}",
            received_ms=now_ms,
            occurred_ms=now_ms if occurred_ms is None else occurred_ms,
            catalog_version=self._version,
            offer_id=offer_id,
            goal=stated.get("goal_id", ""),
            goal_id=at_the_edge(self._catalogs[self._version], offer_id, stated.get("goal_id", "")),
            amount=Decimal(stated["amount"]) if "amount" in stated else None,
            currency=stated.get("currency", ""),
            status=stated.get("status", ""),
            number=stated.get("conversion_unique_id", ""),
            test=stated.get("test", "") == "1",
            proven_by="allow_from" if proven else "",
            proven_for=proven,
        )

    def _proven(self, offer_id: int) -> tuple[int, ...]:
        """Those in whose network this machine is: of the named offer's advertiser, else of all."""
        catalog = self._catalogs[self._version]
        offer = catalog.offer(offer_id)
        return tuple(
            each.id
            for each in catalog.advertisers
            if each.postback.allows(LOOPBACK) and (offer is None or each.id == offer.advertiser_id)
        )

    async def _settled(self, person: _Person, kind: str, target: str, step: Step | None) -> Answer:
        """The answer that is neither lost nor a no for now; until then the same request is sent again."""
        headers = _headers(person, kind)
        deadline_s = time.monotonic() + PATIENCE_S
        attempt = 0
        while True:
            self.requests += 1
            asked_s = time.monotonic()
            try:
                answer = await self._wire.get(target, headers)
            except Lost as lost:
                may_be_accepted, why = lost.may_be_accepted, str(lost)
            else:
                why = _unavailable(kind, answer)
                if not why:
                    if kind in {"click", "impression"}:
                        person.cookie = answer.headers.get("set-cookie", "").split(";")[0] or person.cookie
                    return answer
                may_be_accepted = time.monotonic() - asked_s > DOUBTFUL_S
            if may_be_accepted and not (step and step.is_refused):
                self._sent.facts[kind].lost += 1
                person.answers_lost += 1
                person.is_uncertain |= step is not None and not person.journey.exact
            self.sent_again += 1
            await self._pause(attempt, deadline_s, why)
            attempt += 1

    async def _pause(self, attempt: int, deadline_s: float, why: str) -> None:
        if time.monotonic() > deadline_s:
            raise Unreachable(
                f"the collector took nothing for {PATIENCE_S:g} s (last: {why}); is it running?"
            )
        await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])

    def _surprise(self, target: str, answer: Answer, wanted: int) -> None:
        self.surprised += 1
        if len(self.surprises) < SURPRISES:
            said = answer.body[:200].decode("utf-8", "replace").strip()
            self.surprises.append(f"{target}: {answer.status}, expected {wanted}: {said}")

    def _now_ms(self, person: _Person) -> int:
        """Now, later than anything said before: the rules order by milliseconds, and so did the sending."""
        person.told_ms = max(person.told_ms + 1, time.time_ns() // 1_000_000)
        return person.told_ms


def _headers(person: _Person, kind: str) -> dict[str, str]:
    if kind == "postback":
        return {"User-Agent": people.SHOP_SERVER, "Accept": "application/json"}
    headers = {"User-Agent": person.journey.browser.user_agent, "Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}
    return {**headers, "Cookie": person.cookie} if person.cookie else headers


def _unavailable(kind: str, answer: Answer) -> str:
    """Why the same request must be sent again; empty where the answer stands.

    A click that nothing could take is redirected all the same, with an ID but without its cookie.
    """
    if answer.status == _UNAVAILABLE:
        return "503"
    if kind == "click" and answer.status == _REDIRECT and "set-cookie" not in answer.headers:
        return "the collector redirects without recording"
    return ""


def id_of(answer: Answer) -> str:
    """Our ID in a redirect's address, else the newest one in the cookie; empty where there is none."""
    for text in (unquote(answer.headers.get("location", "")), answer.headers.get("set-cookie", "")):
        found = _OUR_ID(text)
        if found:
            return found[0]
    return ""


def _written(rng: random.Random, step: Step, transaction_id: str) -> str:
    """The ID as this step writes it."""
    if step.id_as == "upper":
        return transaction_id.upper()
    if step.id_as == "cut":
        return transaction_id[: -rng.randrange(1, 8)]
    characters = list(transaction_id)
    if step.id_as == "mistyped":
        at = rng.randrange(10, 20)
        characters[at] = rng.choice(_ALPHABET.replace(characters[at], ""))
    if step.id_as == "made up":
        key = characters[_KEY]
        characters[10:] = rng.choices(_ALPHABET, k=len(characters) - 10)
        characters[_KEY] = key
    return "".join(characters)
