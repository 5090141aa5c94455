"""The TOML manifest that names a cohort's files by patterns, so that no file is copied or renamed."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.paths import expand_home, why_absent
from ObserverUncertaintyLib.cohort.case_files import CaseFiles, refuse_shared_files
from ObserverUncertaintyLib.cohort.sources import IN_SOURCES, Sources, SourcesError, check_patterns, read_sources
from ObserverUncertaintyLib.formats.errors import UnreadableFileError
from ObserverUncertaintyLib.formats.references import split_reference

_COHORT_KEYS = {
    "name": str,
    "root": str,
    "sources": str,
    "cases": (str, list),
    "label": str,
    "truth": str,
    "reference": str,
    "skull_stripped": bool,
    "simulated": bool,
}
_TABLES = {"cohort", "images", "raters"}
_WILDCARDS = re.compile(r"[*?\[]")
_WHAT_IT_IS = """A manifest is a text file ending in .toml that says where a cohort's files lie, for example
[cohort]
name = "My cohort"
cases = ["patient1", "patient2"]
[images]
T1 = "t1.nii.gz"
[raters]
anna = "anna.nii.gz"
for the folders patient1 and patient2 beside it. Give such a file, or write one with a text editor."""


class ManifestError(InputError):
    """The manifest cannot be read, has an unknown key, or names files that are not there."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest file says, with its patterns not yet resolved.

    Attributes:
        path: the manifest file.
        name: the cohort's name.
        root: absolute folder that patterns start from.
        cases: a glob or the list of case names.
        label: the one structure that the raters drew.
        images: sequence name to pattern; the order is the network's channel order.
        raters: rater name to pattern.
        truth: pattern of the true mask, where one is known.
        reference: the sequence whose grid is the case's grid; the first one unless named.
        skull_stripped: whether the images show the brain only; None where the manifest does not say.
        simulated: whether the images are made up; models trained on them say so.
        sources: where the files of each case lie, for the patterns "{sources}".
    """

    path: Path
    name: str
    root: Path
    cases: str | tuple[str, ...]
    label: str
    images: dict[str, str]
    raters: dict[str, str]
    truth: str | None = None
    reference: str | None = None
    skull_stripped: bool | None = None
    simulated: bool = False
    sources: Sources | None = None

    def case_names(self) -> tuple[str, ...]:
        """The cases' names, sorted where `cases` is a glob, in the given order where it is a list."""
        if isinstance(self.cases, tuple):
            return self.cases
        pattern = next(iter(self.images.values()))
        if pattern == IN_SOURCES and self.sources:
            names = set(fnmatch.filter(self.sources.files, self.cases))
        elif "{case}" in pattern:
            names = self._names_in_pattern(pattern, self.cases)
        else:
            folders = self._glob(self.root, self.cases)
            for folder in folders:
                self._refuse_broken_link(folder, "cases")
            names = {folder.relative_to(self.root).as_posix() for folder in folders if folder.is_dir()}
        if not names:
            raise ManifestError(
                f'{self.path}: the cohort is empty: no case matches cases = "{self.cases}" below {self.root}.\n'
                "Check root and cases; a pattern without {case} needs one folder for each case."
            )
        return tuple(sorted(names))

    def files(self, case: str) -> CaseFiles:
        """Resolve every pattern for one case; a missing rater is listed, a missing image is an error."""
        images, missing = self._image_files(case)
        if missing:
            places = "\n".join(f"  {self._place(case, sequence)}" for sequence in missing)
            raise ManifestError(
                f"{self.path}: case {case} has no image {', '.join(missing)}: there is nothing at\n{places}\n"
                "Check the pattern in [images], or list the cases that are complete in cases = [...]."
            )
        raters = {rater: self.rater_file(case, rater) for rater in self.raters}
        files = CaseFiles(
            name=case,
            images=images,
            raters={rater: found for rater, found in raters.items() if found is not None},
            missing_raters=tuple(rater for rater, found in raters.items() if found is None),
            truth=self.truth_file(case),
        )
        try:
            refuse_shared_files(case, files.by_role())
        except InputError as error:
            raise ManifestError(f"{self.path}: {error}") from None
        return files

    def missing_images(self, case: str) -> tuple[str, ...]:
        """The sequences that a case lacks; without them it cannot be loaded."""
        return self._image_files(case)[1]

    def rater_file(self, case: str, rater: str) -> str | None:
        """The file of one rater for one case; None if there is none."""
        return self._resolve(case, self.raters[rater], f"rater {rater}")

    def truth_file(self, case: str) -> str | None:
        """The file of the true mask for one case; None if there is none, or the manifest names none."""
        return self._resolve(case, self.truth, "truth") if self.truth else None

    def _image_files(self, case: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """The files of a case's images by sequence, and the sequences without one."""
        found = {name: self._resolve(case, pattern, f"image {name}") for name, pattern in self.images.items()}
        files = {name: file for name, file in found.items() if file is not None}
        return files, tuple(name for name in found if name not in files)

    def _place(self, case: str, sequence: str) -> str:
        """Where a case's image was looked for."""
        pattern = self.images[sequence]
        if pattern != IN_SOURCES or not self.sources:
            return str(self._path(case, pattern))
        return self.sources.reference(case, f"image {sequence}") or f"{self.sources.path}, which names none"

    def _path(self, case: str, pattern: str) -> Path:
        if "{case}" in pattern:
            return self.root / pattern.replace("{case}", case)
        return self.root / case / pattern

    def _resolve(self, case: str, pattern: str, role: str) -> str | None:
        """The one file (with its #segment) that a pattern means for a case, or None."""
        if pattern == IN_SOURCES and self.sources:
            return self._from_sources(self.sources, case, role)
        file_pattern, hash_sign, segment = pattern.partition("#")
        path = self._path(case, file_pattern)
        try:
            if not _WILDCARDS.search(file_pattern):
                found = path if path.exists() else None
            else:
                found = self._resolve_wildcards(case, file_pattern, role)
            reason = why_absent(path) if found is None else None
        except OSError as error:
            raise ManifestError(
                f"{self.path}: {role} of case {case} cannot be looked for at {path} ({error.strerror or error}). Check "
                "the pattern, and that you may open the folder."
            ) from error
        if reason is not None:
            raise ManifestError(f"{self.path}: {role} of case {case} is not at {path}: {reason}.")
        return None if found is None else f"{found}{hash_sign}{segment}"

    def _from_sources(self, sources: Sources, case: str, role: str) -> str | None:
        reference = sources.reference(case, role)
        if reference is None:
            return None
        try:
            split_reference(reference)
        except UnreadableFileError:
            if reason := why_absent(Path(reference.partition("#")[0])):
                raise ManifestError(f"{sources.path}: {role} of case {case} is not there: {reason}.") from None
            return None
        return reference

    def _resolve_wildcards(self, case: str, pattern: str, role: str) -> Path | None:
        """The one file that a pattern with wildcards matches for a case and that is no other case's, or None."""
        matches = self._matches(case, pattern)
        if "{case}" in pattern:
            # "P1*" matches the file of P10 too, whose name says more.
            shown = [match.as_posix() for match in matches]
            for other in self._known_cases if matches else ():
                if other == case or case not in other or not any(other in path for path in shown):
                    continue
                theirs = self._matches(other, pattern)
                matches = [match for match in matches if match not in theirs]
        if len(matches) > 1:
            listing = "\n".join(f"  {match}" for match in matches)
            raise ManifestError(
                f'{self.path}: the pattern "{pattern}" of {role} matches {len(matches)} files for case {case}:\n'
                f"{listing}\nMake the pattern match one file for each case."
            )
        if not matches:
            return None
        self._refuse_broken_link(matches[0], f"{role} of case {case}")
        if "{case}" in pattern and _number_goes_on(case, pattern, self._shown(matches[0], pattern)):
            raise ManifestError(
                f'{self.path}: the pattern "{pattern}" of {role} matches for case {case} only {matches[0]}, whose '
                f"number goes on, so that it seems to be of another case. Write what follows the name, as in "
                f'"{pattern.replace("{case}*", "{case}_*")}", or move the file away.'
            )
        return matches[0]

    @cached_property
    def _known_cases(self) -> tuple[str, ...]:
        try:
            return self.case_names()
        except ManifestError:
            return ()

    def _matches(self, case: str, pattern: str) -> list[Path]:
        if "{case}" in pattern:
            return self._glob(self.root, pattern.replace("{case}", glob.escape(case)))
        return self._glob(self.root / case, pattern)

    def _refuse_broken_link(self, path: Path, what: str) -> None:
        if path.is_symlink() and not path.exists():
            raise ManifestError(f"{self.path}: {what}: {why_absent(path)}.")

    def _glob(self, folder: Path, pattern: str) -> list[Path]:
        """The paths that a pattern matches, sorted; it starts from the folder unless it is absolute.

        As in a shell, a wildcard stands for no hidden file: those are of the system or of an interrupted copy.
        """
        anchor = Path(pattern).anchor
        if anchor:
            folder, pattern = Path(anchor), pattern[len(anchor) :]
        try:
            found = sorted(folder.glob(pattern))
        except ValueError as error:
            raise ManifestError(f'{self.path}: "{pattern}" is not a pattern that can be searched: {error}.') from error
        if any(part.startswith(".") for part in Path(pattern).parts):
            return found
        return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]

    def _shown(self, found: Path, pattern: str) -> str:
        """A found path as its pattern would have it: relative to root, unless the pattern is absolute."""
        return (found if Path(pattern).is_absolute() else found.relative_to(self.root)).as_posix()

    def _names_in_pattern(self, pattern: str, cases: str) -> set[str]:
        """The case names for which files exist, read off the first image's pattern."""
        file_pattern = Path(pattern.partition("#")[0]).as_posix()
        translated = _translated_parts(file_pattern)
        # A second {case} in one pattern must repeat the name that the first one caught.
        expression = translated[0] + "(?P<case>[^/]+)" + "(?P=case)".join(translated[1:])
        names = set()
        for found in self._glob(self.root, file_pattern.replace("{case}", cases)):
            match = re.fullmatch(expression, self._shown(found, file_pattern))
            if match and fnmatch.fnmatchcase(match["case"], cases):
                names.add(match["case"])
        return names


