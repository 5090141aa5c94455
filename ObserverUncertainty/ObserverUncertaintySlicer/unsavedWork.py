"""What was drawn in a working copy and not saved yet, on the disk: it survives a crash and the end of Slicer.

Each working copy has a folder of its own with the contour, the contour at the start, and a record of the rest. It is
deleted once a file has the work, or nobody wants it any more. A folder whose Slicer still runs is that Slicer's alone.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json, writing
from ObserverUncertaintyLib.base.records import from_json, to_json
from ObserverUncertaintyLib.formats import read_mask, write_mask
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid, same_grid
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role, recorded, setRecorded
from ObserverUncertaintySlicer.correction import (
    WorkingCopy,
    addWorkingCopy,
    contentsOf,
    isSavedAs,
    startMask,
)
from ObserverUncertaintySlicer.host import dataFolder, jobsFolder
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.volumes import gridOfVolume

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONTOUR, _START, _RECORD = "contour.nrrd", "start.nrrd", "record.json"
_FORMAT, _FORMAT_VERSION = "observer-uncertainty unsaved work", 1


@dataclass(frozen=True)
class Process:
    """The Slicer that writes: its computer, its id there, and what tells it from a later process with that id."""

    host: str
    pid: int
    identity: str

    @classmethod
    def own(cls) -> Process:
        """This one."""
        return cls(platform.node(), os.getpid(), identity(os.getpid()) or "")

    @property
    def isOwn(self) -> bool:
        """Whether it is this one."""
        return self == Process.own()

    @property
    def isHere(self) -> bool:
        """Whether it is, or was, of this computer."""
        return self.host == platform.node()

    @property
    def isAnotherAlive(self) -> bool:
        """Whether it is another one of this computer that still runs; of another computer this is not known."""
        return self.isHere and not self.isOwn and identity(self.pid) == self.identity


@dataclass(frozen=True)
class Record:
    """What stands beside the contour.

    Attributes:
        case: name of the case.
        grid: of the contour, in world coordinates.
        written: when, with time zone.
        changedMl: volume in mL of the voxels that differ from the start; None where the start is not known.
        name: of the working copy.
        segment: name of its segment.
        attributes: what the module keeps in the working copy's node.
        comment: that was typed and belongs to the next correction.
        process: the Slicer that wrote it.
    """

    case: str
    grid: Grid
    written: str
    changedMl: float | None
    name: str
    segment: str
    attributes: Mapping[str, str]
    furtherRater: str
    comment: str
    process: Process


@dataclass(frozen=True)
class UnsavedWork:
    """Unsaved work that was found.

    Attributes:
        folder: where it is kept.
        record: what it says of itself.
        written: when, in local time.
    """

    folder: Path
    record: Record
    written: datetime


def unsavedFolder() -> Path:
    """The folder of all unsaved work: where the jobs are, which hold patient data too.

    Beside the jobs' usual folder, and in one that was chosen: what lies beside that may be another user's.
    """
    jobs, usual = jobsFolder(), dataFolder()
    return (usual if jobs.parent == usual else jobs) / "Unsaved"


def keepUnsaved(copy: WorkingCopy, case: str, saved=None, comment: str = "") -> None:
    """Write what a working copy holds that was not saved; delete what was written of it where there is nothing.

    Args:
        copy: the working copy; where its segment is deleted, what was written before stays.
        case: the name of the case.
        saved: the correction that was saved last, if there is one.
        comment: that was typed for the next correction.

    Raises:
        UnwritableFileError: the system does not let the files be written; those that were written before stay.
    """
    try:
        grid, mask, _note = contentsOf(copy)
    except InputError:  # the user may undo the deletion
        return
    node, start = copy.node, startMask(copy, grid)
    isChanged = start is None or not np.array_equal(mask, start)
    states = _placesSeen(node)
    hasNews = (isChanged and not isSavedAs(copy, saved)) or (states and states != _placesSeen(saved))
    if not hasNews:
        dropUnsaved(node)
        return
    folder = _ownFolder(copy)
    if start is not None and not (folder / _START).exists():
        write_mask(folder / _START, start, grid)
    write_mask(folder / _CONTOUR, mask, grid)
    record = Record(
        case=case,
        grid=grid,
        written=datetime.now().astimezone().isoformat(timespec="milliseconds"),
        changedMl=None if start is None else int(np.count_nonzero(mask ^ start)) * grid.voxel_volume_ml,
        name=node.GetName(),
        segment=node.GetSegmentation().GetSegment(copy.segmentID).GetName(),
        attributes=recorded(node),
        furtherRater=attributes.FURTHER_RATER.of(node, ""),
        comment=comment,
        process=Process.own(),
    )
    _write(folder, record)


def dropUnsaved(node) -> None:
    """Delete what was written of a working copy or a further rater: it is in a file, or not wanted any more."""
    name = attributes.UNSAVED_AS.of(node)
    if name is not None and _isOwn(unsavedFolder() / name):
        _delete(unsavedFolder() / name)


def takeUpUnsaved(copy: WorkingCopy) -> None:
    """Give a working copy the name of its folder; one that has a name, as in a loaded scene, goes on with its folder.

    Where that folder holds another contour than the copy, which may be newer, or is another Slicer's, the copy gets
    another folder.
    """
    name = attributes.UNSAVED_AS.of(copy.node)
    if name is None:
        _nameFolder(copy)
        return
    folder = unsavedFolder() / name
    if not folder.exists():
        return
    try:
        record = _requireFree(folder)
        _grid, mask, _note = contentsOf(copy)
        isSame = record.process.isHere and np.array_equal(read_mask(folder / _CONTOUR).array, mask)
    except InputError:
        isSame = False
    if isSame:
        _write(folder, replace(record, process=Process.own()))
    else:
        _nameFolder(copy)


def handOver(copy: WorkingCopy, rater) -> None:
    """A further rater's node has from now on what was written of the contour, until it is in a file."""
    attributes.UNSAVED_AS.set(rater, attributes.UNSAVED_AS.of(copy.node))


