"""The cases of the scene, told apart by attributes of their nodes, and written as a cohort to train on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_text
from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintySlicer.attributes import CASE, SEQUENCE, SIMULATED
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raterMasks import raterMasks
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.sequenceExport import exportSequences
from ObserverUncertaintySlicer.volumes import gridOfVolume

MANIFEST_FILE = "cohort.toml"


@dataclass(frozen=True)
class SceneCase:
    """A patient's nodes.

    Attributes:
        name: of the case.
        sequences: sequence name to volume node.
        raters: the experts' contours.
        isSimulated: whether the images are made up.
    """

    name: str
    sequences: dict[str, Any]
    raters: list[Rater]
    isSimulated: bool = False


@dataclass(frozen=True)
class SceneCohort:
    """The scene's cases as files.

    Attributes:
        manifest: the cohort's manifest.
        names: of the cases, as they are in the scene.
        notes: what was done to the data (resampled), by case.
        warnings: what the user should know (a rater who drew nothing), by case.
    """

    manifest: Path
    names: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def markCase(case: SceneCase) -> None:
    """Note in the nodes that they are a case, so that it is found again, also in a saved scene.

    A case that is loaded a second time gets a number after its name.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLDisplayableNode")
    taken = {CASE.of(node) for node in nodes} - {None}
    candidates = [case.name, *(f"{case.name} ({number})" for number in range(2, len(taken) + 2))]
    name = next(candidate for candidate in candidates if candidate not in taken)
    for sequence, node in case.sequences.items():
        SEQUENCE.set(node, sequence)
    for node in [*case.sequences.values(), *dict.fromkeys(rater.node for rater in case.raters)]:
        CASE.set(node, name)
        SIMULATED.set(node, case.isSimulated or None)


def sceneCases(present: SceneCase | None = None) -> list[SceneCase]:
    """The cases whose nodes are marked, in the order of their volumes in the scene.

    Args:
        present: the case that the user works on, with the raters that take part. It stands for a marked case with one
            of its volumes, or else of the same name, and is added otherwise, if it has a volume.
    """
    marked: dict[str, SceneCase] = {}
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        name, sequence = CASE.of(node), SEQUENCE.of(node)
        if name and sequence:
            case = marked.setdefault(name, SceneCase(name, {}, [], SIMULATED.of(node, False)))
            case.sequences[sequence] = node
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"):
        for node in slicer.util.getNodesByClass(kind):
            case = marked.get(CASE.of(node, ""))
            if case is not None:
                case.raters.extend(ratersOfNode(node))
    if present is None or not present.sequences:
        return list(marked.values())
    volumes = list(present.sequences.values())
    same = [case for case in marked.values() if any(node in volumes for node in case.sequences.values())]
    same = same or [case for case in marked.values() if case.name == present.name]
    if not same:
        return [*marked.values(), present]
    stands = SceneCase(present.name, present.sequences, present.raters, any(case.isSimulated for case in same))
    return [stands if case is same[0] else case for case in marked.values() if case is same[0] or case not in same]


def requireCohort(cases: Sequence[SceneCase]) -> None:
    """Raise InputError, naming the cases, unless there are some, all with raters and the same sequences."""
    if not cases:
        raise InputError(
            _(
                "The scene has no case to train on. Load cases with their raters in step 1, or choose a cohort's "
                "manifest."
            )
        )
    without = [case.name for case in cases if not case.raters]
    if without:
        raise InputError(
            _("These cases have no rater: {cases}. Add their raters in step 1, or delete their volumes.").format(
                cases=", ".join(without)
            )
        )
    expected = set(cases[0].sequences)
    others = [case for case in cases if set(case.sequences) != expected]
    if others:
        raise InputError(
            _(
                "The cases have different sequences: {first} has {expected}, but {others}. Give all cases the same "
                "sequences under the same names, or delete those that differ."
            ).format(
                first=cases[0].name,
                expected=", ".join(cases[0].sequences),
                others="; ".join(
                    _("{case} has {found}").format(case=case.name, found=", ".join(case.sequences)) for case in others
                ),
            )
        )


def exportSceneCohort(
    folder: str | Path, name: str, label: str, cases: Sequence[SceneCase] | None = None
) -> SceneCohort:
    """Write cases as NRRD files with a manifest, as training reads them.

    Every case lies on the grid of its first sequence, in world coordinates; what lies on another grid is resampled, and
    this is noted.

    Args:
        folder: for the cohort; empty or new.
        name: of the cohort.
        label: the structure that the raters drew.
        cases: all of the scene if None.

    Raises:
        InputError: there is no case, a case has no rater or other sequences than the first, the folder holds files, or
            a node cannot be written.
    """
    folder = Path(folder)
    cases = sceneCases() if cases is None else list(cases)
    requireCohort(cases)
    prepare_output_folder(folder, resume=False, overwrite=False)
    sequences = list(cases[0].sequences)
    raterFiles: dict[str, str] = {}
    folders: list[str] = []
    notes: list[str] = []
    warnings: list[str] = []
    for case in cases:
        folders.append(_plainName(case.name, folders))
        target = folder / folders[-1]
        ordered = {sequence: case.sequences[sequence] for sequence in sequences}
        _files, done = exportSequences(ordered, target)
        found = raterMasks(case.raters, gridOfVolume(ordered[sequences[0]]))
        for rater, mask in zip(found.names, found.masks, strict=True):
            # Numbered: raters may have names that no file can have.
            file = raterFiles.setdefault(rater, f"rater-{len(raterFiles) + 1}.nrrd")
            write_mask(target / file, mask, found.grid)
        notes += [f"{case.name}: {text}" for text in (*done, *found.notes)]
        warnings += [f"{case.name}: {text}" for text in found.warnings]
    images = {sequence: f"{number}.nrrd" for number, sequence in enumerate(sequences)}
    isSimulated = any(case.isSimulated for case in cases)
    write_text(folder / MANIFEST_FILE, _manifest(name, label, folders, images, raterFiles, isSimulated))
    return SceneCohort(folder / MANIFEST_FILE, tuple(case.name for case in cases), tuple(notes), tuple(warnings))


def _manifest(
    name: str,
    label: str,
    cases: Iterable[str],
    images: Mapping[str, str],
    raters: Mapping[str, str],
    isSimulated: bool,
) -> str:
    lines = ["[cohort]", f"name = {_quoted(name)}", f"cases = [{', '.join(map(_quoted, cases))}]"]
    lines += [f"label = {_quoted(label)}", f"simulated = {str(isSimulated).lower()}"]
    for title, table in (("images", images), ("raters", raters)):
        lines += ["", f"[{title}]", *(f"{_quoted(key)} = {_quoted(file)}" for key, file in table.items())]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, except that TOML has no surrogate pairs and refuses the control character 127.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plainName(name: str, taken: Sequence[str]) -> str:
    """A folder's name like the case's that every system allows and no other case has."""
    plain = re.sub(r"[^\w .()+-]", "_", name).strip(" .")[:80] or "case"
    lower = {other.lower() for other in taken}
    candidates = [plain, *(f"{plain} ({number})" for number in range(2, len(taken) + 2))]
    return next(candidate for candidate in candidates if candidate.lower() not in lower)
