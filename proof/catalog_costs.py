"""What a catalog of ten thousand offers costs: to check, to publish, to keep, and a click and a sale by it.

`python -m proof.catalog_costs [check|versions|edge|stack ...]` prints the figures; each part has a process of
its own, for the memory that it takes. Without a part: all of them.
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from console.catalog_log import KafkaLog
from deploy.terminal import say
from ingest import observation, visit
from ingest.caller import Proxies
from ingest.parameters import Pair
from ingest.plan import Plan
from ingest.proving import Proofs
from ingest.receipts import Receipt
from ingest.request import Knowledge, Request
from proof import large_catalog
from proof.own_stack import OwnStack
from schemas import facts, transaction_id
from schemas.catalog import Catalog
from schemas.catalog_check import check
from schemas.catalog_reader import Reader
from schemas.catalog_versions import CatalogVersion, History, encode_version, record_key
from schemas.transaction_id import RANDOM_BYTES, Keyring

VERSIONS: Final = 50  # each changes one offer
REQUESTS: Final = 5_000
ROUNDS: Final = 5  # of which the best counts: the machine may have other work
KEYS: Final = Keyring({1: b"\0" * 32}, 1)
APPLIED_AT: Final = "2026-11-23T00:00:00.000Z"
NOW_MS: Final = 1_795_000_000_000
RECEIPT: Final = Receipt("0" * 23 + "-1", None)
BROWSER: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"


@contextmanager
def timed(what: str, more: Callable[[], str] = lambda: "") -> Iterator[None]:
    """How long it took, and what else there is to say of it."""
    began_s = time.perf_counter()
    yield
    say(f"{what}: {(time.perf_counter() - began_s) * 1000:.0f} ms{more()}")


def resident() -> str:
    """The process's memory now."""
    return f", {psutil.Process().memory_info().rss / 1_000_000:.0f} MB resident"


def checking(offers: int) -> None:
    """A file that is well, and one with an error in each offer."""
    text = large_catalog.written(offers)
    say(f"the file: {len(text) / 1_000_000:.1f} MB, {text.count(chr(10))} lines")
    with timed("checked", resident):
        assert check(text)[0]  # noqa: S101  the file is ours
    with timed("checked, an error in each offer", resident):
        assert len(check(text.replace('currency = "USD"', 'currency = "USX"'))[1]) == offers  # noqa: S101  as said


def versions(offers: int) -> None:
    """What a service takes to read and keep the history."""
    values = [value(offers, number) for number in range(1, 3)]
    say(f"a version in the topic: {len(values[0]) / 1_000_000:.1f} MB")
    history, reader = History(), Reader()
    for number, read in ((1, values[0]), (2, values[1])):
        with timed(f"version {number} read and kept", resident):
            history.add(reader.read(read))
    with timed(f"{VERSIONS} versions read and kept", resident):
        for number in range(3, VERSIONS + 1):
            history.add(reader.read(_renamed(values[0], number)))


def value(offers: int, number: int) -> bytes:
    """A version as its record has it; each has another offer's name changed."""
    catalog, _ = check(large_catalog.written(offers))
    assert catalog is not None  # noqa: S101  the file is ours
    version = CatalogVersion(version=1, applied_at=APPLIED_AT, applied_by="", catalog=catalog)
    return _renamed(encode_version(version), number)


def _renamed(first: bytes, number: int) -> bytes:
    changed = first.replace(b'"Offer %d"' % number, b'"Offer %d, renamed"' % number, 1)
    return changed.replace(b'"version":1,', b'"version":%d,' % number, 1)


def edge(offers: int) -> None:
    """A click and a sale from request to the fact's bytes, by a small and by the large catalog."""
    for count in (10, offers):
        known = knowing(Reader().read(value(count, 1)).catalog)
        name = f"{count} offers"
        _say_cost(f"{name}, a click", known, _clicks(count))
        _say_cost(f"{name}, a postback", known, _postbacks({}))
        _say_cost(f"{name}, with its token", known, _postbacks({"security_token": large_catalog.TOKEN}))
        _say_cost(f"{name}, with a made-up token", known, _postbacks({"security_token": "made up {}"}))


def knowing(catalog: Catalog) -> Knowledge:
    """What an edge knows by this catalog."""
    version = CatalogVersion(version=1, applied_at="", applied_by="", catalog=catalog)
    return Knowledge(edge="edge", catalog=version, keyring=KEYS, proofs=Proofs(catalog, lambda _: None))


