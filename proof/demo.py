"""The demo: a stack of its own, real traffic, the truth compared, and what people look at afterwards.

`python -m proof.demo [--clicks N] [--seed S]`, which `make demo` runs. Nothing is left behind.
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import msgspec

from deploy.ports import free_port
from proof import freshness, truth
from proof.affiliate import Affiliate
from proof.own_stack import READY_S, OwnStack
from proof.site import Seen
from schemas.catalog import Catalog, PartnerPostback
from schemas.catalog_check import check
from schemas.catalog_toml import dump
from service.clickhouse import ClickHouse
from service.errors import No, Problem

CATALOG = Path(__file__).with_name("catalog.toml")
CLICKS = 20_000
SUBSCRIBER, SUBSCRIBED_OFFER = 42, 7
CALL = "/cb?cid={aff_click_id}&conversion={conversion_id}&status={status}&sum={payout}"
CALLS_WITHIN_S = 120.0
PROBES = 10
INTERRUPTED = 130
APPROVED = """
SELECT conversion_id FROM conversions
WHERE status = 'approved' AND NOT test AND affiliate_id = {affiliate:UInt32} AND offer_id = {offer:UInt32}
ORDER BY length(observed_by) DESC, observations DESC, conversion_id
"""
REPORT = ("report", "offers", "--by", "offer,affiliate")


def main() -> int:
    """0 when everything came out as it must, else the exit code of what did not."""
    parser = argparse.ArgumentParser(prog="python -m proof.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=CLICKS, help=f"clicks to play (default: {CLICKS})")
    parser.add_argument("--seed", type=int, default=1, help="another seed plays another day (default: 1)")
    args = parser.parse_args()
    heed_signals()
    try:
        return _shown(args.clicks, args.seed)
    except KeyboardInterrupt:
        _say("interrupted; the stack has been stopped")
        return INTERRUPTED
    except Problem as problem:
        sys.stderr.write(f"demo: {problem}\n")
        return problem.exit_code


def heed_signals() -> None:
    """Ctrl-C and SIGTERM end it; a shell that starts it in the background has the first one ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """As Ctrl-C, which asyncio makes a cancellation of: an exception raised in its midst leaves children."""
    signal.raise_signal(signal.SIGINT)


def _shown(clicks: int, seed: int) -> int:
    began_s = time.monotonic()
    port = free_port()
    with _directory() as directory:
        catalog = directory / "catalog.toml"
        catalog.write_text(dump(_subscribed(port)), "utf-8")
        stack = OwnStack(directory / "state", catalog)
        _say(f"$ roundtrip up --dir {stack.directory} --port 0 --catalog {catalog}")
        try:
            stack.start(READY_S)
            _say(stack.output())
            asyncio.run(_Demo(stack, directory / "truth.jsonl", port).run(clicks, seed))
        finally:
            stack.stop()
    _say(f"The demo took {time.monotonic() - began_s:.0f} s. To keep one running: make up")
    return 0


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A fresh directory that is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="roundtrip-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _subscribed(port: int) -> Catalog:
    """The simulator's catalog, with an affiliate whose own tracker wants to be told."""
    catalog, complaints = check(CATALOG.read_text("utf-8"))
    if catalog is None:
        raise No(f"{CATALOG}: {complaints[0].reason}")
    wish = PartnerPostback(url=f"http://127.0.0.1:{port}{CALL}", offers=(SUBSCRIBED_OFFER,), id="demo")
    affiliates = tuple(
        msgspec.structs.replace(one, postbacks=(wish,)) if one.id == SUBSCRIBER else one
        for one in catalog.affiliates
    )
    return msgspec.structs.replace(catalog, affiliates=affiliates)


class _Demo:
    """What is shown of a running stack."""

    def __init__(self, stack: OwnStack, truth_file: Path, tracker_port: int) -> None:
        self._stack = stack
        self._truth = truth_file
        self._tracker_port = tracker_port
        self._clickhouse = ClickHouse(stack.settings)

    async def run(self, clicks: int, seed: int) -> None:
        """Everything was shown; the first part that fails ends it with a Problem."""
        async with Affiliate(self._tracker_port) as affiliate:
            await self._command(
                "simulate", "--clicks", str(clicks), "--seed", str(seed), "--truth", str(self._truth)
            )
            await self._command("verify", "--truth", str(self._truth), "--only")
            await self._command(*REPORT)
            approved = await self._approved()
            await self._told(affiliate, approved)
            await self._command("trace", approved[0])  # the one that was reported in most ways
            await self._command("lag")
            await self._fresh()

    async def _command(self, *words: str) -> None:
        """The command ran, for everybody to see, and said yes."""
        _say(f"\n$ roundtrip {' '.join(words)}")
        line = [sys.executable, "-m", "roundtrip", *words, "--dir", str(self._stack.directory)]
        process = await asyncio.create_subprocess_exec(*line)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if code:
            raise _Failed(f"roundtrip {words[0]} ended with {code}", code)

    async def _approved(self) -> list[str]:
        """What stands approved of the offer and affiliate whose tracker wants to be told."""
        whose = {"affiliate": SUBSCRIBER, "offer": SUBSCRIBED_OFFER}
        found = await asyncio.to_thread(self._clickhouse.query, APPROVED, whose)
        if not found.rows:
            raise No("no conversion was played; say a greater --clicks")
        return [str(row[0]) for row in found.rows]

    async def _fresh(self) -> None:
        sent = truth.read_sent(self._truth)
        assert sent is not None  # noqa: S101  simulate has just written it
        stored = await asyncio.to_thread(freshness.stored_age, self._clickhouse, sent.tag)
        offer = {
            "offer_id": str(SUBSCRIBED_OFFER),
            "aff_id": str(SUBSCRIBER),
            "aff_sub5": f"{sent.tag}-probe",
        }
        seen = await freshness.seen_age(self._stack.addresses.collector, self._clickhouse, offer, PROBES)
        _say("\nFrom a click to its row in ClickHouse:")
        _say(f"  under the load above, until it was stored:  {stored}")
        _say(f"  afterwards, until a query saw it:           {seen}")

    async def _told(self, affiliate: Affiliate, approved: list[str]) -> None:
        """The affiliate's tracker was told every approved conversion that it asked for, each once."""
        wanted = set(approved)
        with contextlib.suppress(TimeoutError):
            await affiliate.wait_until(
                lambda calls: wanted <= {_about(call) for call in calls}, CALLS_WITHIN_S
            )
        missing = wanted - {_about(call) for call in affiliate.calls}
        told = Counter((_about(call), call.query.get("status")) for call in affiliate.calls)
        twice = [call for call, count in told.items() if count > 1]
        calls = len(affiliate.calls)
        _say(f"\nThe tracker of affiliate {SUBSCRIBER} is told what is approved of offer {SUBSCRIBED_OFFER}:")
        _say(f"  {len(wanted)} conversions stand approved, {len(missing)} of them were not told")
        _say(f"  {calls} calls arrived (some for what was rejected later), {len(twice)} of them twice")
        if missing or twice:
            raise No("the affiliate was not told each approved conversion exactly once")


def _about(call: Seen) -> str:
    """The conversion that a call is about."""
    return call.query.get("conversion", "")


class _Failed(Problem):
    """A part of the demo failed with this exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _say(line: str) -> None:
    sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