def read_manifest(path: str | Path) -> Manifest:
    """Read and check a manifest file; raises ManifestError with the file, what was found and what was expected."""
    path = Path(path)
    if path.is_dir():
        raise ManifestError(f"{path} is a folder; a manifest is a .toml file. Were two arguments swapped?")
    try:
        # Windows' Notepad puts a byte order mark first, which TOML 1.0 does not know.
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such manifest. {_WHAT_IT_IS}") from None
    except OSError as error:
        raise ManifestError(f"{path}: the manifest cannot be read: {error}. Check that you may read it.") from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: this is no manifest: it holds no text in UTF-8. {_WHAT_IT_IS} If this file is meant as one, save "
            "it in the text editor with the encoding UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not a readable TOML manifest: {error}. {_WHAT_IT_IS}") from error
    _refuse_unknown(path, content, _TABLES, "table")
    cohort = _table(path, content, "cohort")
    _refuse_unknown(path, cohort, set(_COHORT_KEYS), "key in [cohort]")
    for key, value in cohort.items():
        if not isinstance(value, _COHORT_KEYS[key]):  # type: ignore[arg-type]
            raise ManifestError(f"{path}: {key} in [cohort] has the wrong type: {value!r}.")
    for key in ("name", "cases"):
        if key not in cohort:
            raise ManifestError(f'{path}: [cohort] needs the key "{key}".')
    images = _patterns(path, content, "images")
    if not images:
        raise ManifestError(f'{path}: [images] names no sequence. Write for example T1 = "t1.nii.gz".')
    reference = cohort.get("reference")
    if reference is not None and reference not in images:
        raise ManifestError(f'{path}: reference = "{reference}" is none of the images: {", ".join(images)}.')
    manifest = Manifest(
        path=path,
        name=cohort["name"],
        root=Path(os.path.realpath(path.parent / expand_home(cohort.get("root", ".")))),
        cases=_case_names(path, cohort["cases"]),
        label=cohort.get("label", "structure"),
        images=images,
        raters=_patterns(path, content, "raters"),
        truth=None if cohort.get("truth") is None else expand_home(cohort["truth"]),
        reference=reference,
        skull_stripped=cohort.get("skull_stripped"),
        simulated=cohort.get("simulated", False),
        sources=read_sources(path.parent / expand_home(cohort["sources"])) if "sources" in cohort else None,
    )
    names = {**{f"image {name}": text for name, text in images.items()}, "truth": manifest.truth or ""}
    names |= {f"rater {name}": text for name, text in manifest.raters.items()}
    try:
        check_patterns(names, manifest.cases, manifest.sources)
    except SourcesError as error:
        raise ManifestError(f"{path}: {error}") from None
    return manifest


