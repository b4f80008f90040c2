"""The published JSON Schema files say what the types say."""

from importlib import resources

import pytest

from schemas.json import json_schemas
from schemas.tables import TABLES_OF_TOPIC
from schemas.topics import CATALOG, DECISIONS, FACTS, TAILS, TOPICS


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_each_topic_has_its_published_schema(topic: str) -> None:
    published = resources.files("schemas.json").joinpath(f"{topic}.json").read_text("utf-8")
    assert published == json_schemas()[topic], "the types changed: run `make schemas` and read the difference"


def test_every_topic_is_a_fact_a_decision_the_tails_or_the_catalog() -> None:
    assert set(TOPICS) == {*FACTS, *DECISIONS, TAILS, CATALOG}


def test_all_but_notices_and_the_catalog_ends_in_a_table() -> None:
    assert set(TABLES_OF_TOPIC) == {*FACTS, *DECISIONS, TAILS} - {"notices"}
