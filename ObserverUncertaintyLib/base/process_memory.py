"""How this process handles its main memory."""

from __future__ import annotations

import ctypes
import sys


def keep_freed_memory() -> None:
    """Let this process use the memory of freed tensors again instead of giving it back to the system at once.

    Large tensors come and go with every layer, and on Linux each would get fresh memory from the system, whose
    preparation takes as long as many a convolution. The setting is the whole process's: it is for programs to make, not
    for a library. It does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # Numbers from <malloc.h>: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD, M_ARENA_MAX. With one arena, what one thread
    # freed serves the others too.
    for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 256 * 2**20), (-8, 1)):
        mallopt(parameter, value)
