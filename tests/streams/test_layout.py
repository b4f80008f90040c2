"""Keys and values of the state are read back; what is none fails in a way that is told as damage."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state import damage, layout
from streams.state.bundles import Bundle
from streams.state.layout import Emitted, Expired, Header, Position

IDS = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=1, max_size=32)
BUNDLES = st.builds(Bundle, IDS, st.sampled_from([b"", b"\xff" * 16, bytes(16), bytes(range(240, 256))]))
MOMENTS = st.integers(-(1 << 62), 1 << 62)

READERS = (
    *(layout.split_fact, layout.split_seen, layout.split_time, layout.split_numbered),
    *(layout.visit_ms_of, layout.split_case, layout.to_number),
    *(layout.unpack_position, layout.unpack_expired, layout.unpack_header, layout.unpack_emitted),
)
WRITTEN = (
    layout.time_key(Bundle("a" * 32, b"\xff" * 16), 1_795_435_200_000),
    layout.numbered_key(1_795_435_200_000, Bundle("a" * 32, b"\xff" * 16)),
    layout.visit_key("t" * 32, layout.CLICK, -1, "0000000000000000000test-7"),
    layout.pack(Position(7, "cluster:topic", 1_795_435_200_000)),
    layout.pack(Header(3, 2, -1, 1_795_435_200_000)),
    layout.pack(Expired(1_795_435_200_000, b"\xff" * 9)),
    layout.pack(Emitted(1 << 32, b"\xff" * 16, b'{"transaction_id":"t"}')),
)


@given(BUNDLES, MOMENTS)
def test_a_bundle_and_its_moment_are_read_back_from_their_keys(bundle: Bundle, at_ms: int) -> None:
    assert layout.split_time(layout.time_key(bundle, at_ms)) == (at_ms, bundle)
    assert layout.split_numbered(layout.numbered_key(at_ms, bundle)) == (at_ms, bundle)
    assert layout.visit_ms_of(layout.visit_key(bundle.transaction_id, layout.CLICK, at_ms, "r-1")) == at_ms
    assert layout.split_case(layout.case_key(bundle, at_ms)) == (bundle, at_ms)


@given(BUNDLES, MOMENTS)
def test_no_key_of_a_bundle_lies_beyond_the_end_of_its_start(bundle: Bundle, at_ms: int) -> None:
    """Also where a part is nothing but 0xff, or a number ends with it."""
    for start, key in (
        (layout.header_key(bundle), layout.case_key(bundle, at_ms)),
        (
            layout.statements_start(bundle),
            layout.statements_start(bundle) + layout.number(at_ms) + b"r-1",
        ),
        (layout.prefix(bundle.transaction_id), layout.time_key(bundle, at_ms)),
    ):
        assert start <= key < layout.end_of(start)


@pytest.mark.parametrize("reader", READERS, ids=lambda each: getattr(each, "__qualname__", str(each)))
@given(st.binary(max_size=80), st.sampled_from(WRITTEN), st.integers(0, 90), st.integers(0, 90))
def test_foreign_and_cut_bytes_are_told_as_a_damaged_state(
    reader: Callable[[bytes], Any], foreign: bytes, written: bytes, at: int, end: int
) -> None:
    for value in (foreign, written[:end], written[:at] + foreign + written[at + 1 :]):
        with contextlib.suppress(*damage._ODD_VALUES):
            reader(value)
