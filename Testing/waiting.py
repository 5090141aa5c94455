"""The one way in which tests wait: for what happens, not for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds after which a test gives up; far more than anything takes on a busy machine."""

_POLL_SECONDS = 0.01


def wait_for(
    happened: Callable[[], object],
    what: str = "",
    *,
    meanwhile: Callable[[], object] = lambda: None,
    seconds: float = PATIENCE,
) -> None:
    """Return when something has happened; raises AssertionError when it does not in time.

    Args:
        happened: tells whether it has.
        what: names it in the error.
        meanwhile: is called again and again, such as an application's event loop.
        seconds: the time after which it is given up.
    """
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain" + (f" for {what}" if what else "")
        meanwhile()
        time.sleep(_POLL_SECONDS)
