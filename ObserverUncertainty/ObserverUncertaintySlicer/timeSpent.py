"""How long somebody worked on a working copy: the time between what was done, pauses counted up to a minute."""

from __future__ import annotations

import time
from collections.abc import Callable

from ObserverUncertaintySlicer import attributes

LONGEST_PAUSE_SECONDS = 60.0
"""Looking takes time too, but whoever does nothing for longer may have left."""


class TimeSpent:
    """Counts the time spent on a working copy, and keeps it with the copy.

    Args:
        node: the working copy's.
        clock: seconds that only grow.
    """

    def __init__(self, node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._clock = node, clock
        self._last: float | None = None

    def somethingWasDone(self) -> None:
        """A stroke, a step to another place, a click: the time since the one before counts."""
        now = self._clock()
        if self._last is not None:
            spent = min(now - self._last, LONGEST_PAUSE_SECONDS)
            attributes.SECONDS.set(self._node, (attributes.SECONDS.of(self._node) or 0.0) + spent)
        self._last = now

    def pause(self) -> None:
        """The user goes elsewhere: the time until something is done again does not count."""
        self._last = None
