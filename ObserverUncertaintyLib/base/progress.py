"""What long work tells its caller: how far it is, what it found, and whether it should stop."""

from __future__ import annotations


class Progress:
    """The listener that long work reports to; this one is silent and never cancels.

    Override what you want to hear. Work calls `check_cancelled` at every batch and Monte Carlo pass; raise `Cancelled`
    there to stop it, keeping what is complete.
    """

    def start(self, task: str, steps: int, done: int = 0) -> None:
        """A task of `steps` steps begins, of which `done` were done before (a resumed run)."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """So many further steps are done; `detail` is a short state, such as the loss."""

    def message(self, text: str) -> None:
        """Something the user may want to know."""

    def warning(self, text: str) -> None:
        """Something the user should know."""

    def metric(self, name: str, value: float) -> None:
        """A number worth a curve, such as the "loss" of an epoch; called once an epoch, in order."""

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the user asked the work to stop."""


class PassedOn(Progress):
    """Passes all on to another listener; override what is told otherwise.

    Args:
        whole: is told.
    """

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def start(self, task: str, steps: int, done: int = 0) -> None:
        """Pass the beginning of a task on."""
        self._whole.start(task, steps, done)

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Pass steps on."""
        self._whole.advance(steps, detail)

    def message(self, text: str) -> None:
        """Pass a message on."""
        self._whole.message(text)

    def warning(self, text: str) -> None:
        """Pass a warning on."""
        self._whole.warning(text)

    def metric(self, name: str, value: float) -> None:
        """Pass a number of a curve on."""
        self._whole.metric(name, value)

    def check_cancelled(self) -> None:
        """Stop if the listener was asked to."""
        self._whole.check_cancelled()
