"""How much this machine has: cores and main memory."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes_that_fit(bytes_each: int) -> int:
    """How many processes of one thread this machine has cores and memory for; by its cores alone on Windows."""
    if not hasattr(os, "sysconf"):
        return cores()
    return max(1, min(cores(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // bytes_each))


def main_memory_mib() -> tuple[int | None, int | None]:
    """The machine's main memory and the part that is free, in MiB; None where the system does not tell."""
    if sys.platform == "win32":
        status = _MemoryStatus(dwLength=ctypes.sizeof(_MemoryStatus))
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return None, None
        return status.ullTotalPhys >> 20, status.ullAvailPhys >> 20
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except FileNotFoundError:  # macOS
        found = None
    return total, None if found is None else int(found[1]) >> 10


class _MemoryStatus(ctypes.Structure):
    """`MEMORYSTATUSEX` of the Windows API."""

    _fields_ = (
        ("dwLength", ctypes.c_uint32),
        ("dwMemoryLoad", ctypes.c_uint32),
        ("ullTotalPhys", ctypes.c_uint64),
        ("ullAvailPhys", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )
