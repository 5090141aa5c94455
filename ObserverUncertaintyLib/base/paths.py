"""Paths as people give them: what is one file under two names, and why nothing is found at one."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError


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
