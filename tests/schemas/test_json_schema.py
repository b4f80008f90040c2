"""The published JSON Schema files say what the types say."""

from importlib import resources

import pytest

from schemas.json import json_schemas
from schemas.tables import TABLES_OF_TOPIC
from schemas.topics import CATALOG, DECISIONS, FACTS, TOPICS


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_each_topic_has_its_published_schema(topic: str) -> None:
    published = resources.files("schemas.json").joinpath(f"{topic}.json").read_text("utf-8")
    assert published == json_schemas()[topic], "the types changed: run `make schemas` and read the difference"


def test_every_topic_is_a_fact_a_decision_or_the_catalog() -> None:
    assert set(TOPICS) == {*FACTS, *DECISIONS, CATALOG}


def test_every_fact_and_decision_but_a_notice_ends_in_a_table() -> None:
    assert set(TABLES_OF_TOPIC) == {*FACTS, *DECISIONS} - {"notices"}
