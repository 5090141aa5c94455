"""The computing device: choosing it, its memory, and advice when it has too little."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ObserverUncertaintyLib.base.errors import DeviceError, InputError


def choose_device(name: str | torch.device) -> torch.device:
    """The device for "auto", "cpu", "cuda", "cuda:N" or "mps"; raises InputError if it is not there.

    A device that was chosen already is it.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f'"{name}" is no device. Give auto, cpu, cuda:0 (or another number) or mps.') from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"The device {name} is not here: {_cuda_inventory()}. Choose cpu or auto.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("The device mps is not here: it needs a Mac with Apple silicon. Choose cpu or auto.")
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f'The device "{name}" is not supported. Give auto, cpu, cuda:0 or mps.')
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def describe_device(device: torch.device) -> str:
    """The device's name for people, such as "cuda:0 (NVIDIA H200)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


def free_memory(device: torch.device) -> int | None:
    """Bytes that the device has left, counting what torch holds without using it; None if it is no CUDA device."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused


def peak_memory_mib(device: torch.device) -> dict[str, float | None]:
    """The most memory this process held so far, in MiB: main memory, and the GPU's where one is used.

    None where the system does not tell (Windows).
    """
    gpu = torch.cuda.max_memory_reserved(device) / 2**20 if device.type == "cuda" else None
    return {"main": _peak_main_memory_mib(), "gpu": gpu}


def _peak_main_memory_mib() -> float | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@contextmanager
def out_of_memory_advice(device: torch.device, advice: str) -> Iterator[None]:
    """Turn the device's out-of-memory error into a DeviceError that says what to try."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(f"{describe_device(device)} ran out of memory. {advice}") from error
    except (MemoryError, RuntimeError) as error:
        # The CPU allocator of torch reports exhaustion as a plain RuntimeError.
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        raise DeviceError(f"The machine ran out of main memory. {advice}") from error


def make_deterministic() -> None:
    """Make the same seed on the same device give the same numbers, as far as torch can promise it."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # Filling memory before it is written guards against reading it too early, and costs a small network much time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _cuda_inventory() -> str:
    count = torch.cuda.device_count()
    return f"torch sees {count} CUDA device{'' if count == 1 else 's'}"
