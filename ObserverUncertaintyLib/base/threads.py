"""How many threads this process computes with: one for each core that other programs leave idle."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ObserverUncertaintyLib.base.machine import cores

_CHOSEN_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_LOOKS, _LOOK_SECONDS = 3, 0.3
"""Another look where cores were busy: what keeps one busy for a moment only is nobody to wait for."""

_chosen_here = False


def leave_busy_cores() -> int | None:
    """Let torch, which must not be loaded yet, compute on the cores that are idle now; at least on one.

    Threads that compute a layer wait for each other at its end. Where one of them shares its core with another program
    all wait for it, and two threads take longer than one (`benchmarks/threads.py`). This is for programs to choose, not
    for a library. Training rounds otherwise with another number of threads, which is noted with the model.

    Returns:
        The number of threads; None if it is left to torch: all cores are idle, the system does not tell (it does on
        Linux), or the user chose by OMP_NUM_THREADS or another variable of OpenMP.
    """
    global _chosen_here
    if chosen_by_user():
        return None
    threads = 0
    for _ in range(_LOOKS):
        idle = _idle_share()
        if idle is None:
            return None
        threads = max(threads, 1, round(cores() * idle))
        if threads == cores():
            return None
    os.environ["OMP_NUM_THREADS"] = str(threads)
    _chosen_here = True
    return threads


def chosen_by_user() -> bool:
    """Whether the environment that this process was started in says something about threads."""
    return not _chosen_here and any(name in os.environ for name in _CHOSEN_BY_USERS)


def told(threads: int) -> str:
    """What to tell the user of a number of threads that was chosen."""
    return (
        f"other programs keep cores busy: computing on {threads} of {cores()}, which is faster than sharing them "
        f"(OMP_NUM_THREADS={cores()} takes all)"
    )


def _idle_share() -> float | None:
    """How much of the next moment this process's cores are idle, in [0, 1]; None if the system does not tell."""
    before = _busy_and_idle_ticks()
    time.sleep(_LOOK_SECONDS)
    after = _busy_and_idle_ticks()
    if before is None or after is None:
        return None
    busy, idle = (now - then for now, then in zip(after, before, strict=True))
    return idle / (busy + idle) if busy + idle > 0 else None


def _busy_and_idle_ticks() -> tuple[int, int] | None:
    """The time that this process's cores have been busy and idle, in ticks of the system's clock."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    busy = idle = 0
    for name, *ticks in map(str.split, lines):
        if name in mine and len(ticks) >= 8:
            # user, nice, system, idle, waiting for input and output, two kinds of interrupts, taken by other machines.
            times = [int(tick) for tick in ticks[:8]]
            idle += times[3] + times[4]
            busy += sum(times) - times[3] - times[4]
    return busy, idle
