"""The small model that ships with the program, trained on simulated cases (`make sample-model`). Not for patients."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped_model() -> Path:
    """The folder of the model that ships with the program, as `load_model` and `observer-uncertainty predict` take it.

    It segments the resection cavity on skull-stripped T1c, and better with T1, T2 and FLAIR beside it. It has seen
    simulated patients only.
    """
    return Path(str(files("ObserverUncertaintyLib.model.shipped"))) / "SimulatedCavity"
