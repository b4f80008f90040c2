"""The keys that sign transaction IDs: DIR/keys.toml, which only its owner may read.

[[keys]]
number = 1                  # 0 to 255; named in every ID that it signed, not used again before those expired
secret = "64 hex digits"
signs = true                # exactly one key signs; all verify
"""

import os
import secrets
import stat
import sys
import tomllib
from pathlib import Path

import msgspec

from schemas.transaction_id import Keyring
from service.errors import Problem, Usage

SECRET_BYTES = 32  # HMAC-SHA256's own size; a longer one adds nothing


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key of the file; secret in hex."""

    number: int
    secret: str
    signs: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[Key]


def keyring(path: Path) -> Keyring:
    """The file's keys. A Problem says what is wrong with it, never a secret."""
    keys = _read(path)
    signing = [key.number for key in keys if key.signs]
    if len(signing) != 1:
        raise Usage(f"{path}: exactly one key must say `signs = true`, {len(signing)} do")
    if len({key.number for key in keys}) != len(keys):
        raise Usage(f"{path}: a key number stands twice")
    try:
        return Keyring({key.number: _secret(path, key) for key in keys}, signing[0])
    except ValueError as error:
        raise Usage(f"{path}: {error}") from error


def _read(path: Path) -> list[Key]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except FileNotFoundError as error:
        raise Problem(
            f"{path} is not there: the keys that sign transaction IDs. Copy the file of another edge, or, for"
            f" a new installation, make one: python -m service.keys {path}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}") from error
    if mode & 0o077:
        raise Problem(
            f"{path} may be read by others (mode {mode:04o}), and who reads it forges IDs: chmod 600 {path}"
        )
    try:
        return msgspec.convert(tomllib.loads(text), _File).keys
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Usage(f"{path}: {error}; it must hold [[keys]] with number, secret and signs") from error


def _secret(path: Path, key: Key) -> bytes:
    try:
        return bytes.fromhex(key.secret)
    except ValueError:
        raise Usage(
            f"{path}: the secret of key {key.number} is not hex"
        ) from None  # the cause would quote it


def write_new(path: Path) -> None:
    """The file is there with one fresh key, readable by its owner only; a Problem where one was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'[[keys]]\nnumber = 1\nsecret = "{secrets.token_hex(SECRET_BYTES)}"\nsigns = true\n'
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Problem(
            f"{path} is there already; its keys have signed IDs that are still alive, so it is kept"
        ) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    write_new(Path(sys.argv[1]))
