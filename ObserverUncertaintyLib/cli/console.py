"""Progress bars, messages and results in a terminal: results on standard output, all else on standard error."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from ObserverUncertaintyLib.base.errors import Cancelled
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.threads import leave_busy_cores, told

_PLAIN_INTERVAL = 10.0
"""Seconds between two lines of progress where standard error is no terminal, such as a log file."""


class ConsoleProgress(Progress):
    """A progress bar with time left; plain lines every ten seconds where standard error is no terminal.

    The first Ctrl-C asks the work to stop at its next step; a second one ends it at once.

    Args:
        advice: what a user is told who stopped the work.
    """

    def __init__(self, advice: str = "What was complete is kept; run the same command with --resume to go on.") -> None:
        self._advice = advice
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: Any = None
        self._cancelled = False
        self._plain = _PlainProgress()

    def start(self, task: str, steps: int, done: int = 0) -> None:
        """Show a new bar."""
        if self._task is not None:
            self._bar.update(self._task, visible=False)
        self._task = self._bar.add_task(task, total=steps, completed=done, detail="")
        self._plain.start(task, steps, done)

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Move the bar."""
        self._bar.update(self._task, advance=steps, detail=detail)
        if not self._console.is_terminal:
            self._plain.advance(steps, detail)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False)

    def warning(self, text: str) -> None:
        """Print a warning above the bar."""
        self._bar.console.print(f"warning: {text}", markup=False)

    def check_cancelled(self) -> None:
        """Stop if Ctrl-C was pressed."""
        if self._cancelled:
            raise Cancelled(f"Stopped. {self._advice}")

    @contextmanager
    def running(self) -> Iterator[ConsoleProgress]:
        """Show bars, and listen to Ctrl-C, while the block runs."""
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            with self._bar:
                yield self
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._cancelled:
            raise KeyboardInterrupt
        self._cancelled = True
        self.message("stopping after this step; press Ctrl-C again to end at once")


class _PlainProgress:
    """Progress as occasional lines of text, for logs."""

    def start(self, task: str, steps: int, done: int) -> None:
        self._name, self._steps, self._done, self._already = task, steps, done, done
        self._started = self._printed = time.monotonic()

    def advance(self, steps: int, detail: str) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._printed < _PLAIN_INTERVAL:
            return
        self._printed = now
        rate = (now - self._started) / max(self._done - self._already, 1)
        left = rate * (self._steps - self._done)
        print(  # noqa: T201
            f"{self._name}: {self._done} of {self._steps} {detail}, about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def prepare_to_compute() -> None:
    """Before a command loads torch: leave the cores to other programs that these keep busy, and say so."""
    if (threads := leave_busy_cores()) is not None:
        typer.echo(told(threads), err=True)


def print_result(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a command's result on standard output: as text, or as one line of JSON."""
    typer.echo(json.dumps(result, allow_nan=False) if as_json else text)
