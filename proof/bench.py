"""The benchmark: CPU-seconds per 1 000 events and resident memory, by process, on the whole stack.

`python -m proof.bench [--clicks N]` starts a stack of its own, plays the simulator's traffic through it,
waits until all of it is verified in ClickHouse, and prints a table. CPU-seconds are the operating system's;
those of the simulator are not among them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from proof.costs import Cost, costs
from proof.own_stack import OwnStack
from service.clickhouse import ClickHouse

SAMPLE = Path(__file__).parents[1] / "deploy" / "sample_catalog.toml"
EVENTS = """
SELECT count() FROM clicks UNION ALL
SELECT count() FROM impressions UNION ALL
SELECT count() FROM observations
"""


def main() -> int:
    """The table on standard output; 0 when the run verified, else verify's exit code."""
    parser = argparse.ArgumentParser(prog="python -m proof.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=50_000, help="clicks to play (default: 50 000)")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="roundtrip-bench-") as directory,
        OwnStack(Path(directory) / "state", SAMPLE) as stack,
    ):
        return _run(stack, Path(directory) / "truth.jsonl", args.clicks)


def _run(stack: OwnStack, truth: Path, clicks: int) -> int:
    idle = costs(stack)
    started = time.monotonic()
    code = _roundtrip(stack, "simulate", "--clicks", str(clicks), "--truth", str(truth))
    played_s = time.monotonic() - started
    code = code or _roundtrip(stack, "verify", "--truth", str(truth))
    settled_s = time.monotonic() - started
    events = _stored(stack)
    _print(idle, costs(stack), events)
    print(f"{events} events in {played_s:.1f} s: {events / played_s:.0f} a second")
    print(f"all of them in ClickHouse and verified after {settled_s:.1f} s")
    return code


def _roundtrip(stack: OwnStack, command: str, *arguments: str) -> int:
    line = [sys.executable, "-m", "roundtrip", command, *arguments, "--dir", str(stack.directory)]
    return subprocess.run(line, check=False).returncode  # noqa: S603  our own command


def _stored(stack: OwnStack) -> int:
    return sum(int(row[0]) for row in ClickHouse(stack.settings).query(EVENTS).rows)


def _print(before: dict[str, Cost], after: dict[str, Cost], events: int) -> None:
    print(f"{'process':<12}{'CPU-s / 1 000 events':>22}{'MB idle':>10}{'MB after':>10}")
    for part, cost in after.items():
        spent = (cost.cpu_s - before[part].cpu_s) * 1000 / events
        megabytes = (before[part].resident_bytes / 1e6, cost.resident_bytes / 1e6)
        print(f"{part:<12}{spent:>22.3f}{megabytes[0]:>10.0f}{megabytes[1]:>10.0f}")


if __name__ == "__main__":
    sys.exit(main())
