"""The number format of the network's heavy operations on a device."""

from __future__ import annotations

import torch

from ObserverUncertaintyLib.model.settings import Precision


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """Resolve "auto": bfloat16 where the device computes in it natively, else float32."""
    if precision is not Precision.AUTO:
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return Precision.BFLOAT16 if native else Precision.FLOAT32


def torch_type(precision: Precision) -> torch.dtype:
    """The type of tensors in a number format that `choose_precision` has resolved."""
    return torch.bfloat16 if precision is Precision.BFLOAT16 else torch.float32


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which the network runs its heavy operations in the chosen number format."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision is Precision.BFLOAT16)
