"""Going on where work stopped: only with the settings that it began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError

_ADDED: dict[str, Any] = {
    "prior_bias": False,
    "schedule": "constant",
    "may_be_missing": [],
    "various_scanners": False,
    "final_activation": "sigmoid",
    "rater_input": False,
    "rater": None,
    "flip": False,
    "calibration": None,
}
"""Settings that earlier versions did not have, with the value that does what those did."""


def refuse_other_settings(
    folder: Path, before: dict[str, Any], now: dict[str, Any], *, overwritable: bool = True
) -> None:
    """Refuse to resume with other settings than the run began with, naming each difference."""
    different = [
        f"  {key}: it began with {old!r}, now {new!r}" for key, (old, new) in other_settings(before, now).items()
    ]
    if different:
        raise InputError(
            f"{folder} was begun with other settings, so it cannot be resumed:\n"
            + "\n".join(different)
            + "\nGive the same settings and data, another folder"
            + (", or overwrite to begin again." if overwritable else " to begin again.")
        )


def other_settings(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by name: what each was, and what it is now.

    `now` is compared as JSON would read it back, so that tuples and lists of the same values are equal. A setting that
    is unknown to `before`, since an earlier version wrote it, is what that version did.
    """
    before, now = _flat(before), _flat(json.loads(json.dumps(now)))
    before = {key: _ADDED[name] for key in now if (name := key.rpartition(".")[2]) in _ADDED} | before
    return {
        key: (before.get(key), now.get(key))
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    }


def _flat(settings: dict[str, Any], outer: str = "") -> dict[str, Any]:
    """Settings within settings by names such as "training.epochs"."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{outer}{key}.") if isinstance(value, dict) else {outer + key: value}
    return found
