"""One history, played: its transactions, its browsers' cookies, what it gave to Kafka."""

import re

from tests.histories.holes import HOLE, moment, seconds, signature, spoiled
from tests.histories.reading import Step
from tests.histories.world import Answer, KafkaRecord, World

_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{32}")
_BODIES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Scene:
    """file: the lines that the network applies when all else is stored."""

    def __init__(self, world: World) -> None:
        self.file: list[str] = []
        self._world = world
        self._ids: dict[str, str] = {}
        self._cookies: dict[str, str] = {}
        self._shipped: list[KafkaRecord] = []

    def id(self, name: str) -> str:
        """The transaction of a name; a new random ID where no click made it."""
        if not name.isalpha():
            return self._world.shared_id(name)
        if name not in self._ids:
            self._ids[name] = self._world.new_id()
        return self._ids[name]

    @property
    def names(self) -> list[str]:
        """The transactions that it has made so far."""
        return list(self._ids)

    def play(self, step: Step) -> str:
        """Does it; how the answer differs from what it must be, else empty."""
        words = HOLE.sub(lambda hole: self._filled(hole[1]), step.words)
        match step.verb:
            case "k":
                self._tell(words)
            case "raw":
                topic, name, value = words.split(" ", 2)
                self._world.ship([(topic, self.id(name), value)])
            case "file":
                self.file = [line.strip() for line in words.split("|")]
            case "adjust":
                return self._world.adjust(words).wrong(step)
            case "click" | "impression":
                return self._visit(step, words).wrong(step)
            case _:
                return self._request(step.verb.upper(), words).wrong(step)
        return ""

    def _visit(self, step: Step, words: str) -> Answer:
        words, headers = _headers(words)
        name, query = words.split(" ", 1)
        path = f"/{step.verb}"
        if query.startswith("path="):
            path, _, query = query.removeprefix("path=").partition("&")
        answer = self._world.ask("GET", f"{path}?{query}", headers)
        self._cookies[name] = answer.cookies
        if found := re.search(r"[?&]tid=(\w{32})", answer.text) or _ID.search(answer.cookies):
            self._ids[name] = found[found.re.groups]
        return answer

    def _request(self, method: str, words: str) -> Answer:
        words, headers = _headers(words)
        if method == "POST":
            path, form, body = words.split(" ", 2)
            return self._world.ask(method, path, {**headers, "Content-Type": _BODIES[form]}, body)
        *marks, path = words.split(" ")
        for mark in marks:
            if mark.startswith("@"):
                headers["Cookie"] = self._cookies[mark[1:]]
            else:
                path += f"&sig={signature(mark.removeprefix('sign='), path)}"
        return self._world.ask(method, path, headers)

    def _tell(self, words: str) -> None:
        if words == "again":
            self._world.ship(self._shipped)
            return
        topic, name, when, *fields = words.split(" ")
        when, _, count = when.partition("*")
        received_ms = (self._world.midnight_s + seconds(when)) * 1000
        stated = dict(field.split("=", 1) for field in fields)
        facts = [
            self._world.fact(topic, self.id(name), received_ms + n, stated) for n in range(int(count or 1))
        ]
        self._shipped += facts
        self._world.ship(facts)

    def _filled(self, hole: str) -> str:
        if hole[0] in "+-":
            return moment(self._world.start_s, hole)
        name, _, way = hole.partition(":")
        return spoiled(self.id(name), way)


def _headers(words: str) -> tuple[str, dict[str, str]]:
    words, _, header = words.partition(" | ")
    return words, dict([header.split(": ", 1)]) if header else {}
