"""Output files and folders: nothing is overwritten unasked, nothing is left half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.errors import InputError, UnwritableFileError

PROBABILITY_FILE = "probability.nii.gz"
"""A prediction's mean foreground probability, `<case>/probability.nii.gz`: all that scoring needs."""

REPORT_FILE = "prediction.json"
"""What `predict` reports beside it: settings, notes and warnings."""

MADE_FROM = "made_from"
"""In that report: fingerprints of the images, their grid and the model, and the settings."""


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place when the block ends well, delete it otherwise.

    The temporary name keeps the file's ending, since some writers choose the format by it.

    Raises:
        UnwritableFileError: the system does not let the file be written, such as on a full disk.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure of the system in the block into an UnwritableFileError that names the file."""
    try:
        yield
    except OSError as error:
        raise UnwritableFileError(
            f"{path}: the file cannot be written: {error.strerror or error}. Expected a folder that can be written to, "
            "with enough free space; check both, or choose another folder."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; not-a-number is an error, since JSON has no such value."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def prepare_output_file(path: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite a file unasked, before any work is done."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already. Give another name, or overwrite it.")


def prepare_output_folder(path: Path, *, resume: bool, overwrite: bool | None) -> None:
    """Make a folder; refuse one that holds files unless they may be continued or overwritten.

    Args:
        path: the folder.
        resume: its files may be continued.
        overwrite: they may be overwritten; None where there is no such option.
    """
    if resume and overwrite:
        raise InputError("To resume and to overwrite contradict each other; choose one of them.")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; give the name of a folder.")
    if path.is_dir() and any(path.iterdir()) and not (resume or overwrite):
        ways = "or resume" if overwrite is None else "resume, or overwrite"
        raise InputError(f"{path} is not empty. Give another folder, {ways}.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be made ({error.strerror or error}). Give another one.") from error


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

    `now` is compared as JSON would read it back, so that tuples and lists of the same values are equal.
    """
    before, now = _flat(before), _flat(json.loads(json.dumps(now)))
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
