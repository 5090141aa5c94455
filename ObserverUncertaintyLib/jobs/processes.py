"""All that differs between Linux, macOS and Windows about processes; psutil is not part of Slicer's Python."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes], *, detached: bool
) -> subprocess.Popen[bytes]:
    """Start a process as the head of a group of its own.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: its whole environment.
        log: takes its standard output and error.
        detached: without standard input, so that nothing ties it to this process; else standard input is a pipe that
            closes when this process ends.

    Raises:
        OSError: the program cannot be started.
    """
    stdin = subprocess.DEVNULL if detached else subprocess.PIPE
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        if detached:
            try:
                # Slicer may itself run in a Windows job object that ends its processes with it.
                return subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=stdin,
                    stdout=log,
                    stderr=log,
                    creationflags=flags | subprocess.CREATE_BREAKAWAY_FROM_JOB,
                )
            except PermissionError:  # the object forbids leaving it
                pass
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdin=stdin, stdout=log, stderr=log, creationflags=flags
        )
    # A session is a process group that no terminal's Ctrl-C or hang-up reaches.
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=stdin, stdout=log, stderr=log, start_new_session=True
    )


def kill_tree(pid: int) -> None:
    """End a process that `start` started, or one below it, with all its relatives; does not wait for their end.

    On Linux and macOS the whole process group is killed; only the process itself if this process is of its group.
    """
    if sys.platform == "win32":
        # taskkill takes up to a second, which no user interface should wait for.
        threading.Thread(target=_taskkill, args=(pid,)).start()
        return
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:
        group = pid  # the head is gone already, its children may not be
    try:
        if group == os.getpgrp():
            os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM where only zombies are left
        return


def exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that `start` started, None while it runs; at its end its relatives are killed too."""
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        code = process.poll()
        if code is not None:
            kill_tree(process.pid)
        return code
    if process.returncode is None:
        try:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
        except ChildProcessError:  # someone else reaped it
            return process.poll()
        # As long as the process is not reaped, no other can take its id.
        kill_tree(process.pid)
    return process.poll()


def wait_for_end_of_input() -> None:
    """Return when the other end of this process's standard input is closed, as happens when its starter ends."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        # A thread that blocks in reading a pipe on Windows makes others hang that only ask for the pipe's kind, as
        # the initialisation of DLLs does.
        pipe = msvcrt.get_osfhandle(0)
        try:
            while True:
                _winapi.PeekNamedPipe(pipe, 0)
                time.sleep(0.5)
        except OSError:
            return
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        return


def end_own_tree(exit_code: int) -> None:
    """End this process at once, and its whole group where it is the group's head or was started in one of its own."""
    if sys.platform == "win32":
        _taskkill(os.getpid())
    elif os.getpgrp() == os.getsid(0):  # `start` made this session; a shell's pipeline has a group below its session
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(exit_code)


def _taskkill(pid: int) -> None:
    subprocess.run(
        ["taskkill", "/T", "/F", "/PID", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        check=False,
    )


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


_WINDOWS_CODES = {
    0xC0000005: "access violation",
    0xC0000017: "out of memory",
    0xC00000FD: "stack overflow",
    0xC000013A: "ended by Ctrl-C or by closing its window",
    0xC0000135: "a DLL was not found",
    0xC0000142: "a DLL could not be initialised",
    0xC0000374: "damaged heap",
    0xC0000409: "stack buffer overrun",
}


def describe_exit(code: int) -> str:
    """An exit code in words, such as "signal SIGSEGV"."""
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    name = _WINDOWS_CODES.get(code & 0xFFFFFFFF)
    return f"exit code {code}" if name is None else f"exit code {code:#x}: {name}"


def was_killed(code: int) -> bool:
    """Whether an exit code says that something outside ended the process, as systems do that run out of memory."""
    return sys.platform != "win32" and code == -signal.SIGKILL


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
