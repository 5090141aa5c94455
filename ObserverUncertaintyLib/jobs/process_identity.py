"""Whether a process still lives, or another one has its id by now, on Linux, macOS and Windows."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


def identity(pid: int) -> str | None:
    """What tells a living process from a later one with the same id: its start time.

    None if there is no such process, or if it has ended and only waits to be reaped.
    """
    if pid <= 0:
        return None
    if sys.platform == "win32":
        return _windows_identity(pid)
    if sys.platform == "darwin":
        return _mac_identity(pid)
    return _linux_identity(pid)


def _linux_identity(pid: int) -> str | None:
    try:
        # The name in brackets may hold spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return f"{boot} {int(fields[19])}"


class _ProcBsdInfo(ctypes.Structure):
    """`struct proc_bsdinfo` of macOS's <sys/proc_info.h>."""

    _fields_ = (
        ("pbi_flags", ctypes.c_uint32),
        ("pbi_status", ctypes.c_uint32),
        ("before_names", ctypes.c_uint32 * 10),
        ("names", ctypes.c_char * 48),
        ("after_names", ctypes.c_uint32 * 6),
        ("pbi_start_tvsec", ctypes.c_uint64),
        ("pbi_start_tvusec", ctypes.c_uint64),
    )


def _mac_identity(pid: int) -> str | None:
    bsd_info, zombie = 3, 5  # PROC_PIDTBSDINFO and SZOMB
    info = _ProcBsdInfo()
    size = ctypes.sizeof(info)
    if ctypes.CDLL(None).proc_pidinfo(pid, bsd_info, ctypes.c_uint64(0), ctypes.byref(info), size) != size:
        return None
    return None if info.pbi_status == zombie else f"{info.pbi_start_tvsec}.{info.pbi_start_tvusec:06d}"


if sys.platform == "win32":

    def _windows_identity(pid: int) -> str | None:
        from ctypes import wintypes

        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        kernel.GetExitCodeProcess.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
        kernel.GetProcessTimes.argtypes = (wintypes.HANDLE, *[ctypes.c_void_p] * 4)
        handle = kernel.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return None
        try:
            code = wintypes.DWORD()
            created, ended, in_kernel, in_user = (wintypes.FILETIME() for _ in range(4))
            if not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value != still_active:
                return None
            times = [ctypes.byref(moment) for moment in (created, ended, in_kernel, in_user)]
            if not kernel.GetProcessTimes(handle, *times):
                return None
            return str((created.dwHighDateTime << 32) + created.dwLowDateTime)
        finally:
            kernel.CloseHandle(handle)
