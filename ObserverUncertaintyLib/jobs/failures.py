"""Naming what went wrong: an exception in the worker, or a worker that is gone without a word."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ObserverUncertaintyLib.base.errors import DeviceError, InputError, ObserverUncertaintyError
from ObserverUncertaintyLib.formats.errors import UnwritableFileError
from ObserverUncertaintyLib.jobs.folder import LOG_FILE, end_of_log
from ObserverUncertaintyLib.jobs.processes import describe_exit, was_killed
from ObserverUncertaintyLib.jobs.states import JobFailure

INPUT, DEVICE, OUT_OF_MEMORY, DEPENDENCY, DISK = "input", "device", "out_of_memory", "dependency", "disk"
CRASH, ERROR = "crash", "error"

EXIT_FAILED, EXIT_CANCELLED, EXIT_DISK = 1, 3, 74
"""Exit codes of the worker; that of a full disk tells what no event can be written about any more."""

_ADVICE = {
    INPUT: "Change what the text names, then start again.",
    DEVICE: "Choose the CPU or another device. If a GPU should be there, update its driver and restart the computer.",
    OUT_OF_MEMORY: "Close other programs, or choose another device or the CPU or, for a training, a smaller network; "
    "then start again.",
    DEPENDENCY: "Install the missing package into the Python that runs the job, then start again.",
    DISK: "Free space on the disk that holds the job's folder, or choose another folder, then start again.",
    CRASH: "Start it again; if it ends the same way, choose the CPU as device and keep the log for a report.",
    ERROR: "This is an error in the program: keep the job's folder, and report it with the log.",
}
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
# torch and safetensors write files in C++ and Rust and pass the system's error on as text at best.
_NO_SPACE_TEXT = re.compile(
    r"no space left|file too large|quota exceeded|os error (27|28|112|122)\b"
    r"|PytorchStreamWriter failed|unexpected pos \d+ vs",
    re.IGNORECASE,
)
_DEVICE_TEXT = re.compile(r"CUDA|cuDNN|NVIDIA driver|no kernel image|\bMPS\b")
_NOT_INSTALLED = re.compile(r"^(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'")
_TRACE = re.compile(r"Traceback|\w+(Error|Exception)\b")
_FATAL = "Fatal Python error: "
_QUOTED = 8
_LEAST_FREE = 1 << 20


class WorkError(ObserverUncertaintyError):
    """Work that found out itself which kind of failure it met; `code` is one of `JobFailure.code`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def failure(code: str, text: str, log: str = "") -> JobFailure:
    """A failure with the advice that belongs to its code."""
    return JobFailure(code, text, _ADVICE[code], log)


def classify(error: BaseException) -> JobFailure:
    """The failure that an exception stands for."""
    text = str(error) or repr(error)
    if isinstance(error, WorkError):
        return failure(error.code, text)
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _NO_SPACE for cause in causes) or any(
        _NO_SPACE_TEXT.search(str(cause)) for cause in causes
    ):
        return failure(DISK, f"The disk is full, or the file would become too large: {text}")
    if isinstance(error, UnwritableFileError):
        return failure(DISK, text)
    if isinstance(error, (DeviceError, MemoryError)) or (
        isinstance(error, RuntimeError) and "out of memory" in text  # torch's own, from outside the batches
    ):
        return failure(OUT_OF_MEMORY, text)
    if isinstance(error, InputError):
        return failure(INPUT, text)
    if isinstance(error, ImportError):
        return failure(DEPENDENCY, f"A package that this needs cannot be loaded: {text}")
    if isinstance(error, RuntimeError) and _DEVICE_TEXT.search(text):
        return failure(DEVICE, f"The device failed: {text}")
    if isinstance(error, ObserverUncertaintyError):
        return JobFailure(ERROR, text, _ADVICE[INPUT])
    return failure(ERROR, f"{type(error).__name__}: {text}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def silent_end(folder: Path, exit_code: int | None) -> JobFailure:
    """The failure of a worker that is gone and said neither "done" nor "error".

    Args:
        folder: the job's folder, whose log is quoted.
        exit_code: the worker's, None if another program started it.
    """
    log = end_of_log(folder / LOG_FILE)
    dump = next((number for number, line in enumerate(log) if line.startswith(_FATAL)), None)
    lines = log[-_QUOTED:]
    if dump is not None:
        # faulthandler shows the threads that wait before the one that crashed, and ends with the names of all modules.
        crashed = next((n for n, line in enumerate(log) if n > dump and line.startswith("Current thread")), dump + 1)
        lines = [log[dump], *log[crashed : crashed + _QUOTED]]
    quoted = "\n".join(lines)
    if exit_code == EXIT_DISK or _free_bytes(folder) < _LEAST_FREE:
        return failure(DISK, "The disk is full: the job could not write its results.", quoted)
    for line in lines:
        if match := _NOT_INSTALLED.match(line):
            return failure(DEPENDENCY, f"The package {match[1]} is not installed in the job's Python.", quoted)
    how = "ended" if exit_code is None else f"ended with {describe_exit(exit_code)}"
    if dump is not None:
        how += f" ({log[dump].removeprefix(_FATAL)})"
    text = f"The job's process {how} without saying why."
    # PythonSlicer reports a killed Python as exit code 1, so the log counts: a Python that is killed writes nothing.
    if (exit_code is not None and was_killed(exit_code)) or not (dump is not None or any(map(_TRACE.match, lines))):
        text += " Something outside seems to have killed it; systems do so when the main memory is full."
        return JobFailure(CRASH, text, _ADVICE[OUT_OF_MEMORY], quoted)
    return failure(CRASH, text, quoted)


def _free_bytes(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("inf")
