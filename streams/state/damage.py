"""A state that cannot be used: what its owner is told, in one line: what, where, what to do."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from service.errors import Problem

_State = TypeVar("_State")
_Value = TypeVar("_Value")

_MOST: Final = 300  # RocksDB's own words may hold a path and two checksums
_FULL: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_DISK: Final = re.compile(r"^IO error|\(os error \d+\)$").search  # RocksDB's words, and those of its wrapper
# What a value raises that is not what was written. Other errors (a TypeError) are bugs, and told as such.
_ODD_VALUES: Final = (msgspec.MsgspecError, ValueError, LookupError, OSError)


def problem(path: Path, error: Exception) -> Problem:
    """The worker's last words about the state in this directory."""
    said = " ".join(str(error).split())[:_MOST] or type(error).__name__
    if any(each in said for each in _FULL):
        return Problem(f"state {path}: the disk is full ({said}); make room and start the joiner again")
    if isinstance(error, OSError) or (_DISK(said) and "No such file" not in said):
        return Problem(f"state {path}: the disk fails ({said}); mend it and start the joiner again")
    return Problem(
        f"state {path} is damaged ({said});"
        " move that directory away and start the joiner again: it is made anew from Kafka"
    )


def read(path: Path, decode: Callable[[bytes], _Value], value: bytes) -> _Value:
    """What a value out of the state says, where only what decoded was put."""
    try:
        return decode(value)
    except _ODD_VALUES as error:
        raise problem(path, error) from error


def told(state: type[_State]) -> type[_State]:
    """The class of a state with a `path`, each of whose methods ends in a `problem` where the state fails."""
    for name, method in vars(state).copy().items():
        if inspect.isfunction(method) and not name.startswith("__"):
            setattr(state, name, _telling(method))
    return state


def is_of_state(error: Exception) -> bool:
    """Whether RocksDB said so, which raises plain Exception for everything, or a value is not as written."""
    return type(error) is Exception or isinstance(error, _ODD_VALUES)


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def telling(state: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(state, *args, **kwargs)
        except Exception as error:  # RocksDB's own have no class of theirs; any other is raised on
            if is_of_state(error):
                raise problem(state.path, error) from error
            raise

    return telling
