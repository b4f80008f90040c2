"""Rule 1 for a person's identifier: what each click brought, and what comes too late to correct it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from proof.expected.identity import CORRECTED_MS, Group
from proof.expected.words import Heard, Statement


def in_time(said: Sequence[Statement]) -> list[Statement]:
    """What was received while there was something to correct."""
    born_ms = min((one.received_ms for one in said), default=0)
    return [one for one in said if one.received_ms <= born_ms + CORRECTED_MS]


class Share(NamedTuple):
    """What one click brought. undone: what the network created and released, to be shown with it."""

    said: list[Heard]
    undone: list[Heard]


def by_click(said: Sequence[Heard], undone: Iterable[Heard]) -> tuple[list[Share], list[Heard]]:
    """What belongs to each click, and what could mean several."""
    reports = [one for one in said if one.is_report]
    waiting = _waiting(reports)
    shares: dict[str, list[Heard]] = {}
    for one in reports:
        first = _first(_in_time(_same_number(one, reports)))
        shares.setdefault(first.visit.receipt if first.visit else waiting[first.said.receipt], []).append(one)
    of_reports = [Share([*share], []) for share in shares.values()]
    found = [Share([*share], []) for share in shares.values()]
    alone = []
    for word in (one for one in said if not one.is_report):
        meant = _meant(of_reports, word)
        if len(meant) == 1:
            found[meant[0]].said.append(word)
        elif meant:
            alone.append(word)
    for one in undone:
        meant = _meant(of_reports, one)
        if len(meant) == 1 and one.said.received_ms <= _born_ms(of_reports[meant[0]].said) + CORRECTED_MS:
            found[meant[0]].undone.append(one)
    return [Share(_in_time(share.said), share.undone) for share in found], alone


def _same_number(one: Heard, reports: Iterable[Heard]) -> list[Heard]:
    """A number's click is that of its first report; what has none has its own."""
    return [two for two in reports if two.said.number == one.said.number] if one.said.number else [one]


def _waiting(reports: Iterable[Heard]) -> dict[str, str]:
    """What no click is known of waits with the first such, as long as that can be corrected: by receipt."""
    found: dict[str, str] = {}
    first: Heard | None = None
    for one in sorted(reports, key=lambda one: one.age):
        if one.visit is None:
            if first is None or one.said.received_ms > first.said.received_ms + CORRECTED_MS:
                first = one
            found[one.said.receipt] = first.said.receipt
    return found


def _meant(shares: Sequence[Share], word: Heard) -> list[int]:
    """Which click's conversions the network means, by their places."""
    every = range(len(shares))
    if word.said.number:
        return [i for i in every if word.said.number in {one.said.number for one in shares[i].said}]
    if len(shares) == 1:
        return [0]
    live = [i for i in every if word.said.received_ms <= _born_ms(shares[i].said) + CORRECTED_MS]
    return live if len(live) == 1 else [i for i in live if _first(shares[i].said).age < word.age]


def _first(share: Iterable[Heard]) -> Heard:
    """What began it: with permission, if anything has it."""
    return min((one for one in share if one.is_report), key=lambda one: (bool(one.forbidden), one.age))


def _in_time(share: list[Heard]) -> list[Heard]:
    last_ms = _born_ms(share) + CORRECTED_MS
    return [one for one in share if one.said.received_ms <= last_ms]


def _born_ms(share: Iterable[Heard]) -> int:
    return min(one.said.received_ms for one in share if one.is_report)


def keep_in_time(groups: Iterable[Group]) -> None:
    """Where each conversion of a repeating goal is corrected by itself: none has what is too late for it."""
    for group in groups:
        last_ms = min(one.said.received_ms for one in group.said) + CORRECTED_MS
        if not group.ambiguous:
            last_ms = group.began[0] + CORRECTED_MS
        group.said = [one for one in group.said if one.said.received_ms <= last_ms]
        group.beside = [one for one in group.beside if one.said.received_ms <= last_ms]
