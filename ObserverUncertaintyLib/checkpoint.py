"""The state of an interrupted training: when it is saved, and how it is taken up again."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from ObserverUncertaintyLib.files import refuse_other_settings, write_json, written_atomically
from ObserverUncertaintyLib.model_file import CHECKPOINT_FOLDER, CHECKPOINT_SETTINGS_FILE

_STATE_FILE = "state.pt"

_SHARE = 0.05
_QUICK = 0.5
"""Of the time, and in seconds: a GPU may take seconds for an epoch of a large network, and as many to save it."""


class Checkpoint:
    """A folder in the model's, which is there only while the model is trained."""

    def __init__(self, model: Path) -> None:
        """Of the training whose model goes to this folder."""
        self._model = model
        self._folder = model / CHECKPOINT_FOLDER
        self._saving_took = self._saved_at = 0.0

    @property
    def exists(self) -> bool:
        """Whether a state was saved."""
        return (self._folder / _STATE_FILE).exists()

    def begin(self, record: dict[str, Any]) -> bool:
        """Note what decides the weights, or check that it is what an interrupted training began with.

        Returns:
            Whether there was such a training.

        Raises:
            InputError: it began with something else.
        """
        settings = self._folder / CHECKPOINT_SETTINGS_FILE
        if not settings.exists():
            write_json(settings, record)
            return False
        refuse_other_settings(self._model, json.loads(settings.read_text(encoding="utf-8")), record)
        return True

    def is_due(self) -> bool:
        """Whether saving for as long as the last time would be a small share of the time since."""
        if self._saving_took < _QUICK:
            return True
        return time.monotonic() - self._saved_at > self._saving_took / _SHARE

    def save(self, state: dict[str, Any]) -> None:
        """Save tensors and plain values in place of the last state, which stays if this fails."""
        started = time.monotonic()
        with written_atomically(self._folder / _STATE_FILE) as temporary:
            torch.save(state, temporary)
        self._saved_at = time.monotonic()
        self._saving_took = self._saved_at - started

    def load(self, device: torch.device) -> dict[str, Any]:
        """The last state, with its tensors on a device."""
        # weights_only: a checkpoint is data, never code.
        state: dict[str, Any] = torch.load(self._folder / _STATE_FILE, map_location=device, weights_only=True)
        return state

    def remove(self) -> None:
        """Remove it, if it is there."""
        shutil.rmtree(self._folder, ignore_errors=True)
