"""Several cases one after the other: read ahead, written behind, how far all are, and which errors are of one alone."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from ObserverUncertaintyLib.base.errors import Cancelled, DeviceError, InputError, UnwritableFileError
from ObserverUncertaintyLib.base.privacy import traceback_without_messages
from ObserverUncertaintyLib.base.progress import PassedOn, Progress
from ObserverUncertaintyLib.cohort.case import Case

_log = logging.getLogger(__name__)
_STEPS = 100
"""Of each case: cases have different numbers of samples and batches, and count alike."""


class QueueProgress(PassedOn):
    """Makes one task of the cases' tasks, so that the time left is that of all; the detail says which case is in work.

    Cases that take no time, since they were complete or are left out, count as done before: the time left is that of
    the others.

    Args:
        whole: is told.
        cases: how many cases there are.
    """

    def __init__(self, whole: Progress, cases: int) -> None:
        super().__init__(whole)
        self._cases = cases
        self._behind = 0
        self._told = 0
        self._steps, self._done = 1, 0
        self._detail = ""
        self._begin()

    def enter(self, name: str) -> None:
        """The next case is in work."""
        self._detail = f"{self._behind + 1} of {self._cases}: {name}"
        self._told, self._steps, self._done = 0, 1, 0
        self._whole.advance(0, self._detail)

    def leave(self, *, is_skipped: bool = False) -> None:
        """The case in work is done, or was skipped."""
        self._behind += 1
        if is_skipped:
            self._begin()
        else:
            self._whole.advance(_STEPS - self._told, self._detail)

    def start(self, task: str, steps: int, done: int = 0) -> None:  # noqa: ARG002  (the detail names the case)
        """A case's own task begins."""
        self._steps, self._done = max(steps, 1), done

    def advance(self, steps: int = 1, detail: str = "") -> None:  # noqa: ARG002
        """A part of the case's task is done."""
        self._done += steps
        now = min(_STEPS, _STEPS * self._done // self._steps)
        self._whole.advance(now - self._told, self._detail)
        self._told = now

    def _begin(self) -> None:
        self._whole.start("predict", self._cases * _STEPS, self._behind * _STEPS)


def read_ahead(
    reader: ThreadPoolExecutor, names: Sequence[str], load: Callable[[str], Case]
) -> Iterator[tuple[str, Future[Case]]]:
    """Each case when it is read, or could not be; while the caller works on it, the next one is read."""
    upcoming = reader.submit(load, names[0]) if names else None
    for number, name in enumerate(names):
        assert upcoming is not None
        read = upcoming
        wait([read])
        upcoming = reader.submit(load, names[number + 1]) if number + 1 < len(names) else None
        yield name, read


class Writer:
    """Writes one thing after the other while the next case is computed; leaving waits for what is written."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[Any] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._require_written()

    def write(self, work: Callable[..., object], *arguments: Any) -> None:
        """Do the work once the work before is done; raises what that raised."""
        self._require_written()
        self._last = self._pool.submit(work, *arguments)

    def _require_written(self) -> None:
        if self._last is not None:
            self._last.result()


def is_of_its_case(error: Exception) -> bool:
    """Whether others can be predicted in spite of it: it is about the files of a case, not about disk or device."""
    if isinstance(error, InputError):
        return not isinstance(error, UnwritableFileError)
    if isinstance(error, OSError):
        return error.errno != errno.ENOSPC
    # torch raises RuntimeErrors for what is wrong with the device.
    return not isinstance(error, Cancelled | DeviceError | MemoryError | RuntimeError | ImportError)


def reason_of(error: Exception) -> str:
    """Why a case is left out; where what nobody foresaw came is kept in Python's log."""
    if isinstance(error, InputError | OSError):
        return str(error)
    _log.error("this should not have happened\n%s", traceback_without_messages(error))
    return f"this should not have happened: {type(error).__name__}: {error}"