def _table(path: Path, content: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ManifestError(f"{path}: [{name}] must be a table.")
    if name == "cohort" and not table:
        raise ManifestError(f"{path}: the table [cohort] with name and cases is missing.")
    return table


def _patterns(path: Path, content: Mapping[str, Any], table: str) -> dict[str, str]:
    patterns = _table(path, content, table)
    for name, pattern in patterns.items():
        if not isinstance(pattern, str) or not pattern:
            raise ManifestError(f"{path}: {name} in [{table}] must be a file pattern in quotes, not {pattern!r}.")
    _refuse_look_alikes(path, patterns, f"[{table}]")
    return {name: expand_home(pattern) for name, pattern in patterns.items()}


def _case_names(path: Path, cases: str | list[Any]) -> str | tuple[str, ...]:
    if isinstance(cases, str):
        if not Path(cases).parts or not _is_below(cases):
            raise ManifestError(f"{path}: cases = {cases!r} is not a pattern of names of folders below root.")
        return cases
    if not cases:
        raise ManifestError(f"{path}: the cohort is empty: cases = [] lists no case.")
    for name in cases:
        if not isinstance(name, str) or not name or not _is_below(name):
            raise ManifestError(f"{path}: {name!r} in cases is not a name of a folder below root.")
    repeated = sorted({name for name in cases if cases.count(name) > 1})
    if repeated:
        raise ManifestError(f"{path}: cases lists {', '.join(repeated)} more than once.")
    _refuse_look_alikes(path, cases, "cases")
    return tuple(cases)


def _refuse_look_alikes(path: Path, names: Iterable[str], where: str) -> None:
    """Refuse two names that a reader cannot tell apart: in results they would be one."""
    seen: set[str] = set()
    for name in names:
        looks = unicodedata.normalize("NFC", name)
        if looks in seen:
            raise ManifestError(
                f"{path}: {where} has two names that look alike ({name}) and differ only in their Unicode form. Rename "
                "one of them."
            )
        seen.add(looks)


def _number_goes_on(case: str, pattern: str, found: str) -> bool:
    """Whether the case's name, where it stands in a file's path, is part of a longer number: P1 in P10_ben.nii.gz."""
    if re.search(r"\d\{case\}|\{case\}\d", pattern):
        return False
    parts = _translated_parts(pattern)
    # Leading zeros make no other number.
    alone = (r"(?<!\d)0*" if case[:1].isdigit() else "") + re.escape(case) + (r"(?!\d)" if case[-1:].isdigit() else "")
    return (
        re.fullmatch(re.escape(case).join(parts), found) is not None and re.fullmatch(alone.join(parts), found) is None
    )


def _translated_parts(pattern: str) -> list[str]:
    """What stands before, between and after each {case} of a pattern, as regular expressions."""
    parts = Path(pattern).as_posix().split("{case}")
    return [fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z") for part in parts]


def _is_below(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _refuse_unknown(path: Path, table: Mapping[str, Any], known: set[str], kind: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ManifestError(f"{path}: unknown {kind}: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
