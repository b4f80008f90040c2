"""A record that cannot be used: who finds it again, and what every one of its columns can hold."""

import base64
import hashlib

import msgspec
import pytest

from schemas.decisions import Quarantine
from schemas.reasons import Reason
from service.kafka import Record
from streams.batch import quarantine
from tests.streams.joining import NOON_MS, click, record

AT = "2026-11-23T12:00:00.000Z"


def kept(found: Record, detail: str = "why") -> Quarantine:
    sent = quarantine.quarantined(found, Reason.MALFORMED_EVENT, detail, AT)
    made = msgspec.json.decode(sent.value, type=Quarantine)
    assert (sent.topic, sent.key) == ("quarantine", made.identity.encode())
    return made


def of(value: bytes, **changed: object) -> Record:
    return Record("clicks", 3, 7, NOON_MS, b"t1", value)._replace(**changed)


def test_one_without_a_receipt_is_known_by_the_hash_of_its_bytes():
    """So it counts once, however often it is read; an empty identity would make one row of all."""
    found = kept(of(b"{"))
    assert (found.identity, found.receipt_id) == (hashlib.sha256(b"{").hexdigest(), "")
    assert kept(of(b"}")).identity != found.identity


def test_one_with_a_receipt_is_known_by_that():
    found = kept(record(click()))
    assert found.identity == found.receipt_id == click().receipt_id


@pytest.mark.parametrize("value", [b"", b"\xff\xfe\x00", b"[" * 9_999])
def test_its_bytes_come_back_as_they_were(value: bytes):
    assert base64.b64decode(kept(of(value)).value) == value


def test_one_that_is_too_large_is_told_and_lies_only_in_its_topic(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quarantine, "MAX_VALUE_BYTES", 5)
    assert base64.b64decode(kept(of(b"12345")).value) == b"12345"
    found = kept(of(b"123456"))
    assert (found.value, found.offset) == ("", 7)
    assert found.detail == "why; the record is too large to be copied and lies only in its topic"
    assert found.identity == hashlib.sha256(b"123456").hexdigest()


def test_what_is_said_of_it_is_bounded_and_readable():
    found = kept(of(b"{", key=b"\xff" * 1_000), "w" * 1_000)
    assert (found.detail, found.key) == ("w" * 500, "\\xff" * 125)


def test_one_without_a_place_lies_at_0_because_the_table_knows_no_less():
    found = kept(of(b"{", partition=-1, offset=-1))
    assert (found.partition, found.offset) == (0, 0)
