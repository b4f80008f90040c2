"""The transaction ID: sorts by time, survives people and CRMs, and nobody else can make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.transaction_id import (
    LENGTH,
    MAX_MS,
    Checked,
    Keyring,
    Kind,
    Verdict,
    check,
    kind,
    make,
    time_ms,
)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
RING = Keyring({1: b"first key of the ring", 2: b"second key of the ring"}, signing=1)
NOW_MS = 1_795_402_500_123
GOOD = make(RING, NOW_MS, b"\x01\x02\x03\x04\x05\x06\x07")

MOMENTS = st.integers(0, MAX_MS)
RANDOMS = st.binary(min_size=7, max_size=7)
IDS = st.builds(make, st.just(RING), MOMENTS, RANDOMS)


def test_the_layout_is_pinned_because_ids_outlive_releases():
    assert make(Keyring({7: bytes(range(32))}, 7), NOW_MS, b"\0\1\2\3\4\5\6") == PINNED


# Worked out once with base64 and hmac of the standard library.
PINNED = "06h0cn083c0020g30g2gc1x56qj0zevc"


@given(MOMENTS, RANDOMS)
def test_an_id_is_genuine_and_carries_its_time(ms: int, random: bytes):
    text = make(RING, ms, random)
    assert (len(text), set(text) <= set(ALPHABET)) == (LENGTH, True)
    assert (check(RING, text), time_ms(text), kind(text)) == (Checked(Verdict.GENUINE, text), ms, Kind.RANDOM)


@given(MOMENTS, MOMENTS, RANDOMS, RANDOMS)
def test_ids_sort_by_time(one_ms: int, other_ms: int, one: bytes, other: bytes):
    if one_ms != other_ms:
        assert (make(RING, one_ms, one) < make(RING, other_ms, other)) == (one_ms < other_ms)


@given(IDS, st.data())
def test_case_and_crockfords_look_alikes_read_as_the_same_id(text: str, data: st.DataObject):
    looks = {"0": "0oO", "1": "1iIlL"}
    typed = "".join(data.draw(st.sampled_from(looks.get(c, c + c.upper()))) for c in text)
    assert check(RING, typed) == Checked(Verdict.GENUINE, text)
    assert kind(typed) is Kind.RANDOM


@pytest.mark.parametrize("position", range(LENGTH))
def test_every_single_altered_character_is_refused(position: int):
    for other in ALPHABET.replace(GOOD[position], "") + "u-!_ +é\n\0\udc80":
        altered = GOOD[:position] + other + GOOD[position + 1 :]
        assert check(RING, altered).verdict is not Verdict.GENUINE, altered


@pytest.mark.parametrize("position", [*range(20), *range(23, LENGTH)])
def test_altered_outside_of_its_key_number_it_is_a_forgery(position: int):
    altered = GOOD[:position] + ("0" if GOOD[position] != "0" else "1") + GOOD[position + 1 :]
    assert check(RING, altered) == Checked(Verdict.FORGED, altered)


def test_every_cut_and_every_addition_is_malformed():
    cuts = [GOOD[:end] for end in range(LENGTH)] + [GOOD[start:] for start in range(1, LENGTH)]
    for text in [*cuts, GOOD + "0", " " + GOOD, GOOD + GOOD, f"{GOOD[:8]}-{GOOD[8:]}"]:
        assert check(RING, text) == Checked(Verdict.MALFORMED, ""), text


@given(st.text(max_size=40))
def test_no_text_raises(text: str):
    assert check(RING, text).verdict is not Verdict.GENUINE


@given(st.text("0123456789_+- \n", min_size=LENGTH, max_size=LENGTH))
def test_what_python_reads_as_a_number_is_no_id(text: str):
    assert check(RING, text).verdict is not Verdict.GENUINE


def test_each_key_of_the_ring_verifies_whichever_signs():
    rotated = Keyring({1: b"first key of the ring", 2: b"second key of the ring"}, signing=2)
    after = make(rotated, NOW_MS, bytes(7))
    assert (check(rotated, GOOD).verdict, check(RING, after).verdict) == (Verdict.GENUINE, Verdict.GENUINE)


def test_an_unknown_key_is_told_apart_from_a_forgery():
    stranger = Keyring({3: b"a key from elsewhere"}, signing=3)
    text = make(stranger, NOW_MS, bytes(7))
    assert check(RING, text.upper()) == Checked(Verdict.UNKNOWN_KEY, text)


def test_the_same_number_with_another_secret_is_a_forgery():
    text = make(Keyring({1: b"not our first key"}, signing=1), NOW_MS, bytes(7))
    assert check(RING, text) == Checked(Verdict.FORGED, text)


@pytest.mark.parametrize(
    ("first", "expected", "verdict"),
    [
        ("d", Kind.DERIVED, Verdict.UNKNOWN_KEY),  # this ring has no secret for them
        ("A", Kind.AFFILIATE, Verdict.FORGED),
        ("b", None, Verdict.MALFORMED),
        ("!", None, Verdict.MALFORMED),
    ],
)
def test_the_first_letter_tells_other_identifiers(first: str, expected: Kind | None, verdict: Verdict):
    text = first + GOOD[1:]
    assert (kind(text), check(RING, text).verdict) == (expected, verdict)


def test_a_text_of_another_length_is_no_kind():
    assert kind(GOOD[:-1]) is None


@pytest.mark.parametrize("ms", [-1, MAX_MS + 1])
def test_a_time_that_an_id_cannot_carry_is_refused(ms: int):
    with pytest.raises(ValueError, match="no time that an ID can carry"):
        make(RING, ms, bytes(7))


@pytest.mark.parametrize("size", [0, 6, 8])
def test_another_number_of_random_bytes_is_refused(size: int):
    with pytest.raises(ValueError, match="7 random bytes"):
        make(RING, NOW_MS, bytes(size))


@pytest.mark.parametrize(
    ("keys", "signing"),
    [({}, 1), ({2: bytes(16)}, 1), ({256: bytes(16)}, 256), ({-1: bytes(16)}, -1), ({1: bytes(15)}, 1)],
)
def test_a_ring_without_its_signing_key_or_with_a_weak_one_is_refused(keys: dict[int, bytes], signing: int):
    with pytest.raises(ValueError, match="key"):
        Keyring(keys, signing)


@given(st.binary(min_size=16, max_size=100), st.binary(min_size=14, max_size=14))
def test_the_signature_is_hmac_sha256(key: bytes, message: bytes):
    import hmac  # noqa: PLC0415  the yardstick of this test alone

    assert Keyring({5: key}, 5).sign(5, message) == hmac.digest(key, message, "sha256")[:6]
