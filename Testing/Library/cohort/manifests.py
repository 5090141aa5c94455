"""Manifests for tests: the shortest one, one of parts, and the files that they name."""

from __future__ import annotations

from pathlib import Path

from ObserverUncertaintyLib.cohort.manifest import Manifest, read_manifest

MINIMAL = """
[cohort]
name = "Study"
cases = "p*"

[images]
T1 = "t1.nii.gz"
"""


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def manifest(folder: Path, text: str, name: str = "cohort.toml") -> Manifest:
    (folder / name).write_text(text, encoding="utf-8")
    return read_manifest(folder / name)


def cohort(cases: str = '"p*"', images: str = 'T1 = "t1.nii.gz"', more: str = "", raters: str = "") -> str:
    return f'[cohort]\nname = "Study"\ncases = {cases}\n{more}\n[images]\n{images}\n[raters]\n{raters}\n'
