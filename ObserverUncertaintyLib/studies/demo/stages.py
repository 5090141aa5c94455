"""One progress for work of several stages: where it is, and how far it is as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ObserverUncertaintyLib.base.progress import Progress

_PARTS = 100


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes:
        title: what is done, in words.
        share: of the time, in any unit.
        tasks: how many tasks it reports, each as long as the others.
    """

    title: str
    share: float
    tasks: int = 1


class StagedProgress(Progress):
    """Makes one task of the tasks of several stages, in per cent, so that its listener can tell the time left of all.

    A message says what each stage does, as it begins; the detail, which of them it is and what it tells itself.
    """

    def __init__(self, listener: Progress, task: str, stages: Sequence[Stage]) -> None:
        """Begin a task of these stages; `enter` begins the first one and each next one."""
        self._listener = listener
        self._stages = stages
        self._number = -1
        self._before = 0.0
        self._told = 0
        self._whole = sum(stage.share for stage in stages)
        self._task_number, self._steps, self._done = -1, 1, 0
        listener.start(task, _PARTS)

    def enter(self) -> None:
        """The next stage begins; what was left of the one before was done earlier."""
        if self._number >= 0:
            self._before += self._stages[self._number].share
        self._number += 1
        self._task_number, self._steps, self._done = -1, 1, 0
        self._listener.message(f"step {self._number + 1} of {len(self._stages)}: {self._stages[self._number].title}")
        self._tell("")

    def finish(self) -> None:
        """All stages are done."""
        self._listener.advance(_PARTS - self._told)
        self._told = _PARTS

    def start(self, task: str, steps: int, done: int = 0) -> None:  # noqa: ARG002
        """The stage's next task begins."""
        self._task_number = min(self._task_number + 1, self._stages[self._number].tasks - 1)
        self._steps, self._done = max(steps, 1), done
        self._tell("")

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """A part of the stage's task is done."""
        self._done += steps
        self._tell(detail)

    def message(self, text: str) -> None:
        """Drop what a stage's parts note: who looks at the whole has not asked."""

    def warning(self, text: str) -> None:
        """Pass a warning on."""
        self._listener.warning(text)

    def check_cancelled(self) -> None:
        """Stop if the listener was asked to."""
        self._listener.check_cancelled()

    def _tell(self, detail: str) -> None:
        stage = self._stages[self._number]
        # Before its first task a stage has done nothing: the number of a task is -1 then, and nothing of it is done.
        within = (max(self._task_number, 0) + self._done / self._steps) / stage.tasks
        now = int(_PARTS * (self._before + stage.share * min(within, 1.0)) / self._whole)
        # Short: a terminal of 80 columns has to hold the time left too.
        self._listener.advance(now - self._told, f"{self._number + 1}/{len(self._stages)} {detail}".rstrip())
        self._told = now
