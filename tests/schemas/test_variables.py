"""A customer's variables have one form, however they were typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.variables import normal

JANE = "jane.doe@example.com"


@pytest.mark.parametrize(
    "typed",
    [
        JANE,
        " Jane.Doe@EXAMPLE.com\t",
        "jane.doe @ example.com",
        "\u00a0jane.doe@example.com\u2003",
        "\uff4aane.doe\uff20example.com",
    ],
)
def test_an_e_mail_address_is_the_same_in_other_case_and_with_blanks(typed: str):
    assert normal("email", typed) == JANE


def test_a_plus_that_arrived_as_a_blank_is_the_same():
    assert normal("email", "jane+news@example.com") == normal("email", "jane news@example.com")


def test_dots_tags_and_domains_are_not_guessed_at():
    assert len({normal("email", text) for text in (JANE, "janedoe@example.com", "jane.doe@example.org")}) == 3


@pytest.mark.parametrize("text", ["", " ", "null", "{email}", "@", "jane@", "@example.com"])
def test_what_is_no_address_is_no_variable(text: str):
    assert normal("email", text) == ""


@pytest.mark.parametrize("name", ["user_name", "aff_sub", "aff_sub5"])
def test_of_a_name_case_and_runs_of_blanks_do_not_count(name: str):
    assert normal(name, "  Jane   DOE\n") == normal(name, "jane doe") == "jane doe"
    assert normal(name, "STRASSE") == normal(name, "straße")
    assert normal(name, " \t") == ""


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        (" 192.0.2.1 ", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.01", ""),
        ("nowhere", ""),
    ],
)
def test_an_address_is_canonical(typed: str, canonical: str):
    assert normal("ip", typed) == canonical


@given(st.sampled_from(["email", "user_name", "ip", "aff_sub"]), st.text(max_size=40))
def test_the_normal_form_is_its_own(name: str, text: str):
    once = normal(name, text)
    assert normal(name, once) == once
