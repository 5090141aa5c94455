from __future__ import annotations

import pytest
import torch

from ObserverUncertaintyLib.base.errors import DeviceError, InputError
from ObserverUncertaintyLib.model.devices import choose_device, describe_device, out_of_memory_advice, peak_memory_mib
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import Precision


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["cuda:99", "quantum", "meta", "cpu:x"])
def test_an_absent_or_unknown_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=name):
        choose_device(name)


def test_a_chosen_precision_is_kept_and_auto_is_resolved() -> None:
    cpu = torch.device("cpu")
    assert choose_precision(Precision.FLOAT32, cpu) is Precision.FLOAT32
    assert choose_precision(Precision.AUTO, cpu) in (Precision.FLOAT32, Precision.BFLOAT16)


def run_out_of_memory(error: Exception) -> None:
    with out_of_memory_advice(torch.device("cpu"), "Give less."):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    ],
)
def test_out_of_memory_ends_with_advice(error: Exception) -> None:
    with pytest.raises(DeviceError, match="Give less"):
        run_out_of_memory(error)


def test_a_real_allocation_failure_is_recognised() -> None:
    def too_much() -> None:
        with out_of_memory_advice(torch.device("cpu"), "Give less."):
            torch.empty(2**50)

    with pytest.raises(DeviceError, match="Give less"):
        too_much()


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        run_out_of_memory(RuntimeError("a bug"))


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory_mib(torch.device("cpu"))["main"]
    held = torch.ones(100 * 2**20 // 4 + int(before or 0) * 2**18)  # beyond the peak so far
    after = peak_memory_mib(torch.device("cpu"))["main"]
    assert before is not None
    assert after is not None
    assert after >= before + 50
    assert "cpu" in describe_device(held.device)
