"""The settings as the environment states them."""

import difflib
import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from service.errors import Usage
from service.settings.table import PORTS, PREFIX, SECRETS, Settings, names


def read(service: str, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a service or command; Usage names the first that is unknown or bad.

    An empty value means the default: compose files pass unset variables that way.
    """
    environ = os.environ if environ is None else environ
    _refuse_unknown(environ)
    stated = {
        name: environ[PREFIX + name.upper()]
        for name in Settings.__struct_fields__
        if environ.get(PREFIX + name.upper())
    }
    given: dict[str, Any] = dict(stated)
    if "trusted_proxies" in given:
        given["trusted_proxies"] = _networks(stated["trusted_proxies"])
    given.setdefault("port", PORTS.get(service, 0))
    given.setdefault("edge", socket.gethostname()[:100])
    return _converted(given)


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = names()
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise Usage(f"unknown setting {name}; the nearest known one is {near} (all: docs/settings.md)")


def _networks(text: str) -> tuple[str, ...]:
    try:
        return tuple(
            str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip()
        )
    except ValueError as error:
        raise Usage(f"{PREFIX}TRUSTED_PROXIES: {error}; write networks like 10.0.0.0/8,192.0.2.7") from error


def _converted(given: dict[str, Any]) -> Settings:
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, Settings, strict=False, dec_hook=_path)
        except msgspec.ValidationError as error:
            shown = "(a secret)" if name in SECRETS else repr(value)
            what = str(error).split(" - at")[0]
            raise Usage(f"{PREFIX}{name.upper()}={shown}: {what} (docs/settings.md)") from error
    return msgspec.convert(given, Settings, strict=False, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    """A path; msgspec asks for types that it does not know."""
    return kind(value)
