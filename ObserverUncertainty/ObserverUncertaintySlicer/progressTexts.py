"""What a job does and how long it still takes, in words: the time left is that of the steps that were done so far."""

from __future__ import annotations

from ObserverUncertaintyLib.jobs import JobProgress
from ObserverUncertaintySlicer.host import tr as _


def progressText(progress: JobProgress) -> str:
    """What a job does and how long it still takes, in one line."""
    parts = [part for part in (progress.task, progress.detail) if part]
    if progress.seconds_left is not None:
        parts.append(_("about {time} left").format(time=durationText(progress.seconds_left)))
    return ", ".join(parts) or _("Starting")


def durationText(seconds: float) -> str:
    """A duration as people say it: 40 s, 3 min, 2 h 5 min, 3 days."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    if minutes < 48 * 60:
        return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
    return _("{days} days").format(days=round(minutes / (24 * 60)))
