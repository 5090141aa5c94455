"""The state of an interrupted training: when it is saved, and how it is taken up again."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_new_json, written_atomically
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.resuming import refuse_other_settings
from ObserverUncertaintyLib.cohort.fingerprints import content_digest
from ObserverUncertaintyLib.model.description import CHECKPOINT_FOLDER, CHECKPOINT_SETTINGS_FILE

_STATE_FILE = "state.pt"

_SETTINGS_KEY = "settings_digest"
"""In a state: what its training began with, to know another's."""

_LATER_KEYS = ("grids", "sequences", "skull_stripped")
"""Of what decides a training: earlier versions did not note them."""

_SHARE = 0.05
_QUICK = 0.5
"""Of the time, and in seconds: a GPU may take seconds for an epoch of a large network, and as many to save it."""


class Checkpoint:
    """A folder in the model's, which is there only while the model is trained."""

    def __init__(self, model: Path) -> None:
        """Of the training whose model goes to this folder."""
        self._model = model
        self._folder = model / CHECKPOINT_FOLDER
        self._settings = ""
        self._saving_took = self._saved_at = 0.0

    @property
    def exists(self) -> bool:
        """Whether a state was saved."""
        return (self._folder / _STATE_FILE).exists()

    def begin(self, record: dict[str, Any], progress: Progress) -> bool:
        """Note what decides the weights, or check that it is what an interrupted training began with.

        Args:
            record: what decides the weights, as plain values.
            progress: is told what could not be checked.

        Returns:
            Whether a training was begun here before.

        Raises:
            InputError: it began with something else, or what it began with cannot be read.
        """
        path = self._folder / CHECKPOINT_SETTINGS_FILE
        if not path.exists():
            # A state without its settings may be any training's.
            (self._folder / _STATE_FILE).unlink(missing_ok=True)
            if write_new_json(path, record):
                self._settings = self._digest_of(path)
                return False
            # Another call began here at the same moment.
        try:
            before: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise self._damaged(path, error) from error
        refuse_other_training(self._model, before, record, progress)
        self._settings = self._digest_of(path)
        return True

    @staticmethod
    def _digest_of(settings: Path) -> str:
        return content_digest(json.loads(settings.read_text(encoding="utf-8")))

    def is_due(self) -> bool:
        """Whether saving for as long as the last time would be a small share of the time since."""
        if self._saving_took < _QUICK:
            return True
        return time.monotonic() - self._saved_at > self._saving_took / _SHARE

    def save(self, state: dict[str, Any]) -> None:
        """Save tensors and plain values in place of the last state, which stays if this fails."""
        started = time.monotonic()
        with written_atomically(self._folder / _STATE_FILE) as temporary:
            try:
                torch.save({**state, _SETTINGS_KEY: self._settings}, temporary)
            except RuntimeError as error:  # all that torch says of a full disk
                raise OSError(str(error)) from error
        self._saved_at = time.monotonic()
        self._saving_took = self._saved_at - started

    def load(self, device: torch.device) -> dict[str, Any]:
        """The last state, with its tensors on a device.

        Raises:
            InputError: it is damaged, or another training's.
        """
        path = self._folder / _STATE_FILE
        try:
            # weights_only: a checkpoint is data, never code.
            state: dict[str, Any] = dict(torch.load(path, map_location=device, weights_only=True))
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise self._damaged(path, error) from error
        if state.get(_SETTINGS_KEY, self._settings) != self._settings:
            raise InputError(
                f"{path} is of another training than {CHECKPOINT_SETTINGS_FILE} beside it. Put the files of one "
                f"training there, or overwrite {self._model} to begin again."
            )
        return state

    def damaged(self, error: Exception) -> InputError:
        """The error for a state that was loaded and does not fit."""
        return self._damaged(self._folder / _STATE_FILE, error)

    def _damaged(self, path: Path, error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return InputError(
            f"{path}: the checkpoint is incomplete or damaged, as a full disk or a power cut leaves it ({reason}). Put "
            f"a whole one there, or overwrite {self._model} to begin again."
        )

    def remove(self) -> None:
        """Remove it, if it is there."""
        shutil.rmtree(self._folder, ignore_errors=True)


def refuse_other_training(model: Path, before: dict[str, Any], record: dict[str, Any], progress: Progress) -> None:
    """Refuse to go on with other settings or data than a training began with.

    Args:
        model: the model's folder.
        before: what the training began with.
        record: what it is to go on with.
        progress: is told what could not be checked, since an earlier version did not note it.
    """
    unknown = [key for key in _LATER_KEYS if key not in before]
    compared = {key: value for key, value in record.items() if key not in unknown}
    refuse_other_settings(model, {key: before[key] for key in compared if key in before}, compared)
    if unknown:
        progress.warning(
            f"{model} was begun by an earlier version, which kept no fingerprint of {', '.join(unknown)}: whether "
            "they are the same cannot be checked"
        )
