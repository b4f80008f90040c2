"""`python -m service.settings` prints the table as docs/settings.md."""

import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from service.settings.table import PREFIX, Settings


def _rows() -> list[tuple[str, str, str, str, str]]:
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for name, default in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        base, meta = get_args(hints[name])[:2]
        rows.append(
            (
                PREFIX + name.upper(),
                _kind(base, meta),
                _default(default, meta),
                meta.extra["services"],
                meta.description,
            )
        )
    return rows


def _kind(base: Any, meta: msgspec.Meta) -> str:
    if choices := get_args(base) if base != tuple[str, ...] else ():
        return ", ".join(str(choice) for choice in choices)
    name = {Path: "path", bool: "0 or 1", str: "text", int: "whole number", float: "number"}.get(base, "list")
    bounds = [
        f"{sign} {bound}"
        for sign, bound in ((">", meta.gt), ("≥", meta.ge), ("≤", meta.le))
        if bound is not None
    ]
    return " ".join([name, ", ".join(bounds)]) if bounds else name


def _default(default: Any, meta: msgspec.Meta) -> str:
    shown = str((meta.extra or {}).get("shown", ""))
    text = str(int(default)) if isinstance(default, bool) else str(default or "")
    return shown or (f"`{text}`" if text and default != () else "-")


def markdown() -> str:
    """docs/settings.md, whole."""
    lines = [
        "# Settings",
        "",
        "Read once at start from the environment. An unknown `ROUNDTRIP_*` name stops the process; an empty",
        "value means the default. Written by `python -m service.settings`; a test compares.",
        "",
        "| name | type | default | read by | what and why |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {kind} | {default} | {services} | {about} |"
        for name, kind, default, services, about in _rows()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
