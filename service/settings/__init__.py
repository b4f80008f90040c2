"""The settings: one table of every ROUNDTRIP_* name, read once at start."""

from service.settings.environment import read
from service.settings.table import PORTS, PREFIX, Settings, names

__all__ = ["PORTS", "PREFIX", "Settings", "names", "read"]
