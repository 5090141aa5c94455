"""Work on numbered things by several processes at a time, which end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import TypeAlias

from ObserverUncertaintyLib.base.errors import DeviceError
from ObserverUncertaintyLib.base.progress import Progress

_Work: TypeAlias = Callable[[int], None]

_SECONDS_BETWEEN_LOOKS = 0.2


def side_by_side(work: _Work, numbers: Sequence[int], processes: int, progress: Progress) -> Iterator[int]:
    """Do the work of each number; gives each one when it is done.

    Args:
        work: can be sent to another process, and is sent to each one once, since it may hold much data.
        numbers: the numbers.
        processes: how many of them at a time; with one the work is done in this process.
        progress: can cancel; what is being worked on is done to its end.

    Raises:
        DeviceError: a process ended abruptly.
        Cancelled: `progress` asked to stop.
    """
    if processes < 2:
        for number in numbers:
            progress.check_cancelled()
            work(number)
            yield number
        return
    try:
        # Spawned: a process that has torch's threads must not be forked. An interrupt may come while work is given out,
        # or while leaving the pool waits for what is being worked on.
        with (
            _ended_by_interrupts(),
            ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _take_up, (work,)) as pool,
            _ended_by_interrupts(),
        ):
            yield from _done_in(pool, iter(numbers), processes, progress)
    except BrokenProcessPool as error:
        raise DeviceError(
            "A process that made cases ended abruptly, perhaps for want of memory. Choose fewer processes, and "
            "resume to keep the cases that are complete."
        ) from error


@contextmanager
def _ended_by_interrupts() -> Iterator[None]:
    """End the processes that are started within the block at once if it is interrupted."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except KeyboardInterrupt:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise


def _done_in(pool: ProcessPoolExecutor, left: Iterator[int], processes: int, progress: Progress) -> Iterator[int]:
    """Each number when the pool has done its work."""
    working: dict[Future[None], int] = {}
    while True:
        progress.check_cancelled()
        with _interrupts_deferred():
            # No more than are worked on: what waits in the pool could not be called back.
            for number in islice(left, processes - len(working)):
                working[pool.submit(_do, number)] = number
        if not working:
            return
        for done in wait(working, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED).done:
            done.result()
            yield working.pop(done)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let processes that are started here be deaf to Ctrl-C, which a terminal sends to all: this one stops them.

    They inherit what is blocked. An interrupt of this process waits until the block ends. (Windows knows no such thing;
    there a process is deaf once it has begun.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started for the first time, it would let interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: _Work
"""In a process that was started: what it does."""


def _take_up(work: _Work) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(number: int) -> None:
    _work(number)