def unsavedWork(case: str, grid: Grid, but: WorkingCopy | None = None) -> tuple[list[UnsavedWork], list[str]]:
    """The unsaved work on a case, the newest first, without that of other Slicers that still run.

    What belongs to a further rater who is in the scene is left out.

    Args:
        case: the name of the case.
        grid: of its first image, in world coordinates.
        but: a working copy whose own folder is left out.

    Returns:
        The work, and a text for each folder that cannot be read.
    """
    own = set() if but is None else {attributes.UNSAVED_AS.of(but.node)}
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if attributes.ROLE.of(node) == Role.RATER:
            own.add(attributes.UNSAVED_AS.of(node))
    found: list[UnsavedWork] = []
    problems: list[str] = []
    folder = unsavedFolder()
    try:
        records = sorted(folder.glob(f"*/{_RECORD}"))
    except OSError as error:
        return [], [_("{folder} cannot be looked into: {error}.").format(folder=folder, error=error)]
    for record in records:
        if record.parent.name in own:
            continue
        try:
            work = _read(record.parent)
        except InputError as error:
            problems.append(str(error))
            continue
        isOfCase = work.record.case == case and same_grid(work.record.grid, grid)
        if isOfCase and not work.record.process.isAnotherAlive:
            found.append(work)
    return sorted(found, key=lambda work: work.written, reverse=True), problems


