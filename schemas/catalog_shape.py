"""The shape of a catalog file: its tables and values against the types, every fault with its place."""

import difflib
import types
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from schemas import money
from schemas.catalog import Catalog, Term
from schemas.catalog_complaints import Place

Fault = tuple[Place, str]


def shaped(data: dict[str, Any]) -> tuple[Catalog | None, list[Fault]]:
    """The catalog that the parsed TOML states; None and all faults where it has the wrong shape."""
    faults = list(_struct(Catalog, data, ()))
    return (None, faults) if faults else (msgspec.convert(data, Catalog), [])


@cache
def fields_of(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    """Each field as the file names it -> its type and whether it must be given."""
    hints = get_type_hints(struct, include_extras=True)
    return {f.encode_name: (hints[f.name], f.required) for f in msgspec.structs.fields(struct)}


def nearest(word: str, known: Iterator[str] | list[str]) -> str:
    """`: did you mean …?`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean `{near[0]}`?" if near else ""


def _struct(struct: type[msgspec.Struct], data: Any, place: Place) -> Iterator[Fault]:
    if not isinstance(data, dict):
        yield place, f"a table is expected, not {_named(data)}"
        return
    if struct is Term:
        _wrap_scalars(data)
    fields = fields_of(struct)
    for key in data:
        if key not in fields:
            yield (*place, key), f"unknown key `{key}`{nearest(key, list(fields))}"
    for key, (hint, required) in fields.items():
        if key in data:
            yield from _value(hint, data[key], (*place, key))
        elif required:
            yield place, f"`{key}` is missing"


def _wrap_scalars(data: dict[str, Any]) -> None:
    """A term's condition with one value may be written without brackets."""
    for key in ("affiliate", "tier", "country", "device", "source"):
        if isinstance(data.get(key), str | int):
            data[key] = [data[key]]


def _value(hint: Any, value: Any, place: Place) -> Iterator[Fault]:
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(plain) in (Union, types.UnionType):
        plain = hint = _alternative(get_args(plain), value)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        yield from _struct(plain, value, place)
    elif get_origin(plain) is tuple and isinstance(value, list):
        if not value and plain is not hint:
            yield from _leaf(hint, value, place)  # an Annotated tuple has a least length
        for n, item in enumerate(value):
            yield from _value(get_args(plain)[0], item, (*place, n))
    elif plain is Decimal:
        yield from _decimal(value, place)
    else:
        yield from _leaf(hint, value, place)


def _alternative(options: tuple[Any, ...], value: Any) -> Any:
    """The option that a value of this TOML type can only mean."""
    for option in options:
        is_struct = isinstance(option, type) and issubclass(option, msgspec.Struct)
        if (isinstance(value, dict) and is_struct) or (
            isinstance(value, list) and get_origin(option) is tuple
        ):
            return option
    return options[0]


def _decimal(value: Any, place: Place) -> Iterator[Fault]:
    if not isinstance(value, str):
        kind = (
            "a float is not exact"
            if isinstance(value, float)
            else f"a decimal is expected, not {_named(value)}"
        )
        yield place, f'{kind}: write the number in quotes, such as "8" or "2.50"'
        return
    try:
        money.written(value)
    except ValueError as error:
        yield place, str(error)


def _leaf(hint: Any, value: Any, place: Place) -> Iterator[Fault]:
    if get_origin(hint) is Literal and value not in get_args(hint):
        words = [word for word in get_args(hint) if word]
        yield place, f"one of {', '.join(words)} is expected, not {value!r}{nearest(str(value), words)}"
        return
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        yield place, f"{error}".replace("`", "").replace("Expected", "expected", 1)


def _named(value: Any) -> str:
    names = {
        bool: "a boolean",
        str: "a text",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), f"a {type(value).__name__}")
