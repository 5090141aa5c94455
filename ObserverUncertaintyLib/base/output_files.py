"""Output files and folders: nothing is overwritten unasked, nothing is left half-written."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError, UnwritableFileError, in_work
from ObserverUncertaintyLib.base.paths import identity

LONGEST_NAME = 255
"""Bytes of one file's or folder's name that file systems allow."""


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
            # Here the system itself says why it refuses; the writers of images do not.
            temporary.touch()
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
            f"{path}: the file cannot be written: {_reason(error)}. Expected a folder that can be written to, "
            "with enough free space; check both, or choose another folder."
        ) from error


def _reason(error: OSError) -> str:
    """What the system says; a library may have put a text of its own in that place."""
    return os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; not-a-number is an error, since JSON has no such value."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_private_json(path: Path, content: Any) -> None:
    """Write a JSON file that only its owner may read; it is so before it has any content."""
    try:
        data = json.dumps(content, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a file's name that is no text in the system's encoding
        data = json.dumps(content, indent=2).encode()
    with written_atomically(path) as temporary:
        temporary.chmod(0o600)
        temporary.write_bytes(data + b"\n")


def write_new_json(path: Path, content: Any) -> bool:
    """Write a JSON file unless it is there; of several processes that do so at the same moment one succeeds.

    Returns:
        Whether this call wrote it.
    """
    temporary = path.with_name(f".{os.getpid()}-{zlib.crc32(os.urandom(8)):08x}.json")
    with in_work(path), writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links: then the moment between the two counts
                if path.exists():
                    return False
                temporary.replace(path)
            return True
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


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


def prepare_output_folder(path: Path, *, resume: bool | None, overwrite: bool | None) -> None:
    """Make a folder; refuse one that holds files unless they may be continued or overwritten.

    Args:
        path: the folder.
        resume: its files may be continued; None where there is no such option.
        overwrite: they may be overwritten; None where there is no such option.
    """
    if resume and overwrite:
        raise InputError("To resume and to overwrite contradict each other; choose one of them.")
    refuse_long_names(path)
    with _refusing(path):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; give the name of a folder.")
        if path.is_dir() and any(path.iterdir()) and not (resume or overwrite):
            options = {"resume": resume, "overwrite": overwrite}
            *others, last = ["Give another folder", *(way for way, given in options.items() if given is not None)]
            raise InputError(f"{path} is not empty. {', '.join([*others, f'or {last}'] if others else [last])}.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be made ({error.strerror or error}). Give another one.") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: nothing can be written into this folder (permission denied). Give another one.")


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
