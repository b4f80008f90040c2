"""All that one batch, or one piece of expiry, changes in a partition's state."""

from collections.abc import Iterable

import msgspec

from service.kafka import Outgoing
from streams.state import layout
from streams.state.bundles import Bundle
from streams.state.layout import Emitted, Expired, Header, Position, Stored


class Changes(msgspec.Struct):
    """What is written whole or not at all, what is dropped first.

    facts: each new one. held: key and value of visits that are kept with a bundle.
    outbox: what is then to be sent, in this order.
    resumed, waiting: what no longer waits for a catalog version, then what waits from now on.
    times: (occurred_ms, bundle) of statements under shared identifiers.
    unborn, births: (born_ms, bundle) that is no longer so, then that is so from now on.
    dropped: family and key. expired: how far expiry has come by it.
    """

    facts: list[Stored] = []
    held: list[tuple[bytes, bytes]] = []
    headers: dict[Bundle, Header] = {}
    cases: dict[tuple[Bundle, int], Emitted] = {}
    notices: dict[tuple[Bundle, str], bytes] = {}
    times: list[tuple[int, Bundle]] = []
    unborn: list[tuple[int, Bundle]] = []
    births: list[tuple[int, Bundle]] = []
    resumed: list[tuple[int, Bundle]] = []
    waiting: list[tuple[int, Bundle]] = []
    positions: dict[str, Position] = {}
    outbox: list[Outgoing] = []
    dropped: list[tuple[str, bytes]] = []
    expired: Expired | None = None

    def note_birth(self, bundle: Bundle, before: Header, now: Header) -> None:
        """The bundle is found by when it was born as its header says now, and no longer as it said before."""
        if now.born_ms != before.born_ms:
            self.unborn += [(before.born_ms, bundle)] if before.born_ms else []
            self.births.append((now.born_ms, bundle))


def keys_out(changes: Changes) -> Iterable[tuple[str, bytes]]:
    """Family and key of each entry that goes."""
    yield from changes.dropped
    yield from (("waiting", layout.numbered_key(*each)) for each in changes.resumed)
    yield from (("births", layout.numbered_key(*each)) for each in changes.unborn)


def entries_in(changes: Changes) -> Iterable[tuple[str, bytes, bytes]]:
    """Family, key and value of each entry that comes, but for facts, positions and the outbox."""
    for key, value in changes.held:
        yield "facts", key, value
    for bundle, header in changes.headers.items():
        yield "headers", layout.header_key(bundle), layout.pack(header)
    for case, emitted in changes.cases.items():
        yield "cases", layout.case_key(*case), layout.pack(emitted)
    for notice, value in changes.notices.items():
        yield "notices", layout.notice_key(*notice), value
    for occurred_ms, bundle in changes.times:
        yield "times", layout.time_key(bundle, occurred_ms), b""
    for each in changes.births:
        yield "births", layout.numbered_key(*each), b""
    for each in changes.waiting:
        yield "waiting", layout.numbered_key(*each), b""
