"""The packages that training and prediction need, and whether a Python has them in versions that fit."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass

VERSIONS = {"torch": ">=2.11,<2.16", "safetensors": ">=0.4.3"}
"""What is installed for the work, in the versions that `pyproject.toml` declares."""

BROUGHT = ("numpy", "scipy", "SimpleITK")
"""What every Slicer has in a version of its own."""


@dataclass(frozen=True)
class Lack:
    """A package that is not there, or is there in a version that does not fit.

    Attributes:
        name: the package's.
        found: the version that is there; None if there is none.
    """

    name: str
    found: str | None = None

    def __str__(self) -> str:
        """Its name and, if another version is there, both versions."""
        return self.name if self.found is None else f"{self.name} {VERSIONS[self.name]} (found {self.found})"


def lacking(names: tuple[str, ...] = (*BROUGHT, *VERSIONS)) -> list[Lack]:
    """Which of these packages this Python lacks, or has in a version that does not fit; none of them is imported."""
    found = []
    for name in names:
        if importlib.util.find_spec(name) is None:
            found.append(Lack(name))
        elif name in VERSIONS and (version := _installed_version(name)) and not fits(version, VERSIONS[name]):
            found.append(Lack(name, version))
    return found


def fits(version: str, wanted: str) -> bool:
    """Whether a version such as "2.13.0+cpu" is one of those wanted, such as ">=2.11,<2.16"."""
    found = _numbers(version)
    for part in wanted.split(","):
        bound = _numbers(part.lstrip("<>="))
        if not (found >= bound if part.startswith(">=") else found < bound):
            return False
    return True


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # such as a folder on the path, which says nothing
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The release as numbers without zeros at the end: 2.13.0+cpu and 2.13 are the same."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in re.sub(r"(\.0+)+$", "", release[0]).split(".")) if release else ()
