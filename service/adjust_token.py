"""DIR/adjust.token: the credential for adjustments that `up` makes, for the commands of its directory."""

import secrets
from pathlib import Path

from service.settings import Settings

NAME = "adjust.token"


def make(directory: Path) -> None:
    """The directory has a token, which only its owner may read."""
    path = directory / NAME
    if not path.exists():
        fresh = path.with_name(NAME + ".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(0o600, exist_ok=False)
        fresh.write_text(secrets.token_urlsafe(32) + "\n", "ascii")
        fresh.replace(path)


def read(settings: Settings) -> str:
    """The token that the settings state, else the directory's; empty where there is none."""
    if settings.adjust_token:
        return settings.adjust_token
    try:
        return (settings.dir / NAME).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
