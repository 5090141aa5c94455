"""A model's network in its folder: weights in safetensors beside the description.

Loading never runs code from the files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ObserverUncertaintyLib.base.output_files import write_json, writing, written_atomically

if TYPE_CHECKING:
    import torch

    from ObserverUncertaintyLib.network.unet import UNet
from ObserverUncertaintyLib.cohort.fingerprints import file_digest
from ObserverUncertaintyLib.model.description import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    ModelError,
    read_description,
    require_own_weights,
)


def save_model(folder: Path, network: UNet, description: ModelDescription) -> ModelDescription:
    """Write a model's folder; the description comes last, so that a folder with one is complete.

    Returns:
        The description with the weights' fingerprint.
    """
    from safetensors.torch import save

    path = folder / WEIGHTS_FILE
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with written_atomically(path) as temporary:
        temporary.write_bytes(save(state))  # save_file may leave a file that its owner alone can read
    with writing(path):
        description = replace(description, weights_digest=file_digest(path))
    write_json(folder / DESCRIPTION_FILE, description.to_json())
    return description


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> tuple[UNet, ModelDescription]:
    """Load a model's network, in evaluation mode on `device`, and its description.

    Raises:
        ModelError: the folder holds no usable model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from ObserverUncertaintyLib.network.unet import UNet

    description = read_description(folder)
    require_own_weights(folder, description)
    path = Path(folder) / WEIGHTS_FILE
    try:
        network = UNet(description.channels, description.architecture)
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} holds no weights for the network of {DESCRIPTION_FILE}: {error}. Copy the model again."
        ) from error
    return network.to(device).eval(), description
