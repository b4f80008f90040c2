"""What joining costs: CPU, memory with millions of transactions, a hot key, the return of a lost state.

`python -m proof.joining [cost|memory|restore|hot ...]` starts a Kafka of its own, writes real facts straight
to its topics, and lets the real joiner at them. It prints figures; what they must be, a person says.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.kafka_server import KafkaServer
from deploy.terminal import say
from proof import joiner_costs
from proof.bulk import Bulk
from proof.costs import cost
from proof.histories import catalogs
from proof.joiner_costs import MEGABYTE, READY_S, Meter, Spent, peak, resident, running, shown, wait_caught_up
from proof.joiner_stack import Joiner, JoinerStack
from service.kafka import Outgoing

SALES: Final = 0.05  # conversions among clicks
NEAR: Final = 10_000  # a sale comes so many clicks after its own click
PEERS: Final = {
    "faust": "stock Faust, an agent that does nothing",
    "aiokafka": "aiokafka, getmany alone",
}


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is played: the command's options."""

    partitions: int
    facts: int
    peers: int
    transactions: int
    live_s: int
    rate: int
    backlog: int
    hot: int
    others: int
    sales: int


class Bench:
    """A Kafka, and installations on it, one after another."""

    def __init__(self, kafka: KafkaServer, directory: Path, sizes: Sizes) -> None:
        self._kafka = kafka
        self._directory = directory
        self.sizes = sizes
        self._loaded: tuple[JoinerStack, Bulk] | None = None
        self.start_s = 0.0

    def installed(self, name: str) -> JoinerStack:
        """An installation without facts."""
        partitions = self.sizes.partitions
        stack = JoinerStack(self._kafka, self._directory / name, prefix=f"{name}-", partitions=partitions)
        stack.install(catalogs())
        self.start_s = self.start_s or joiner_costs.start_cost(stack)
        return stack

    def bulk(self, transactions: int) -> Bulk:
        """Facts that end now."""
        return Bulk(transactions, time.time_ns() // 1_000_000)

    def read(self, stack: JoinerStack, joiner: Joiner, facts: int, label: str) -> Spent:
        """What the joiner, just started, took to read all that was there before; its start is left out."""
        meter = Meter(joiner, self.start_s)
        wait_caught_up(stack, joiner, label)
        return meter.spent(facts)

    def loaded(self) -> tuple[JoinerStack, Bulk]:
        """An installation whose joiner had all transactions in its state, and stopped in order; made once."""
        if self._loaded is None:
            count = self.sizes.transactions
            stack, bulk = self.installed("loaded"), self.bulk(count)
            with running(stack.joiner()) as joiner:
                meter = Meter(joiner, self.start_s)
                records = stack.produce(shown("transactions", count, with_sales(bulk, count)))
                wait_caught_up(stack, joiner, "joined")
                say(f"{count} transactions through Kafka: {meter.spent(records)}")
            self._loaded = stack, bulk
        return self._loaded


def with_sales(bulk: Bulk, count: int) -> Iterator[Outgoing]:
    """Clicks, and now and then an order on one that is not long ago."""
    every = round(1 / SALES)
    for number, click in enumerate(bulk.clicks(0, count)):
        yield click
        if number % every == 0:
            yield bulk.sale(max(0, number - NEAR))


def measure_cost(bench: Bench) -> None:
    """Facts a CPU-second: clicks only, clicks and conversions, and others on the same topic."""
    count = bench.sizes.facts
    bulk = bench.bulk(count)
    clicks, mixed = bench.installed("clicks"), bench.installed("mixed")
    clicks.produce(shown("clicks", count, bulk.clicks(0, count)))
    with running(clicks.joiner()) as joiner:
        alone = bench.read(clicks, joiner, count, "clicks")
    say(f"clicks only: {alone}")
    records = mixed.produce(shown("clicks and conversions", count, with_sales(bulk, count)))
    with running(mixed.joiner()) as joiner:
        say(f"clicks and {SALES:.0%} conversions: {bench.read(mixed, joiner, records, 'mixed')}")
    for name, about in PEERS.items():
        found = joiner_costs.peer(name, clicks, min(bench.sizes.peers, count))
        rate = found.records / found.cpu_s
        say(f"{about}: {rate:.0f} records a CPU-second; the joiner on clicks: {alone.rate / rate:.2f} of it")


def measure_memory(bench: Bench) -> None:
    """Resident memory with so many transactions in the state, and while orders come on any of them."""
    sizes = bench.sizes
    stack, bulk = bench.loaded()
    with running(stack.joiner()) as joiner:
        joiner.wait_ready(READY_S)
        held = joiner_costs.size(joiner.directory)
        say(
            f"{sizes.transactions} transactions, {sizes.partitions} partitions, started again:"
            f" {resident(joiner) / MEGABYTE:.0f} MB, {held / MEGABYTE:.0f} MB on disk,"
            f" {held / sizes.transactions:.0f} bytes a transaction"
        )
        meter, facts = Meter(joiner), 0
        for second in range(sizes.live_s):
            began_s = time.monotonic()
            facts += stack.produce(_live(bulk, sizes, sizes.rate, second * sizes.rate))
            time.sleep(max(0.0, 1 - (time.monotonic() - began_s)))
        wait_caught_up(stack, joiner, "live")
        say(
            f"under live load: {meter.spent(facts)}, afterwards {resident(joiner) / MEGABYTE:.0f} MB,"
            f" {joiner_costs.size(joiner.directory) / MEGABYTE:.0f} MB on disk"
        )
    stack.produce(_live(bulk, sizes, sizes.backlog, sizes.live_s * sizes.rate))
    with running(stack.joiner()) as joiner:
        meter = Meter(joiner, bench.start_s)
        wait_caught_up(stack, joiner, "backlog")
        say(f"a backlog after a stop: {meter.spent(sizes.backlog)}")


def _live(bulk: Bulk, sizes: Sizes, count: int, before: int) -> Iterator[Outgoing]:
    """So many facts, after those before: new clicks, and orders on any transaction there ever was."""
    start = sizes.transactions + before
    sales = round(count * SALES)
    yield from bulk.clicks(start, start + count - sales)
    for _ in range(sales):
        yield bulk.sale(random.randrange(sizes.transactions))


def measure_restore(bench: Bench) -> None:
    """How long it takes until a joiner whose state was lost has it again."""
    stack, _ = bench.loaded()
    records = sum(stack.ends().values())
    said = sum(stack.ends(("conversions",)).values())
    joiner = stack.joiner()
    joiner.forget()
    began_s = time.monotonic()
    with running(joiner):
        joiner.wait_ready(READY_S)
        wait_caught_up(stack, joiner, "restored")
        took_s, cpu_s = time.monotonic() - began_s, cost([joiner.pid]).cpu_s
        again = sum(stack.ends(("conversions",)).values()) - said
        say(
            f"a lost state of {records} facts and {said} cases, {bench.sizes.partitions} partitions:"
            f" {took_s:.1f} s until ready, {cpu_s:.1f} CPU-seconds, {records / took_s:.0f} facts a second,"
            f" {again} cases sent, at most {peak(joiner) / MEGABYTE:.0f} MB"
        )


def measure_hot(bench: Bench) -> None:
    """Millions of clicks under one affiliate identifier, against as many with one each."""
    sizes = bench.sizes
    whole = sizes.hot + sizes.others
    even = _flood(bench, "even", lambda bulk: bulk.clicks(0, whole))
    hot = _flood(bench, "hot", lambda bulk: _mixed(bulk, sizes))
    say(
        f"hot against even: {hot.rate / even.rate:.2f} of the facts a CPU-second,"
        f" {even.seconds / hot.seconds:.2f} of those a second"
    )


def _flood(bench: Bench, name: str, clicks: Callable[[Bulk], Iterable[Outgoing]]) -> Spent:
    sizes = bench.sizes
    whole = sizes.hot + sizes.others
    stack, bulk = bench.installed(name), bench.bulk(whole)
    stack.produce(shown(name, whole, clicks(bulk)))
    with running(stack.joiner()) as joiner:
        spent = bench.read(stack, joiner, whole, name)
        say(f"{name}: {spent}")
        every = round(whole / sizes.others)
        numbers = [number * sizes.others // sizes.sales * every for number in range(sizes.sales)]
        told = f"ordinary {_conversion(stack, joiner, map(bulk.sale, numbers)):.0f} us"
        if name == "hot":
            told += f", hot {_conversion(stack, joiner, map(bulk.hot_sale, numbers)):.0f} us"
        say(f"{name}: CPU of a conversion: {told}; at most {peak(joiner) / MEGABYTE:.0f} MB")
    return spent


def _mixed(bulk: Bulk, sizes: Sizes) -> Iterator[Outgoing]:
    """The hot clicks evenly among the others, all in the order of their times, as they come in life."""
    every = round((sizes.hot + sizes.others) / sizes.others)
    for number in range(sizes.hot + sizes.others):
        clicks = bulk.hot_clicks if number % every else bulk.clicks
        yield from clicks(number, number + 1)


def _conversion(stack: JoinerStack, joiner: Joiner, sales: Iterable[Outgoing]) -> float:
    """Microseconds of CPU for each of these orders."""
    before_s = cost([joiner.pid]).cpu_s
    count = stack.produce(sales)
    wait_caught_up(stack, joiner, "conversions")
    return (cost([joiner.pid]).cpu_s - before_s) / count * 1e6


PARTS: Final = {
    "cost": measure_cost,
    "memory": measure_memory,
    "restore": measure_restore,
    "hot": measure_hot,
}
OPTIONS: Final = {
    "partitions": (8, "of each topic"),
    "facts": (1_000_000, "of `cost`"),
    "peers": (200_000, "records that the others of `cost` read"),
    "transactions": (1_000_000, "of `memory` and `restore`"),
    "live_s": (30, "seconds of live load of `memory`"),
    "rate": (2_000, "facts a second of that load"),
    "backlog": (250_000, "facts that `memory` reads after a stop"),
    "hot": (2_000_000, "clicks of the hot affiliate of `hot`"),
    "others": (1_000_000, "other clicks of `hot`"),
    "sales": (10_000, "conversions that `hot` measures"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0; the figures are on standard output."""
    parser = argparse.ArgumentParser(prog="python -m proof.joining", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    for name, (default, about) in OPTIONS.items():
        told = f"{about} ({default:,})".replace(",", " ")
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, metavar="N", help=told)
    args = vars(parser.parse_args(arguments))
    parts = args.pop("parts")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    say(f"load of the machine: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="roundtrip-joining-") as temporary:
        directory = Path(temporary)
        with KafkaServer(directory / "kafka") as kafka:
            bench = Bench(kafka, directory, Sizes(**args))
            for part in parts or PARTS:
                PARTS[part](bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
