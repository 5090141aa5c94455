"""A worklist: a manifest of what a folder holds, under pseudonyms, and beside it the file that says who is who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_private_json, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.manifest import Manifest, read_manifest
from ObserverUncertaintyLib.cohort.manifest_text import manifest_text
from ObserverUncertaintyLib.cohort.sources import SOURCES_NOTICE, Sources, SourcesError, read_sources
from ObserverUncertaintyLib.worklist.contours import add_raters
from ObserverUncertaintyLib.worklist.drafting import MANIFEST_FILE, SOURCES_FILE, Drafting
from ObserverUncertaintyLib.worklist.found_cases import IMAGE, RATER, FoundCase, Unmatched, same_name
from ObserverUncertaintyLib.worklist.plain_folders import find_folders
from ObserverUncertaintyLib.worklist.pseudonyms import in_order, with_pseudonyms
from ObserverUncertaintyLib.worklist.scanning import scan
from ObserverUncertaintyLib.worklist.settings import WorklistSettings
from ObserverUncertaintyLib.worklist.studies import find_studies


@dataclass(frozen=True)
class ListedCase:
    """What is told of a case; no word of it tells who the patient is.

    Attributes:
        name: its pseudonym.
        sequences: those that were found.
        raters: those that were found.
        notes: what was done and left.
        why_not: why it is not in the manifest; "" if it is.
        is_new: whether an updated worklist did not have it.
    """

    name: str
    sequences: tuple[str, ...]
    raters: tuple[str, ...]
    notes: tuple[str, ...] = ()
    why_not: str = ""
    is_new: bool = True


@dataclass(frozen=True)
class Worklist:
    """What was made.

    Attributes:
        manifest: the manifest, which names no patient.
        sources: the file that says who is who.
        cases: every case.
        unmatched: how often something was not used, by what it is and why.
        notes: what is told of the whole.
    """

    manifest: Path
    sources: Path
    cases: tuple[ListedCase, ...]
    unmatched: Mapping[tuple[str, str], int]
    notes: tuple[str, ...] = ()


def make_worklist(
    folder: str | Path,
    out: str | Path,
    settings: WorklistSettings | None = None,
    *,
    update: bool = False,
    progress: Progress | None = None,
) -> Worklist:
    """Look through a folder of patients and write a manifest of the cases in it, and its sources.

    Args:
        folder: the patients' folder; DICOM, or folders of image files.
        out: a new folder for `cohort.toml` and `sources.json`; with `update` one that holds them.
        settings: what is a sequence and what a rater.
        update: known patients keep their pseudonyms; what the manifest says besides its cases is kept.
        progress: is told of every folder, and can cancel.

    Raises:
        InputError: there is no case in the folder, none has all sequences, or a file cannot be read or written.
    """
    folder, out, progress = Path(folder), Path(out).absolute(), progress or Progress()
    settings = settings or WorklistSettings()
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Give the folder that holds the patients.")
    old = _read_old(out) if update else None
    if old is None:
        prepare_output_folder(out, resume=None, overwrite=None)
    found = scan(folder.resolve(), progress)
    studies, unmatched = find_studies(found, settings.rules)
    unmatched += add_raters(studies, found, settings.structures)
    plain, others = find_folders(found, studies, settings.rules, settings.structures)
    unmatched += [
        *others,
        *(Unmatched("file", reason, path) for reason, paths in found.others.items() for path in paths),
    ]
    cases = [study.case for study in studies] + plain
    if not cases:
        raise InputError(f"{folder}: no case was found; expected DICOM series or image files. {_counted(unmatched)}")
    known = {} if old is None else _known_cases(old[1])
    _unify_raters(cases, () if old is None else old[0].raters)
    _warn_of_other_people(cases, known)
    named = with_pseudonyms(cases, known)
    drafting = Drafting(named, known, settings, old, _counted(unmatched))
    manifest = drafting.manifest(out)
    vanished = {name: case for name, case in known.items() if name not in named}
    everyone = {**named, **vanished}
    write_private_json(
        out / SOURCES_FILE,
        {
            "notice": SOURCES_NOTICE,
            "root": str(found.root),
            "cases": {name: {**everyone[name].record(), "found": name in named} for name in in_order(everyone)},
            "not_used": [
                {"file": one.path.relative_to(found.root).as_posix(), "what": one.what, "why": one.reason}
                for one in unmatched
            ],
        },
    )
    root = None if manifest.root == out.resolve() else manifest.root  # somebody gave one for further patterns
    write_text(out / MANIFEST_FILE, manifest_text(manifest, root=root, sources=SOURCES_FILE))
    listed = [
        ListedCase(
            name,
            tuple(case.names(IMAGE)),
            tuple(case.names(RATER)),
            tuple(case.notes),
            drafting.why_not.get(name, ""),
            name not in known,
        )
        for name, case in named.items()
    ]
    listed += [
        ListedCase(name, (), (), (), "it is no longer in the folder; it keeps its pseudonym", is_new=False)
        for name in in_order(vanished)
    ]
    counts = Counter((one.what, one.reason) for one in unmatched)
    return Worklist(out / MANIFEST_FILE, out / SOURCES_FILE, tuple(listed), counts, tuple(drafting.notes))


def _read_old(out: Path) -> tuple[Manifest, Sources]:
    """The manifest and the sources of a worklist that is updated."""
    if not (out / MANIFEST_FILE).is_file() and not (out / SOURCES_FILE).is_file():
        raise InputError(f"{out}: there is no worklist to update; expected {MANIFEST_FILE} and {SOURCES_FILE} in it.")
    manifest, sources = read_manifest(out / MANIFEST_FILE), read_sources(out / SOURCES_FILE)
    if manifest.sources is None:
        raise InputError(f"{manifest.path}: this manifest is no worklist's: it names no sources. Give another folder.")
    return manifest, sources


def _known_cases(sources: Sources) -> dict[str, FoundCase]:
    cases = {}
    for name, record in sources.cases.items():
        try:
            cases[name] = FoundCase.of_record(record)
        except (KeyError, TypeError, ValueError) as error:
            raise SourcesError(
                f"{sources.path}: {name} does not say how its patient is recognised. Take an earlier copy of the file; "
                "a new worklist would give other pseudonyms."
            ) from error
    return cases


def _unify_raters(cases: Sequence[FoundCase], known: Mapping[str, str] | Sequence[str]) -> None:
    """Give a rater one spelling in all cases: that of the manifest, or the first one."""
    spelling = {same_name(name): name for name in known}
    for case in cases:
        for rater in case.names(RATER):
            name = spelling.setdefault(same_name(rater), rater)
            if name != rater:
                case.files = {
                    f"{RATER}{name}" if role == f"{RATER}{rater}" else role: file for role, file in case.files.items()
                }


def _warn_of_other_people(cases: Sequence[FoundCase], known: Mapping[str, FoundCase]) -> None:
    """Tell of an ID under which there are several names or birth dates: it may be several patients'."""
    people: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for case in (*cases, *known.values()):
        if case.patient is not None and case.patient.id:
            people.setdefault(case.person, set()).add((case.patient.name.casefold(), case.patient.birth_date))
    for case in cases:
        if len(people.get(case.person, ())) > 1:
            case.notes.append(
                "the headers give several names or birth dates for this patient's ID; look whether it is one patient"
            )


def _counted(unmatched: Sequence[Unmatched]) -> str:
    counts = Counter((one.what, one.reason) for one in unmatched)
    found = "; ".join(f"{count} x {what}: {reason}" for (what, reason), count in counts.most_common(5))
    return f"Not used: {found}." if found else "Everything in it is used."
