"""Long work: what it tells its caller while it runs, and how it is cancelled.

Running it in another process, supervised, is not written yet.
"""

from ObserverUncertaintyLib.errors import Cancelled
from ObserverUncertaintyLib.jobs.progress import Progress

__all__ = ["Cancelled", "Progress"]
