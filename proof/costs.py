"""What a stack costs: CPU-seconds and resident memory, by process, as the operating system counts them."""

import msgspec
import psutil

from proof.own_stack import OwnStack


class Cost(msgspec.Struct, frozen=True):
    """Of one part: CPU-seconds (user and system) since its start, and resident memory now, in bytes."""

    cpu_s: float
    resident_bytes: int


def costs(stack: OwnStack) -> dict[str, Cost]:
    """Each part's cost so far, its child processes included."""
    return {part: cost(pids) for part, pids in stack.addresses.processes.items()}


def cost(pids: list[int]) -> Cost:
    """What these processes cost so far, their child processes included."""
    cpu_s, resident = 0.0, 0
    for pid in pids:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            times = each.cpu_times()
            cpu_s += times.user + times.system
            resident += each.memory_info().rss
    return Cost(cpu_s, resident)
