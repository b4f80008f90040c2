"""Derived and affiliate IDs: the same for the same, of a form of their own, and verified like any other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import shared_id
from schemas.transaction_id import Keyring, Kind, Verdict, check, kind, offer_of

ROOT = bytes(range(32))
RING = Keyring({1: b"a key that signs IDs"}, 1, identifiers=ROOT)
JANE = {"email": "jane@example.com"}
DERIVED = shared_id.derived(RING.offer_key(7), 7, JANE)
AFFILIATE = shared_id.affiliate(7, 42)


def verdict(text: str, ring: Keyring = RING) -> Verdict:
    return check(ring, text).verdict


def test_their_form_is_pinned_for_good():
    """Neither ever changes: else a click of before would not find its conversion."""
    assert DERIVED == "d000003tyvw41ykbys0kdx785yvr96zk"
    assert AFFILIATE == "a000003g0000ahc2539g0sxrgdngsa7h"


@pytest.mark.parametrize(("text", "expected"), [(DERIVED, Kind.DERIVED), (AFFILIATE, Kind.AFFILIATE)])
def test_they_are_32_characters_tell_their_kind_and_their_offer_and_verify(text: str, expected: Kind):
    assert (len(text), kind(text), offer_of(text), verdict(text)) == (32, expected, 7, Verdict.GENUINE)
    assert check(RING, text.upper()).transaction_id == text


def test_the_order_of_variables_is_no_matter_and_each_value_is():
    key = RING.offer_key(7)
    both = shared_id.derived(key, 7, {"ip": "192.0.2.1", "email": "a@b.example"})
    assert both == shared_id.derived(key, 7, {"email": "a@b.example", "ip": "192.0.2.1"})
    assert both != shared_id.derived(key, 7, {"email": "a@b.example", "ip": "192.0.2.2"})
    assert both != shared_id.derived(key, 7, {"email": "a@b.example"})
    assert shared_id.derived(key, 7, {"aff_sub": "a", "aff_sub2": "b"}) != shared_id.derived(
        key, 7, {"aff_sub": "b", "aff_sub2": "a"}
    )
    assert shared_id.derived(key, 7, {"aff_sub": "x\naff_sub2 1 y"}) != shared_id.derived(
        key, 7, {"aff_sub": "x", "aff_sub2": "y"}
    )


def test_each_offer_has_a_key_of_its_own_so_its_ids_tell_nothing_about_another_s():
    other = shared_id.derived(RING.offer_key(8), 8, JANE)
    assert RING.offer_key(7) != RING.offer_key(8)
    assert other[10:] != DERIVED[10:]


def test_without_the_key_an_id_cannot_be_made():
    stranger = Keyring({1: b"a key that signs IDs"}, 1, identifiers=b"another secret, as long as ours")
    forged = shared_id.derived(stranger.offer_key(7), 7, JANE)
    assert verdict(forged) is Verdict.FORGED


def test_a_derived_id_does_not_rest_on_the_keys_that_rotate():
    rotated = Keyring({2: b"the key after it ..."}, 2, identifiers=ROOT)
    assert verdict(DERIVED, rotated) is Verdict.GENUINE


def test_an_offer_s_own_key_comes_before_the_installation_s():
    ring = RING.with_offers({7: b"the offer's own secret"})
    assert verdict(DERIVED, ring) is Verdict.FORGED
    assert verdict(shared_id.derived(ring.offer_key(7), 7, JANE), ring) is Verdict.GENUINE
    assert ring.offer_key(8) == RING.offer_key(8)


@pytest.mark.parametrize(
    "ring",
    [Keyring({1: b"a key that signs IDs"}, 1), RING.with_offers({7: b""})],
    ids=["no secret", "not here"],
)
def test_without_the_offer_s_key_nothing_is_a_forgery_yet(ring: Keyring):
    assert verdict(DERIVED, ring) is Verdict.UNKNOWN_KEY


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="shorter than 16"):
        Keyring({1: b"a key that signs IDs"}, 1, identifiers=b"short")


@given(
    st.sampled_from([DERIVED, AFFILIATE]),
    st.integers(1, 31),
    st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"),
)
def test_one_wrong_character_is_noticed(text: str, at: int, character: str):
    wrong = text[:at] + character + text[at + 1 :]
    assert wrong == text or verdict(wrong) is Verdict.FORGED


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_every_offer_and_affiliate_has_one(offer_id: int, affiliate_id: int):
    text = shared_id.affiliate(offer_id, affiliate_id)
    assert (verdict(text), offer_of(text), len(text)) == (Verdict.GENUINE, offer_id, 32)
    derived = shared_id.derived(RING.offer_key(offer_id), offer_id, JANE)
    assert (verdict(derived), offer_of(derived), len(derived)) == (Verdict.GENUINE, offer_id, 32)
