"""ClickHouse's tables and views as numbered migrations: `NNNN_name.sql` in this folder, applied in order.

A migration that has landed is never edited: what changes is a new file.
"""

from importlib import resources

import msgspec

# Which base table holds the records of a topic. A case is kept twice: as it stands, and each of its versions.
TABLES_OF_TOPIC = {
    "clicks": ("click_facts",),
    "impressions": ("impression_facts",),
    "pixels": ("observation_facts",),
    "postbacks": ("observation_facts",),
    "adjustments": ("observation_facts",),
    "conversions": ("case_history", "cases"),
    "deliveries": ("delivery_facts",),
    "quarantine": ("quarantine_facts",),
    "refusals": ("refusal_facts",),
    "tails": ("tail_facts",),
}


class Migration(msgspec.Struct, frozen=True):
    """One file: its number, its name and its statements in order, without their semicolons."""

    number: int
    name: str
    statements: tuple[str, ...]


def migrations() -> list[Migration]:
    """All migrations, by number. Statements end with a semicolon at a line's end."""
    files = [file for file in resources.files(__package__).iterdir() if file.name.endswith(".sql")]
    return [_read(file.name, file.read_text("utf-8")) for file in sorted(files, key=lambda file: file.name)]


def _read(file_name: str, text: str) -> Migration:
    number, _, name = file_name.removesuffix(".sql").partition("_")
    statements = (statement.strip() for statement in f"{text}\n".split(";\n"))
    return Migration(int(number), name, tuple(statement for statement in statements if statement))
