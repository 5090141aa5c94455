"""Stopping long work in the middle."""

from __future__ import annotations

from ObserverUncertaintyLib.base.errors import Cancelled
from ObserverUncertaintyLib.base.progress import Progress


class CancelAfter(Progress):
    """Cancels at a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled("stop")