def _clicks(offers: int) -> list[list[Pair]]:
    chance = random.Random(1)
    return [
        [
            ("offer_id", str(chance.randint(1, offers))),
            ("aff_id", str(chance.randint(1, large_catalog.AFFILIATES))),
            ("aff_sub", f"s{n}"),
            ("aff_click_id", f"c{n}"),
        ]
        for n in range(REQUESTS)
    ]


def _postbacks(more: dict[str, str]) -> list[list[Pair]]:
    ids = [transaction_id.make(KEYS, NOW_MS, n.to_bytes(RANDOM_BYTES, "big")) for n in range(REQUESTS)]
    owner = [1 + n % large_catalog.ADVERTISERS for n in range(REQUESTS)]
    return [
        [
            ("transaction_id", each),
            ("amount", "12.50"),
            ("currency", "EUR"),
            ("order_id", f"o{n}"),
            *((name, text.format(owner[n])) for name, text in more.items()),
        ]
        for n, each in enumerate(ids)
    ]


def _say_cost(what: str, known: Knowledge, all_pairs: list[list[Pair]]) -> None:
    caller = Proxies(()).caller("198.51.100.7", {"User-Agent": BROWSER}, secure=True)
    requests = [
        Request(pairs=pairs, host="edge", caller=caller, cookies=[], received_ms=NOW_MS)
        for pairs in all_pairs
    ]

    def planned(request: Request) -> Plan:
        if request.pairs[0][0] == "transaction_id":
            return observation.observe(request, known, "postback")
        return visit.click(request, known, b"\0" * RANDOM_BYTES)

    best_s = 9.0
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        for request in requests:
            build = planned(request).build
            assert build is not None  # noqa: S101  each is a fact
            facts.encode(build(RECEIPT))
        best_s = min(best_s, (time.perf_counter() - began_s) / len(requests))
    say(f"{what}: {best_s * 1_000_000:.1f} us")


def stack(offers: int) -> None:
    """The commands on a stack of its own, and what each process takes."""
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-catalog-"))
    first, second = directory / "first.toml", directory / "second.toml"
    first.write_text(large_catalog.written(offers))
    second.write_text(large_catalog.written(offers, paused=1))
    try:
        with OwnStack(directory / "state", first) as running:
            say(next(line for line in running.output().splitlines() if line.startswith("ready")))
            for words in (["apply", str(second), "--yes"], ["apply", str(second), "--yes"], ["show"]):
                _run(running, words)
            _say_memory(running)
            log, began = KafkaLog(running.settings), value(offers, 1)
            for number in range(3, VERSIONS + 1):
                log.append([(record_key(number), _renamed(began, number))])
            say(f"{VERSIONS} versions:")
            for words in (["apply", str(second), "--yes"], ["show"], ["history"]):
                _run(running, words)
            _say_memory(running)
        with timed("started again"), OwnStack(directory / "state") as running:
            _say_memory(running)
    finally:
        shutil.rmtree(directory)


def _run(stack: OwnStack, words: Sequence[str]) -> None:
    command = [sys.executable, "-m", "roundtrip", "catalog", *words, "--dir", str(stack.directory)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with timed(f"catalog {words[0]}"):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  ourselves
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    say(f"  of the processor: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} s")


def _say_memory(stack: OwnStack) -> None:
    found = {
        name: sum(psutil.Process(pid).memory_info().rss for pid in pids)
        for name, pids in stack.addresses.processes.items()
        if name in ("collector", "joiner")
    }
    say(", ".join(f"{name} {taken / 1_000_000:.0f} MB" for name, taken in found.items()))


PARTS: Final = {"check": checking, "versions": versions, "edge": edge, "stack": stack}


def main() -> int:
    """The figures on standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m proof.catalog_costs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--offers", type=int, default=large_catalog.OFFERS, metavar="N", help="(10 000)")
    args = parser.parse_args()
    if unknown := set(args.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if len(args.parts) == 1:
        PARTS[args.parts[0]](args.offers)
        return 0
    for part in args.parts or PARTS:
        words = ["-m", "proof.catalog_costs", part, "--offers", str(args.offers)]
        subprocess.run([sys.executable, *words], check=True)  # noqa: S603  ourselves
    return 0


if __name__ == "__main__":
    sys.exit(main())
