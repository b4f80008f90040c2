"""A frame gives back exactly what was put in, or nothing: cut, flipped or lied about anywhere."""

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.journal import frames
from ingest.journal.frames import MAX_BYTES, NUMBERS, TOPICS, Entry
from schemas import topics
from schemas.facts import MAX_RECORD_BYTES
from tests.ingest.journal.samples import entry

ENTRIES = st.builds(
    Entry,
    topic=st.sampled_from(TOPICS[1:]),
    sequence=st.integers(1, 2**48 - 1),
    at_ms=st.integers(0, 2**48 - 1),
    key=st.binary(max_size=64),
    value=st.binary(max_size=300),
)
RUNS = st.lists(ENTRIES, max_size=5).map(lambda run: [e._replace(sequence=n) for n, e in enumerate(run, 1)])


def test_every_fact_topic_has_a_number_for_ever() -> None:
    assert dict(NUMBERS) == {
        "": 0,
        "clicks": 1,
        "impressions": 2,
        "pixels": 3,
        "postbacks": 4,
        "adjustments": 5,
    }
    assert set(topics.FACTS) <= set(NUMBERS)


@given(RUNS)
def test_what_is_written_is_read(run: list[Entry]) -> None:
    data = b"".join(map(frames.encode, run))
    assert frames.decode(data) == (run, len(data))


@given(RUNS.filter(bool), st.data())
def test_a_cut_gives_the_records_before_it(run: list[Entry], data: st.DataObject) -> None:
    whole = [frames.encode(each) for each in run]
    cut = data.draw(st.integers(0, sum(map(len, whole)) - 1))
    ends = [sum(map(len, whole[: n + 1])) for n in range(len(whole))]
    intact = sum(end <= cut for end in ends)
    assert frames.decode(b"".join(whole)[:cut]) == (run[:intact], sum(map(len, whole[:intact])))


def test_each_flipped_bit_is_noticed_and_the_others_are_still_there() -> None:
    run = [entry(1), entry(2), entry(3)]
    whole = [frames.encode(each) for each in run]
    begin, end = len(whole[0]), len(whole[0]) + len(whole[1])
    data = bytearray(b"".join(whole))
    for at in range(begin, end):
        for bit in range(8):
            data[at] ^= 1 << bit
            assert frames.decode(bytes(data)) == (run[:1], begin)
            assert frames.find(bytes(data[begin:]), 1) == len(whole[1])
            data[at] ^= 1 << bit


@given(ENTRIES, st.binary(max_size=2_000))
def test_a_good_record_is_found_behind_anything(one: Entry, rubbish: bytes) -> None:
    data = rubbish + frames.encode(one) + b"\0" * 9
    found = frames.find(data)
    assert 0 <= found <= len(rubbish)
    assert frames.decode(data[found:]).entries


def test_zeros_and_text_hold_no_record() -> None:
    assert frames.decode(bytes(1_000)) == ([], 0)
    assert frames.find(bytes(1_000_000)) == -1
    assert frames.find(b'{"kind":"click","receipt_id":"x","transaction_id":"y"}' * 20_000) == -1


def test_a_record_inside_a_value_is_no_record_of_ours_while_its_own_is_good() -> None:
    hidden = frames.encode(entry(9))
    run = [entry(1)._replace(value=hidden), entry(2)]
    data = b"".join(map(frames.encode, run))
    assert frames.decode(data) == (run, len(data))


def test_numbers_only_grow() -> None:
    one, two = frames.encode(entry(1)), frames.encode(entry(2))
    assert frames.decode(two + one) == ([entry(2)], len(two))
    assert frames.decode(one + one) == ([entry(1)], len(one))
    assert frames.decode(two, last=2) == ([], 0)
    assert frames.find(b"?" + one + two, last=1) == 1 + len(one)


@pytest.mark.parametrize("said", [0, 1, 18, MAX_BYTES, 2**31, 2**32 - 1])
def test_a_length_that_lies_costs_nothing(said: int) -> None:
    data = struct.pack("<I", said) + frames.encode(entry(1))[4:]
    tracemalloc.start()
    try:
        assert frames.decode(data) == ([], 0)
        assert frames.find(data) == -1
        assert frames.length(data) in (0, said + 8)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_largest_fact_fits_and_more_does_not() -> None:
    largest = entry(1)._replace(key=b"k" * 1_024, value=b"v" * MAX_RECORD_BYTES)
    assert frames.decode(frames.encode(largest)).entries == [largest]
    with pytest.raises(ValueError, match="bytes"):
        frames.encode(largest._replace(value=b"v" * (MAX_RECORD_BYTES + 1)))


@given(st.binary(min_size=27, max_size=300))
def test_a_sealed_body_comes_back_or_not_at_all(body: bytes) -> None:
    data = frames.seal(body)
    assert frames.unseal(data + b"more") == body
    assert frames.unseal(data[:-1]) is None
    for at in range(len(data)):
        assert frames.unseal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
