"""Starting and ending processes with all below them, on Linux, macOS and Windows; Slicer's Python has no psutil."""

from __future__ import annotations

import os
import shutil
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


def start_below(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start another program below this process, with which it ends; what it prints comes through `stdout`, as text.

    Args:
        command: program and arguments; no shell reads them.
        folder: where it runs.
        environment: its whole environment.

    Raises:
        OSError: the program cannot be started.
    """
    # Windows looks a program up in this process's PATH, and starts no .bat or .cmd without its ending.
    program = shutil.which(command[0], path=environment.get("PATH")) or command[0]
    return subprocess.Popen(
        [program, *command[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def end_below(process: subprocess.Popen[str], grace: float = 3.0) -> None:
    """End a program that `start_below` started, if it still runs: asked first, killed after `grace` seconds.

    What it has started itself ends with it on Windows, elsewhere with this process's group.
    """
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        _taskkill(process.pid)
    else:
        process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
