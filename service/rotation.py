"""Rotation: what may be done to the keys, and when, so that no ID that is alive is ever refused.

1. A key is added: it verifies, and signs nothing.
2. Once it verifies on every edge it may sign: an edge that does not know it would refuse what it signed.
3. It goes on verifying for as long as an ID that it signed may come back: a click's window, the correction
   window after its conversion, and the allowance for late arrivals. After that it may be retired.
4. A number is never given twice.
"""

from datetime import timedelta
from typing import Final

import msgspec

from schemas import times, topics
from service.errors import No
from service.keys import Key, KeyFile

NUMBERS: Final = 256  # an ID has eight bits for it
# Processes notice a changed file within 2 s. The rest is for whoever copies it to other edges by a program.
SIGNS_AFTER_S: Final = 10
ALIVE_DAYS: Final = topics.CLICK_WINDOW_DAYS + topics.CORRECTION_WINDOW_DAYS + topics.LATENESS_DAYS


def added(file: KeyFile, secret: str, now_ms: int) -> tuple[KeyFile, int]:
    """The file with one key more, and its number. It only verifies, unless it is the very first."""
    given = {key.number for key in file.keys} | set(file.retired)
    free = [*range(max(given, default=0) + 1, NUMBERS), *(n for n in range(NUMBERS) if n not in given)]
    if not free:
        raise No(f"all {NUMBERS} key numbers have been given")
    key = Key(number=free[0], secret=secret, signs=not file.keys, added=times.from_ms(now_ms))
    return msgspec.structs.replace(file, keys=(*file.keys, key)), key.number


def with_identifiers(file: KeyFile, secret: str) -> KeyFile:
    """The file with a secret for derived identifiers; the one that it has stays for good."""
    return file if file.identifiers else msgspec.structs.replace(file, identifiers=secret)


def signing(file: KeyFile, number: int, now_ms: int, written_ms: int, *, at_once: bool = False) -> KeyFile:
    """The file in which this key signs instead of the one that did.

    written_ms: when the file was written last; that long at least a key without a time is in it.
    """
    key = _key(file, number)
    if key.signs:
        raise No(f"key {number} signs already")
    age_s = (now_ms - (times.to_ms(key.added) if key.added else written_ms)) / 1000
    if age_s < SIGNS_AFTER_S and not at_once:
        raise No(
            f"key {number} was added {age_s:.0f} s ago: an edge that lacks it as yet would refuse its IDs."
            f" Wait until it verifies on every edge, {SIGNS_AFTER_S} s at least; --now says that it does"
        )
    now = times.from_ms(now_ms)
    return msgspec.structs.replace(file, keys=tuple(_signing(each, number, now) for each in file.keys))


def _signing(key: Key, number: int, now: str) -> Key:
    if key.number == number:
        return msgspec.structs.replace(key, signs=True, signed_until="")
    return msgspec.structs.replace(key, signs=False, signed_until=now) if key.signs else key


def retired(file: KeyFile, number: int, now_ms: int, *, force: bool = False) -> KeyFile:
    """The file without the key: no edge knows the IDs that it signed any more."""
    key = _key(file, number)
    if key.signs:
        raise No(f"key {number} signs; let another one sign first: roundtrip keys sign N")
    if not force and (why := _alive(file, key, now_ms)):
        raise No(f"{why}; --force retires key {number}, and no edge knows them any more")
    kept = tuple(each for each in file.keys if each is not key)
    return msgspec.structs.replace(file, keys=kept, retired=(*file.retired, number))


def retirable(file: KeyFile, key: Key) -> str:
    """From when on the key may be retired, as text; empty where it signs, or did until nobody knows when."""
    if key.signed_until:
        window = timedelta(days=ALIVE_DAYS) // timedelta(milliseconds=1)
        return times.from_ms(times.to_ms(key.signed_until) + window)
    signing = next((each.number for each in file.keys if each.signs), NUMBERS)
    return key.added if key.number > signing else ""  # added after the one that signs: it never did


def _alive(file: KeyFile, key: Key, now_ms: int) -> str:
    """Why IDs that the key signed may come back; empty where none can."""
    until = retirable(file, key)
    if not until:
        return f"until when key {key.number} signed is not known: IDs of it may come back"
    if now_ms >= times.to_ms(until):
        return ""
    return (
        f"IDs of key {key.number} may come back until {until}: it signed until {key.signed_until}, and the"
        f" windows after that are {ALIVE_DAYS} days"
    )


def _key(file: KeyFile, number: int) -> Key:
    for key in file.keys:
        if key.number == number:
            return key
    there = ", ".join(str(key.number) for key in file.keys)
    was = f"key {number} was retired" if number in file.retired else f"there is no key {number}"
    raise No(f"{was}; there are {there or 'none'}")
