"""A cohort: the cases that a manifest names, each loaded when asked for."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ObserverUncertaintyLib.base.errors import in_work
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import REVIEWED_BY, CaseFiles
from ObserverUncertaintyLib.cohort.loading import LoadOptions, load_case
from ObserverUncertaintyLib.cohort.manifest import Manifest, ManifestError, read_manifest
from ObserverUncertaintyLib.formats.references import Source


class Cohort:
    """Cases named by a manifest; each is loaded when asked for.

    Attributes:
        manifest: what the manifest file says.
        case_names: the cases, all of the manifest's or those chosen.
        files_by_case: the files of the cases that have them.
    """

    def __init__(self, manifest: Manifest, cases: Sequence[str] | None = None, *, incomplete: bool = False) -> None:
        """Choose cases of a manifest (all if None).

        Args:
            manifest: what the manifest file says.
            cases: the names.
            incomplete: accept cases whose files are missing or not clear; loading one tells what is wrong with it.

        Raises:
            ManifestError: a case is unknown or incomplete, a file belongs to two cases, or a rater drew in none.
        """
        self.manifest = manifest
        known = manifest.case_names()
        unknown = [case for case in cases or () if case not in known]
        if unknown:
            looks = {unicodedata.normalize("NFC", case) for case in known}
            alike = [case for case in unknown if unicodedata.normalize("NFC", case) in looks]
            raise ManifestError(
                f"{manifest.path}: no such case: {', '.join(unknown)}. The cohort has: {', '.join(known)}."
                + (f" {alike[0]} only looks alike: it is written in another Unicode form." if alike else "")
            )
        repeated = sorted(case for case, times in Counter(cases or ()).items() if times > 1)
        if repeated:
            raise ManifestError(f"{manifest.path}: chosen more than once: {', '.join(repeated)}. Name each case once.")
        self.case_names = known if cases is None else tuple(cases)
        # Every pattern is resolved before long work begins, so that the last case's missing file is found first.
        self.files_by_case: dict[str, CaseFiles] = {}
        self._problems: dict[str, str] = {}
        for case in self.case_names:
            try:
                self.files_by_case[case] = manifest.files(case)
            except ManifestError as error:
                if not incomplete:
                    raise
                self._problems[case] = str(error)
        self._refuse_shared_files(known)
        if incomplete:
            return  # each case is looked at by itself
        # All cases count, not only the chosen ones: a rater may well have drawn none of those.
        for rater in manifest.raters:
            if not any(manifest.rater_file(case, rater) for case in known):
                raise ManifestError(
                    f'{manifest.path}: rater {rater} has no file in any case: "{manifest.raters[rater]}" matches '
                    "nothing. Check the pattern in [raters]."
                )
        if manifest.truth and not any(manifest.truth_file(case) for case in known):
            raise ManifestError(
                f'{manifest.path}: the truth has no file in any case: "{manifest.truth}" matches nothing. Check truth '
                "in [cohort]."
            )

    def _refuse_shared_files(self, known: Sequence[str]) -> None:
        """Refuse a file that a chosen case shares with any other: one of the two is read as another patient's."""
        owners: dict[tuple[object, ...], list[tuple[str, str, str, Source]]] = {}
        for case in dict.fromkeys((*self.case_names, *known)):
            try:
                files = self.files_by_case.get(case) or self.manifest.files(case)
            except ManifestError:
                continue  # another case's trouble
            for role, file in files.by_role().items():
                source = Source.of(file)
                for other, other_role, other_file, other_source in owners.get(source.identity, ()):
                    if other != case and other in self.files_by_case and source.overlaps(other_source):
                        also = "" if file == other_file else f" and {other_file}, which are one file"
                        raise ManifestError(
                            f"{self.manifest.path}: {other} ({other_role}) and {case} ({role}) are given the same "
                            f"file: {file}{also}. No file belongs to two cases; check the patterns, links and cases."
                        )
                owners.setdefault(source.identity, []).append((case, role, file, source))

    @classmethod
    def open(cls, manifest: str | Path, cases: Sequence[str] | None = None, *, incomplete: bool = False) -> Cohort:
        """Read a manifest file and choose cases of it; arguments and errors as for the class."""
        return cls(read_manifest(manifest), cases, incomplete=incomplete)

    def __len__(self) -> int:
        return len(self.case_names)

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self.manifest.name

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences' names in channel order."""
        return tuple(self.manifest.images)

    def files(self, case: str) -> CaseFiles:
        """The files of one of the cases; raises ManifestError if they are missing or not clear."""
        if case in self._problems:
            raise ManifestError(self._problems[case])
        return self.files_by_case[case]

    def load_images(self, case: str, options: LoadOptions = LoadOptions()) -> Case:
        """Load one case of the cohort without its raters and truth, as prediction needs it."""
        files = self.files(case)
        with in_work(f"case {case}"):
            return load_case(case, files.images, {}, reference=self.manifest.reference, options=options)

    def load(self, case: str, options: LoadOptions = LoadOptions()) -> Case:
        """Load one case of the cohort; raises InputError for files that cannot be used as they are."""
        files = self.files(case)
        with in_work(f"case {case}"):
            loaded = load_case(
                case,
                files.images,
                files.raters,
                truth=files.truth,
                reference=self.manifest.reference,
                options=options,
            )
        missing = tuple(
            f"{case}: rater {rater} has no file for this case"
            for rater in files.missing_raters
            if not rater.startswith(REVIEWED_BY)
        )
        if self.manifest.truth and files.truth is None:
            missing += (f"{case}: the truth has no file for this case",)
        return replace(loaded, warnings=missing + loaded.warnings)

    def load_all(self, options: LoadOptions = LoadOptions(), progress: Progress | None = None) -> list[Case]:
        """Load every case, passing notes and warnings on to `progress`."""
        progress = progress or Progress()
        progress.start("load", len(self))
        cases = []
        for name in self.case_names:
            progress.check_cancelled()
            case = self.load(name, options)
            for text in case.notes:
                progress.message(text)
            for text in case.warnings:
                progress.warning(text)
            cases.append(case)
            progress.advance(1, name)
        return cases

    def without(self, cases: Sequence[str]) -> Cohort:
        """The cohort without some of its cases."""
        return Cohort(self.manifest, [name for name in self.case_names if name not in cases])
