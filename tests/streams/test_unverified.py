"""A pixel whose ID no edge could verify is verified by the joiner."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from schemas import shared_id
from schemas.transaction_id import Keyring
from service import keys, rotation
from service.kafka import Record
from service.keys import KeyFile
from service.settings import Settings
from streams.batch.unverified import sorted_out
from streams.worker import Worker
from tests.streams.joining import NOON_MS, unverified_pixel

OLD, NEW = b"the key of all edges" * 2, b"the key that one edge lacks" * 2
RING = Keyring({1: OLD, 2: NEW}, 2)
STRANGER = Keyring({1: OLD, 2: b"a key that somebody made up" * 2}, 2)


def told(keyring: Keyring, *, verified: bool = False, topic: str = "pixels", own_id: str = "") -> Record:
    """A pixel as an edge that lacks key 2 ships it, of an ID that this ring signed, or of its own."""
    fact = unverified_pixel(keyring, 7)
    if own_id:
        fact = msgspec.structs.replace(fact, transaction_id=own_id)
    if verified:
        fact = msgspec.structs.replace(fact, problems=())
    return Record(topic, 0, 7, NOON_MS, fact.transaction_id.encode(), msgspec.json.encode(fact))


def test_only_an_id_that_no_edge_verified_and_whose_signature_is_wrong_is_forged() -> None:
    genuine, forged = told(RING), told(STRANGER)
    verified, posted = told(STRANGER, verified=True), told(STRANGER, topic="postbacks")
    assert sorted_out([genuine, forged, verified, posted], lambda: RING) == (
        [genuine, verified, posted],
        [forged],
    )


def test_a_derived_id_is_never_a_forgery_here_where_its_offer_may_have_a_key_of_its_own() -> None:
    ring = Keyring({1: OLD}, 1, identifiers=b"the installation's secret")
    pixel = told(RING, own_id=shared_id.derived(b"the offer's own key", 7, {"email": "a@b.example"}))
    assert sorted_out([pixel], lambda: ring) == ([pixel], [])


@pytest.mark.parametrize("keys", [None, Keyring({1: OLD}, 1)])
def test_what_cannot_be_verified_here_either_is_kept(keys: Keyring | None) -> None:
    assert sorted_out([told(STRANGER)], lambda: keys) == ([told(STRANGER)], [])


def test_the_worker_verifies_with_the_keys_that_lie_here_and_does_without(tmp_path: Path) -> None:
    worker = Worker.__new__(Worker)
    worker._settings = Settings(dir=tmp_path)
    worker._life = SimpleNamespace(spawn=lambda work, _: work.close())  # type: ignore[assignment]
    assert worker._keys()() is None
    keys.write(worker._settings.keys_path, rotation.added(KeyFile(), keys.new_secret(), NOON_MS)[0])
    found = worker._keys()()
    assert found is not None
    assert found.signing == keys.keyring(worker._settings.keys_path).signing
