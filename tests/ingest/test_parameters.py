"""Parameters: the canonical name wins, aliases never guess, nothing personal is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import parameters
from ingest.parameters import CONVERSION, MAX_PARAMS_BYTES, VISIT, conversion, split, visit
from tests.ingest.fakes import KEYRING, NEWER, new_id

ID, OTHER = new_id(), new_id(seed=2)


@pytest.mark.parametrize(("field", "alias"), [(f, a) for f, aliases in VISIT.items() for a in aliases])
def test_every_alias_of_a_visit_means_its_field(field: str, alias: str) -> None:
    assert visit([(alias, "v")]).values == {field: "v"}


@pytest.mark.parametrize(("field", "alias"), [(f, a) for f, aliases in CONVERSION.items() for a in aliases])
def test_every_alias_of_a_conversion_means_its_field(field: str, alias: str) -> None:
    value = ID if field == "transaction_id" else "v"
    assert conversion([(alias, value)], KEYRING).values == {field: value}


@pytest.mark.parametrize("table", [VISIT, CONVERSION])
def test_no_name_means_two_fields(table: dict[str, tuple[str, ...]]) -> None:
    names = [name for field, aliases in table.items() for name in (field, *aliases)]
    assert len(names) == len(set(names))


def test_the_canonical_name_wins_and_the_outvoted_alias_is_kept_in_params() -> None:
    found = visit([("oid", "8"), ("offer_id", "7"), ("o", "9")])
    assert (found.values, found.params, found.conflict) == ({"offer_id": "7"}, {"oid": "8", "o": "9"}, "")


def test_two_different_values_for_one_field_are_a_conflict() -> None:
    assert visit([("offer_id", "7"), ("offer_id", "8")]).conflict == "offer_id"
    assert visit([("oid", "7"), ("o", "8")]).conflict == "offer_id"
    assert (
        conversion([("transaction_id", ID), ("amount", "1"), ("amount", "2")], KEYRING).conflict == "amount"
    )


def test_the_same_value_twice_is_one_value() -> None:
    found = visit([("offer_id", "7"), ("offer_id", "7"), ("oid", "7")])
    assert (found.values, found.params, found.conflict) == ({"offer_id": "7"}, {}, "")


def test_an_empty_value_is_not_stated() -> None:
    assert visit([("offer_id", ""), ("oid", "7")]).values == {"offer_id": "7"}


def test_of_several_aliases_the_id_is_the_one_that_carries_our_signature() -> None:
    found = conversion([("cid", "theirs"), ("clickid", ID), ("subid", "x")], KEYRING)
    assert found.values == {"transaction_id": ID}
    assert found.params == {"cid": "theirs", "subid": "x"}


def test_tid_beside_an_id_is_an_order_number() -> None:
    found = conversion([("cid", ID), ("tid", "A-77")], KEYRING)
    assert found.values == {"transaction_id": ID, "conversion_unique_id": "A-77"}


def test_an_alias_that_repeats_the_id_in_another_case_says_nothing_more() -> None:
    found = conversion([("transaction_id", ID), ("tid", ID.upper()), ("cid", ID)], KEYRING)
    assert (found.values, found.params, found.conflict) == ({"transaction_id": ID}, {}, "")


def test_two_ids_of_ours_are_a_conflict() -> None:
    assert conversion([("cid", ID), ("clickid", OTHER)], KEYRING).conflict == "transaction_id"
    assert (
        conversion([("transaction_id", ID), ("transaction_id", OTHER)], KEYRING).conflict == "transaction_id"
    )


def test_an_id_of_a_key_that_is_not_here_yet_wins_over_what_is_no_id() -> None:
    unknown = new_id(keyring=NEWER)
    assert conversion([("cid", "theirs"), ("clickid", unknown)], KEYRING).values == {
        "transaction_id": unknown
    }


def test_a_lone_alias_claims_to_be_the_id_whatever_it_looks_like() -> None:
    assert conversion([("tid", "A-77")], KEYRING).values == {"transaction_id": "A-77"}


def test_an_order_number_stated_twice_differently_is_a_conflict() -> None:
    assert conversion([("cid", ID), ("tid", "A"), ("txid", "B")], KEYRING).conflict == "conversion_unique_id"


@pytest.mark.parametrize("name", ["email", "user_name", "EMAIL", "User_Name"])
def test_personal_data_is_never_kept(name: str) -> None:
    found = visit([("offer_id", "7"), (name, "someone@home.example")])
    assert (found.values, found.params) == ({"offer_id": "7"}, {})
    kept = conversion([("transaction_id", ID), (name, "someone@home.example")], KEYRING)
    assert (kept.values, kept.params) == ({"transaction_id": ID}, {})


def test_an_outvoted_secret_is_not_kept_either() -> None:
    found = conversion([("transaction_id", ID), ("security_token", "a"), ("secure", "b")], KEYRING)
    assert found.params == {}


def test_params_hold_what_nobody_knows_up_to_2_kib() -> None:
    found = visit([("offer_id", "7"), ("a1", "x" * 2000), ("a2", "y" * 100)])
    assert list(found.params) == ["a1"]
    assert found.problems == [f"params: over {MAX_PARAMS_BYTES} bytes, not all kept"]


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a+b=1+2&c=3", [("a b", "1 2"), ("c", "3")]),
        ("a=ü&b=1", [("a", "ü"), ("b", "1")]),
        ("a=x+y%20z&%62=%26", [("a", "x y z"), ("b", "&")]),
        ("a&&=&b==c", [("a", ""), ("", ""), ("b", "=c")]),
        ("a=%ff%C3%BC%zz%", [("a", "\ufffdü%zz%")]),
        ("a=\udcff\udcc3\udcbc", [("a", "\ufffdü")]),
        ("a=%00%0d%0a", [("a", "\0\r\n")]),
    ],
)
def test_a_query_is_split_as_forms_are(query: str, pairs: list[tuple[str, str]]) -> None:
    assert split(query) == pairs


@given(st.binary(max_size=200))
def test_any_bytes_make_a_query_of_texts_that_utf_8_can_carry(raw: bytes) -> None:
    for name, value in split(raw.decode("utf-8", "surrogateescape")):
        (name + value).encode()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*parameters.CONVERSION, "tid", "cid", "x"]),
            st.sampled_from([ID, OTHER, "1", ""]),
        )
    )
)
def test_the_order_of_parameters_decides_nothing_but_which_of_equals_is_named(
    pairs: list[tuple[str, str]],
) -> None:
    there, back = conversion(pairs, KEYRING), conversion(pairs[::-1], KEYRING)
    assert bool(there.conflict) == bool(back.conflict)
    if not there.conflict and "transaction_id" in there.values:
        assert there.values.keys() == back.values.keys()
