"""docs/rules.md and the tests of the rules tell of the same clauses."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = ("grouping", "merge", "permission", "credit", "terms", "names", "status", "notices")


def clauses_of(rule: int) -> set[str]:
    """The clauses of a rule that have a test."""
    tests = (ROOT / "tests" / "streams" / f"test_{RULES[rule - 1]}.py").read_text()
    return {f"{rule}.{clause}" for clause in re.findall(rf"^def test_{rule}_(\d+)_", tests, re.MULTILINE)}


def test_every_clause_has_a_test_and_every_tested_clause_is_told():
    page = (ROOT / "docs" / "rules.md").read_text()
    told = set(re.findall(r"^(?:\| )?(\d+\.\d+)(?: \||:)", page, re.MULTILINE))
    tested = set[str]().union(*(clauses_of(rule) for rule in range(1, len(RULES) + 1)))
    assert told == tested


def test_every_rule_of_the_code_has_its_chapter():
    code = (ROOT / "streams" / "rules" / "decide.py").read_text()
    page = (ROOT / "docs" / "rules.md").read_text()
    in_code = re.findall(r"^(\d)\. (\w+)\.", code, re.MULTILINE)
    in_page = re.findall(r"^## (\d)\. (\w+)", page, re.MULTILINE)
    assert in_code == in_page
    assert len(in_code) == len(RULES)