def restoreUnsaved(work: UnsavedWork, backgroundVolume) -> WorkingCopy:
    """Make a working copy of unsaved work again; its folder is the new copy's from now on.

    Args:
        work: of `unsavedWork`.
        backgroundVolume: the image to draw on.

    Raises:
        InputError: a file cannot be read, the image has another grid, or another Slicer has taken the work up; the
            files stay as they are.
    """
    record, grid = _requireFree(work.folder), gridOfVolume(backgroundVolume)
    advice = _("Load the case again.")
    require_same_grid(record.grid, str(work.folder), grid, backgroundVolume.GetName(), advice)
    mask, start = _maskOf(work.folder / _CONTOUR, grid), None
    if (work.folder / _START).exists():
        start = _maskOf(work.folder / _START, grid)
    copy = addWorkingCopy(mask, start, grid, backgroundVolume, record.name, record.segment)
    setRecorded(copy.node, record.attributes)
    attributes.ROLE.set(copy.node, Role.WORKING_COPY)
    attributes.SEGMENT.set(copy.node, copy.segmentID)
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if attributes.UNSAVED_AS.of(node) == work.folder.name:
            attributes.UNSAVED_AS.set(node, None)
    if record.process.isHere:  # else it may be in use there, and this copy gets a folder of its own
        attributes.UNSAVED_AS.set(copy.node, work.folder.name)
        _write(work.folder, replace(record, process=Process.own()))
    return copy


def discardUnsaved(work: UnsavedWork) -> None:
    """Delete unsaved work; raises InputError where another Slicer has taken it up."""
    _requireFree(work.folder)
    _delete(work.folder)


def _placesSeen(node) -> list[tuple[int, str]]:
    """The places where something was found, and what; of a working copy, or of the correction that was saved of it."""
    entries = [] if node is None else attributes.PLACES.of(node, [])
    return [(number, entry["state"]) for number, entry in enumerate(entries) if entry["state"] != "open"]


def _nameFolder(copy: WorkingCopy) -> str:
    name = f"{datetime.now():%Y-%m-%d-%H%M%S}-{secrets.token_hex(3)}"
    attributes.UNSAVED_AS.set(copy.node, name)
    return name


def _ownFolder(copy: WorkingCopy) -> Path:
    """The folder to write to; another one than before where another Slicer has written there, with the same scene."""
    folder = unsavedFolder()
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = attributes.UNSAVED_AS.of(copy.node)
    if name is None or not _isOwn(folder / name):
        name = _nameFolder(copy)
    return folder / name


def _isOwn(folder: Path) -> bool:
    """Whether a folder is new, or was written last by this process."""
    try:
        return not (folder / _RECORD).exists() or _read(folder).record.process.isOwn
    except InputError:
        return False


def _write(folder: Path, record: Record) -> None:
    write_json(folder / _RECORD, {"format": _FORMAT, "format_version": _FORMAT_VERSION, **to_json(record)})


def _read(folder: Path) -> UnsavedWork:
    path = folder / _RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content.pop("format"), content.pop("format_version")) != (_FORMAT, _FORMAT_VERSION):
            raise ValueError("another format or version")
        record = from_json(Record, content)
        return UnsavedWork(folder, record, datetime.fromisoformat(record.written).astimezone())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            _(
                "{path} cannot be read: {error}. Expected a record of unsaved work in format version {version}; the "
                "contour beside it is left as it is. Load that by hand if you need it, and delete the folder."
            ).format(path=path, error=error or type(error).__name__, version=_FORMAT_VERSION)
        ) from error


def _requireFree(folder: Path) -> Record:
    record = _read(folder).record
    if record.process.isAnotherAlive:
        raise InputError(
            _("{folder}: another Slicer has taken this work up. Go on there, or close it first.").format(folder=folder)
        )
    return record


def _maskOf(path: Path, grid: Grid) -> NDArray[np.bool_]:
    mask = read_mask(path)
    require_same_grid(mask.grid, str(path), grid, _("the image"), _("Load the case again."))
    return mask.array


def _delete(folder: Path) -> None:
    with writing(folder):
        (folder / _RECORD).unlink(missing_ok=True)  # first: a half that is left is not taken for the whole
        if folder.exists():
            shutil.rmtree(folder)
