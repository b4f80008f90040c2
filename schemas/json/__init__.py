"""The JSON Schema of each topic, published under version control beside this file: `TOPIC.json`.

`python -m schemas.json` writes them anew after a change of the types; a test compares.
"""

import json

import msgspec

from schemas import decisions, facts
from schemas.catalog_versions import CatalogVersion
from schemas.topics import CATALOG, TAILS


def json_schemas() -> dict[str, str]:
    """Topic name to the text of its file."""
    types: dict[str, type] = {**facts.TYPES, **decisions.TYPES, TAILS: facts.Tail, CATALOG: CatalogVersion}
    return {topic: json.dumps(_schema(topic, kind), indent=1) + "\n" for topic, kind in types.items()}


def _schema(topic: str, kind: type) -> dict[str, object]:
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": topic,
        **schema,
        "$defs": definitions,
    }
