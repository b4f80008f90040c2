"""Where a record belongs: by the same rule as Kafka's own clients."""

import random

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from service.kafka import Record
from streams.batch.placement import partitions_of, sorted_out


@given(
    st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32)), st.sampled_from([1, 4, 64, 97])
)
def test_every_key_has_the_partition_that_kafkas_clients_give_it(keys: list[bytes], count: int) -> None:
    assert partitions_of(keys, count) == [(murmur2(key) & 0x7FFFFFFF) % count for key in keys]


def test_so_have_many_ids_at_once() -> None:
    chance = random.Random(7)
    keys = [chance.randbytes(chance.choice((32, 32, 32, 31))) for _ in range(4_000)]
    assert partitions_of(keys, 64) == [(murmur2(key) & 0x7FFFFFFF) % 64 for key in keys]


def test_what_lies_elsewhere_is_told_from_what_lies_right() -> None:
    key = b"06cv0000000000000000000000000000"
    home = murmur2(key) % 4
    right, wrong = (Record("clicks", number, 7, 0, key, b"") for number in (home, (home + 1) % 4))
    assert sorted_out([wrong, right], 4) == ([right], [wrong])
    assert sorted_out([], 4) == ([], [])


def test_a_case_lies_where_its_transaction_does_whatever_its_goal_and_number() -> None:
    key = b"06cv0000000000000000000000000000"
    home = murmur2(key) % 4
    given = [
        Record("conversions", home, 7, 0, key + rest, b"") for rest in (b":0", b":7", b":7:A-1", b":8:B")
    ]
    assert sorted_out(given, 4) == (given, [])
