"""Writes the JSON Schema files anew."""

from pathlib import Path

from schemas.json import json_schemas

for topic, text in json_schemas().items():
    (Path(__file__).parent / f"{topic}.json").write_text(text, "utf-8")
