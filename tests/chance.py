"""How often chance is tried: in full by `make test`, in part by `make check`, which is to end in a minute."""

from typing import Final

from hypothesis import HealthCheck, settings

_ANY: Final = "any machine"  # how quick one is decides no test
FIXTURE: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""What a test suppresses whose tries share its fixtures: a list of its own would take the place of ours."""
_USUAL: Final = settings.get_profile("default").max_examples


def register() -> None:
    """Every test runs in full, unless pytest is told `--hypothesis-profile quick`."""
    settings.register_profile(_ANY, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("quick", settings.get_profile(_ANY), max_examples=_USUAL // 4)
    settings.load_profile(_ANY)


def tries(full: int) -> int:
    """Of so many the share that this run takes."""
    return full * settings().max_examples // _USUAL
