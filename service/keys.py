"""The keys that sign transaction IDs: DIR/keys.toml, which only its owner may read.

retired = [1]               # numbers that were given once and are not given again
identifiers = "64 hex digits"   # of which each offer's derived identifiers have a key; it never changes

[[keys]]
number = 2                  # 0 to 255; named in every ID that it signed
secret = "64 hex digits"
signs = true                # exactly one key signs; all verify
added = "2026-11-23T02:55:00.123Z"          # since when it verifies; may be missing
signed_until = "2026-11-24T02:55:00.123Z"   # when another took over from it; may be missing

`roundtrip keys` writes the file (service.rotation says what may be done when); a hand may write it, too.
"""

import os
import secrets
import stat
import tomllib
from pathlib import Path

import msgspec

from schemas import times
from schemas.transaction_id import Keyring
from service.errors import Problem, Usage

SECRET_BYTES = 32  # HMAC-SHA256's own size; a longer one adds nothing
HEADING = """\
# The keys that sign transaction IDs, the same on every edge; `roundtrip keys` rotates them.
# Who reads a secret forges IDs; without the keys no ID that is out in the world is valid: keep a copy.
"""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One key of the file; secret in hex, times as on the wire or empty where they are not known.

    added: since when it verifies. signed_until: when another key took over.
    """

    number: int
    secret: str
    signs: bool = False
    added: str = ""
    signed_until: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Key({self.number})"


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file.

    retired: numbers that were given once, and are not given again.
    identifiers: the secret, in hex, of which each offer's derived identifiers have a key; may be empty.
    """

    keys: tuple[Key, ...] = ()
    retired: tuple[int, ...] = ()
    identifiers: str = ""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"KeyFile({self.keys}, retired={self.retired})"


def keyring(path: Path) -> Keyring:
    """The file's keys. A Problem says what is wrong with it, never a secret."""
    return ring(path, read(path))


def read(path: Path) -> KeyFile:
    """The file's content, as far as it is well-formed. A Problem says what is wrong, never a secret."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except FileNotFoundError as error:
        raise Problem(
            f"{path} is not there: the keys that sign transaction IDs. Copy the file of another edge, or, for"
            f" a new installation, make one: roundtrip keys add"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {error}") from error
    if mode & 0o077:
        raise Problem(
            f"{path} may be read by others (mode {mode:04o}), and who reads it forges IDs: chmod 600 {path}"
        )
    try:
        return msgspec.convert(tomllib.loads(text), KeyFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Usage(f"{path}: {error}; it must hold [[keys]] with number, secret and signs") from error


def ring(path: Path, file: KeyFile) -> Keyring:
    """The keys of the file at the path. A Problem says what is wrong with them, never a secret."""
    signing = [key.number for key in file.keys if key.signs]
    if len(signing) != 1:
        raise Usage(f"{path}: exactly one key must say `signs = true`, {len(signing)} do")
    numbers = [*(key.number for key in file.keys), *file.retired]
    if len(set(numbers)) != len(numbers):
        raise Usage(f"{path}: a key number stands twice")
    try:
        for key in file.keys:
            _ = [times.to_ms(text) for text in (key.added, key.signed_until) if text]
        secrets = {key.number: _bytes(path, key.secret, f"secret of key {key.number}") for key in file.keys}
        return Keyring(secrets, signing[0], _bytes(path, file.identifiers, "secret `identifiers`"))
    except ValueError as error:
        raise Usage(f"{path}: {error}") from error


def _bytes(path: Path, secret: str, what: str) -> bytes:
    try:
        return bytes.fromhex(secret)
    except ValueError:
        raise Usage(f"{path}: the {what} is not hex") from None  # the cause would quote it


def new_secret() -> str:
    """A fresh secret, in hex."""
    return secrets.token_hex(SECRET_BYTES)


def write(path: Path, file: KeyFile) -> None:
    """The file holds this, readable by its owner only; a reader sees the old or the new one, never half.

    A Problem where it cannot be written, or would not be taken.
    """
    ring(path, file)
    path = path.resolve()  # a link to it stays one
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_through(fresh, _text(file), path)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror or error}") from error


def _write_through(fresh: Path, text: str, old: Path) -> None:
    """The text lies on stable storage; written by root, it belongs to whom the old file belongs to."""
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if os.geteuid() == 0 and old.exists():
            os.fchown(file.fileno(), old.stat().st_uid, old.stat().st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _text(file: KeyFile) -> str:
    parts = [HEADING]
    if file.retired:
        parts.append(f"retired = {sorted(file.retired)}\n")
    if file.identifiers:
        parts.append(f'identifiers = "{file.identifiers}"\n')
    for key in file.keys:
        lines = [f"number = {key.number}", f'secret = "{key.secret}"']
        lines += ["signs = true"] if key.signs else []
        lines += [f'added = "{key.added}"'] if key.added else []
        lines += [f'signed_until = "{key.signed_until}"'] if key.signed_until else []
        parts.append("\n".join(["", "[[keys]]", *lines, ""]))
    return "".join(parts)
