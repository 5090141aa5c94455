"""The one timer of the panel, which looks at what runs in the background."""

from __future__ import annotations

from typing import Protocol

import qt

POLL_MILLISECONDS = 200


class Follower(Protocol):
    """What looks at work in the background, such as a job's progress bar.

    Attributes:
        endsWithScene: whether the work means nothing once the scene is closed.
    """

    endsWithScene: bool

    def poll(self) -> bool:
        """Look at the work; false when there is nothing left to look at."""

    def abandon(self) -> None:
        """Look no longer: the nodes or the panel are gone."""


class Polling:
    """Polls followers as long as there is one."""

    def __init__(self) -> None:
        self._followers: list[Follower] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)

    @property
    def isActive(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._followers)

    def add(self, follower: Follower) -> None:
        """Poll a follower from now on."""
        if follower not in self._followers:
            self._followers.append(follower)
        self._timer.start()

    def endWithScene(self) -> None:
        """Abandon what means nothing once the scene is closed."""
        self._abandon([follower for follower in self._followers if follower.endsWithScene])

    def end(self) -> None:
        """Abandon everything."""
        self._timer.stop()
        self._abandon(list(self._followers))

    def _abandon(self, followers: list[Follower]) -> None:
        for follower in followers:
            follower.abandon()
            self._followers.remove(follower)

    def _poll(self) -> None:
        # A result or a message may start another job, or let the timer fire again while it is shown.
        for follower in list(self._followers):
            if not follower.poll() and follower in self._followers:
                self._followers.remove(follower)
        if not self._followers:
            self._timer.stop()
