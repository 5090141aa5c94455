"""Output files and folders: nothing is overwritten unasked, nothing is left half-written."""

from __future__ import annotations

import fnmatch
import json
import os
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.errors import InputError, UnwritableFileError, in_work

PROBABILITY_FILE = "probability.nii.gz"
"""A prediction's mean foreground probability, `<case>/probability.nii.gz`: all that scoring needs."""

REPORT_FILE = "prediction.json"
"""What `predict` reports beside it: settings, notes and warnings."""

LONGEST_NAME = 255
"""Bytes of one file's or folder's name that file systems allow."""

MADE_FROM = "made_from"
"""In that report: fingerprints of the images, their grid and the model, and the settings."""


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place when the block ends well, delete it otherwise.

    The temporary name keeps the file's ending, since some writers choose the format by it, in lower case, since some
    know no other. It is short, since the file's own name may be as long as the system allows.

    Raises:
        UnwritableFileError: the system does not let the file be written, such as on a full disk.
    """
    name = f".{os.getpid()}-{zlib.crc32(path.name.encode('utf-8', 'surrogatepass')):08x}{path.name[-8:].lower()}"
    temporary = path.with_name(name)
    with in_work(path), writing(path):
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


def prepare_output_file(path: Path, *, overwrite: bool, inputs: Mapping[str, str | Path] = {}) -> None:
    """Refuse to overwrite a file unasked, or one that is read, before any work is done.

    Args:
        path: the file.
        overwrite: it may be overwritten.
        inputs: the files that are read, by what they are to the user, such as "rater anna".
    """
    refuse_long_names(path)
    with _refusing(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the name of a file.")
        refuse_inputs_as_outputs([path], inputs)
        # A link to what is not there is no free name either: its target may only be elsewhere at the moment.
        if os.path.lexists(path) and not overwrite:
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
    refuse_long_names(path)
    with _refusing(path):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; give the name of a folder.")
        if path.is_dir() and any(path.iterdir()) and not (resume or overwrite):
            ways = "or resume" if overwrite is None else "resume, or overwrite"
            raise InputError(f"{path} is not empty. Give another folder, {ways}.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be made ({error.strerror or error}). Give another one.") from error


def refuse_inputs_as_outputs(outputs: Iterable[Path], inputs: Mapping[str, str | Path]) -> None:
    """Refuse to write over a file that is read, under whatever name: the only copy of a drawing may be lost.

    Args:
        outputs: files that will be written.
        inputs: the files that are read, by what they are to the user, such as "rater anna".

    Raises:
        InputError: an output is one of the inputs.
    """
    read = {identity(file): (what, file) for what, file in inputs.items()}
    for output in outputs:
        if os.path.lexists(output) and identity(output) in read:
            what, file = read[identity(output)]
            name = "" if str(output) == str(file) else f", under the name {file}"
            raise InputError(
                f"{output} would be overwritten, but it is also read here ({what}{name}). An input is never written "
                "over. Give the output another name."
            )


def identity(path: str | Path) -> tuple[object, ...]:
    """What a file is to the file system, whatever its name: equal for links, relative paths and other spellings."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return (os.path.realpath(path),)
    # Some network drives number no files.
    return (found.st_dev, found.st_ino) if found.st_ino else (os.path.normcase(os.path.realpath(path)),)


def expand_home(text: str) -> str:
    """A path whose leading ~ is the home folder, which a shell does not see in `--out=~/x` or in a text file.

    Raises:
        InputError: no such home folder is known, and nothing has the ~ in its own name.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        if os.path.lexists(text):
            return text
        home = Path(text).parts[0]
        raise InputError(
            f"{text}: no home folder {home} is known here. Give the whole path; a file or folder that is really called "
            f"so is ./{text}."
        ) from None


def why_absent(path: Path) -> str | None:
    """Why nothing is found at a path although its folder seems to show it; None where simply nothing is there.

    It is a broken link, or a name that only looks alike because its letters are composed in another way: "ü" may be
    one character, or "u" and two dots, as files that come from macOS often have it. The path may hold wildcards.
    """
    absolute = path.absolute()
    current, is_other = Path(absolute.anchor), False
    for part in absolute.parts[1:]:
        entry = current / part
        if entry.is_symlink() and not entry.exists():
            return _broken_link(entry)
        if not entry.exists():
            looks = unicodedata.normalize("NFC", part)
            if looks.isascii() and "**" not in looks and not any(sign in looks for sign in "*?["):
                return None
            try:
                names = sorted(found.name for found in current.iterdir())
            except OSError:
                return None
            alike = [name for name in names if fnmatch.fnmatchcase(unicodedata.normalize("NFC", name), looks)]
            if not alike:
                alike = [name for name in names if unicodedata.normalize("NFC", name) == looks]
            if not alike:
                return None
            entry = current / alike[0]
            if entry.is_symlink() and not entry.exists():
                return _broken_link(entry)
            is_other = is_other or not fnmatch.fnmatchcase(alike[0], part)
        current = entry
    if not is_other:
        return None
    return (
        f"{current} only looks alike: its name is written in another Unicode form (letters with accents or dots are "
        "composed in another way). Rename it, or copy its name from the folder"
    )


def _broken_link(path: Path) -> str:
    return (
        f"{path} is a broken link: it points to {path.readlink()}, which is not there. Fetch the file (git-annex and "
        "DataLad: get), connect its disk, or remove the link"
    )


def refuse_long_names(path: Path) -> None:
    """Refuse a name beyond what file systems allow, before work whose result could not be saved."""
    for part in path.parts:
        if (length := len(os.fsencode(part))) > LONGEST_NAME:
            raise InputError(
                f"{part[:40]}...: the name is too long: {length} bytes, at most {LONGEST_NAME} are allowed. Give a "
                "shorter one."
            )


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what the system says of a path that cannot be looked at into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: this cannot be used ({error.strerror or error}). Give another name.") from error


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
