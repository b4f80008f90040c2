"""The shapes whose cost is measured are what their names say; what they cost is nobody's test."""

import pytest

from proof import deciding
from streams.rules.decide import decide_transaction

HISTORY = deciding.history(deciding.SMALL)
CONVERSIONS = {
    "a postback, its click not known": ["pending"],
    "click, postback": ["approved"],
    "click, pixel, iframe, postback": ["approved"],
    "the same, and an adjustment": ["rejected"],
    "the same, by an affiliate identifier": ["approved"],
    "the same, by a derived identifier": ["approved"],
    "click, 50 statements, a goal that repeats": ["approved"] * 25,
}


@pytest.mark.parametrize(("name", "facts"), deciding.shapes().items())
def test_a_shape_is_one_case_of_these_conversions(name: str, facts: deciding.Shape):
    (conversions,) = decide_transaction(facts, HISTORY).cases.values()
    assert [one.status for one in conversions] == CONVERSIONS[name]


def test_each_shape_is_measured():
    found = deciding.measured({"nothing": lambda: None, "squares": deciding.squares}, rounds=1)
    assert set(found) == {"nothing", "squares"}
    assert found["squares"] > 0
