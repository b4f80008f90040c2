"""The stack as its callers see it: a collector's address, and Kafka as another edge would fill it."""

import http.client
import json
import secrets
import time
from email.message import Message
from urllib.parse import parse_qsl, urlsplit

import confluent_kafka

from proof.own_stack import OwnStack
from schemas import shared_id, times, transaction_id
from service.keys import keyring
from tests.histories import catalogs
from tests.histories.holes import seconds
from tests.histories.reading import Step

DAY_S = 86_400
OLDEST_S = 36 * DAY_S  # before all that any history tells: an ID is made before what is said of it
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PATIENCE_S = 120.0

_NUMBERS = {"offer_id", "affiliate_id", "advertiser_id", "url_id", "goal_id", "catalog_version"}
_LISTS = {"proven_for"}
_KIND = {"pixels": "pixel", "postbacks": "postback", "adjustments": "adjustment"}
_KIND |= {"clicks": "click", "impressions": "impression"}

KafkaRecord = tuple[str, str, str]


class Answer:
    """What a request was answered; text: `Location` and body."""

    def __init__(self, status: int, headers: Message, body: str) -> None:
        self.status = status
        self.text = f"{headers.get('Location', '')} {body}"
        self.cookies = "; ".join(cookie.split(";")[0] for cookie in headers.get_all("Set-Cookie", []))
        is_json = headers.get_content_type() == "application/json"
        self.verdict = json.loads(body) if is_json and body else {}

    def wrong(self, step: Step) -> str:
        """How it differs from what the step must be answered; empty where it does not."""
        told = (str(self.status), self.verdict.get("outcome"), str(self.verdict.get("reason")))
        pairs = zip(step.answer, told, strict=False)
        is_right = all(said in ("*", found) for said, found in pairs) and step.holds in self.text
        return "" if is_right else f"{step.verb} {step.words}: answered {self.status} {self.text.strip()}"


class World:
    """One stack; `start_s`: when the play began. Facts to Kafka count their days from the midnight before."""

    def __init__(self, stack: OwnStack, start_s: int) -> None:
        self.start_s = start_s
        self.midnight_s = start_s // DAY_S * DAY_S
        self._ring = keyring(stack.settings.keys_path)
        self._collector = http.client.HTTPConnection(
            urlsplit(stack.addresses.collector).netloc, timeout=PATIENCE_S
        )
        self._token = (stack.directory / "adjust.token").read_text().strip()
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": stack.addresses.kafka,
                "partitioner": "murmur2_random",
                "acks": "all",
                "log_level": 0,  # the stack stops before the test's process does
            }
        )
        self._advertisers = catalogs.advertisers()
        self._epoch = f"{start_s:015}{secrets.randbelow(10**8):08}"
        self._sequence = 0

    def close(self) -> None:
        """Nothing of it is left open."""
        self._collector.close()

    def ask(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        """One request, in a millisecond of its own: what is said later was received later."""
        told_ms = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= told_ms + 1:
            time.sleep(0.001)
        headers = {"User-Agent": BROWSER, **headers}
        self._collector.request(method, path, body and body.encode(), headers)
        answer = self._collector.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode(errors="replace"))

    def adjust(self, words: str) -> Answer:
        """The network's own program states this."""
        token = self._token
        if words.startswith("token="):
            token, _, words = words.removeprefix("token=").partition(" ")
        body = json.dumps(dict(parse_qsl(words)))
        return self.ask("POST", "/adjust", {"Authorization": f"Bearer {token}"}, body)

    def new_id(self) -> str:
        """A random ID that no click over HTTP has."""
        made_ms = (self.midnight_s - OLDEST_S) * 1000
        return transaction_id.make(self._ring, made_ms, secrets.token_bytes(transaction_id.RANDOM_BYTES))

    def shared_id(self, name: str) -> str:
        """What an affiliate (`9/60`) or a customer (`8:jane@x.example`, `17:user_name=…,aff_sub=…`) has."""
        offer, _, rest = name.replace("/", ":").partition(":")
        if "/" in name:
            return shared_id.affiliate(int(offer), int(rest))
        pairs = [part.split("=") for part in rest.split(",") if "=" in part]
        variables = {key: value.replace("_", " ") for key, value in pairs} or {"email": rest}
        return shared_id.derived(self._ring.offer_key(int(offer)), int(offer), variables)

    def fact(self, topic: str, transaction: str, received_ms: int, fields: dict[str, str]) -> KafkaRecord:
        """A record as an edge ships it; `occurred`: when it says that it happened."""
        self._sequence += 1
        occurred = fields.get("occurred", "")
        occurred_ms = (self.midnight_s + seconds(occurred)) * 1000 if occurred else received_ms
        stated = {
            key: int(value) if key in _NUMBERS else json.loads(value) if key in _LISTS else value
            for key, value in fields.items()
            if key != "occurred"
        }
        if topic in ("clicks", "impressions"):
            stated["advertiser_id"] = self._advertisers[int(fields["offer_id"])]
        fact = {
            "kind": _KIND[topic],
            "receipt_id": f"{self._epoch}-{self._sequence}",
            "transaction_id": transaction,
            "received_at": times.from_ms(received_ms),
            "occurred_at": times.from_ms(occurred_ms),
            "edge": "another edge",
            "catalog_version": 1,
            **stated,
        }
        return topic, transaction, json.dumps(fact)

    def ship(self, records: list[KafkaRecord]) -> None:
        """Kafka has them."""
        for topic, key, value in records:
            self._producer.produce(topic, value.encode(), key.encode())
        assert self._producer.flush(PATIENCE_S) == 0
