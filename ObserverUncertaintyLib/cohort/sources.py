"""Where the files of each case lie, for a manifest that names neither paths nor patients: the file `sources.json`.

It says who the cases are, so it stays with the patients' data; the manifest beside it says nothing of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError

IN_SOURCES = "{sources}"
"""The pattern of a manifest's image or rater whose files the sources name."""

SOURCES_NOTICE = (
    "This file identifies patients. It stays with the patients' data and is not shared; cohort.toml beside it names no "
    "patient and may be."
)


class SourcesError(InputError):
    """The file of sources cannot be read, or is none."""


@dataclass(frozen=True)
class Sources:
    """What a file of sources says.

    Attributes:
        path: the file.
        root: the folder that the references start from.
        cases: each case's record: its `files`, and what recognises its patient.
    """

    path: Path
    root: Path
    cases: Mapping[str, Mapping[str, Any]]

    @property
    def files(self) -> dict[str, Mapping[str, str]]:
        """Case name to file references by what they are to the case, such as "image T1" or "rater anna"."""
        return {case: record["files"] for case, record in self.cases.items()}

    def reference(self, case: str, role: str) -> str | None:
        """A case's file, with what is picked of it; None if the sources name none."""
        reference = self.cases.get(case, {}).get("files", {}).get(role)
        # As text: a name behind the # may have slashes that a path would lose.
        return None if reference is None else os.path.join(self.root, reference)  # noqa: PTH118


def read_sources(path: str | Path) -> Sources:
    """Read a file of sources; raises SourcesError with what was found and what was expected."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourcesError(
            f"{path}: no such file of sources, which says where the cases' files lie. It stays with the patients' "
            "data: fetch it, or write its path into the manifest."
        ) from None
    except OSError as error:
        raise SourcesError(
            f"{path}: the sources cannot be read ({error.strerror or error}). They identify patients: check that you "
            "may read them."
        ) from error
    except ValueError as error:
        raise SourcesError(f"{path}: this is no file of sources: it holds no JSON. Make the worklist again.") from error
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, dict) or not isinstance(content.get("root"), str):
        raise SourcesError(f'{path}: this is no file of sources; expected "root" and "cases". Make the worklist again.')
    for case, record in cases.items():
        files = record.get("files") if isinstance(record, dict) else None
        if not isinstance(files, dict) or not all(isinstance(file, str) and file for file in files.values()):
            raise SourcesError(f'{path}: case {case} has no "files" that name a file for each role. Correct it.')
    return Sources(path, path.parent / content["root"], cases)


def check_patterns(patterns: Mapping[str, str], cases: str | tuple[str, ...], sources: Sources | None) -> None:
    """Refuse "{sources}" without sources, sources without "{sources}", and a case of which they know nothing.

    Args:
        patterns: what a manifest's patterns are to a case, such as "image T1", and the patterns.
        cases: the manifest's cases.
        sources: its sources, if it names any.

    Raises:
        SourcesError: they do not fit; the text does not name the manifest.
    """
    using = [role for role, pattern in patterns.items() if IN_SOURCES in pattern]
    for role in using:
        if patterns[role] != IN_SOURCES:
            raise SourcesError(f'{role} is "{patterns[role]}"; expected "{IN_SOURCES}" alone, or a pattern without it.')
    if using and sources is None:
        raise SourcesError(
            f'{using[0]} is "{IN_SOURCES}", but [cohort] does not say where that is. Write for example sources = '
            '"sources.json" into [cohort].'
        )
    if sources is None:
        return
    if not using:
        raise SourcesError(
            f'[cohort] has sources, but nothing is taken from there. Write for example T1 = "{IN_SOURCES}" into '
            "[images], or leave sources out."
        )
    unknown = [case for case in cases if case not in sources.cases] if isinstance(cases, tuple) else []
    if unknown and any(role.startswith("image ") for role in using):
        raise SourcesError(
            f"cases names {', '.join(unknown)}, of which {sources.path} says nothing. Take them out of cases, or make "
            "the worklist again."
        )
