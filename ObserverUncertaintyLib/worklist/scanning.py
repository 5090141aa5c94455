"""What lies in a folder of patients: DICOM series, image files, and files that are neither or damaged.

Most files are further slices of a series that is known already. Of these the first bytes tell as much: they hold, as
the series' first file does, the kind of object, the patient's ID and name, and study and series one after the other.
Only what does not fit is parsed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ObserverUncertaintyLib.base.paths import identity
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.formats.references import extension
from ObserverUncertaintyLib.worklist.headers import Header, UnreadableHeaderError, quiet_pydicom, read_header

_HEAD_BYTES = 8192
"""Of a file; the series stands within, unless a scanner wrote a lot of its own before."""

_PREAMBLE = 128
_KIND, _NAME, _ID = b"\x08\x00\x16\x00", b"\x10\x00\x10\x00", b"\x10\x00\x20\x00"
_STUDY, _SERIES = b"\x20\x00\x0d\x00", b"\x20\x00\x0e\x00"
_GROUP = _SERIES[:2]
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")


@dataclass
class Series:
    """One DICOM series of one patient.

    Attributes:
        header: of its first file.
        files: the names of its files by the folder that holds them.
    """

    header: Header
    files: dict[Path, list[str]] = field(default_factory=dict)

    @property
    def slices(self) -> int:
        """How many slices it has."""
        return self.header.frames * sum(map(len, self.files.values()))

    @property
    def first(self) -> Path:
        """One of its files."""
        folder, names = next(iter(self.files.items()))
        return folder / names[0]


@dataclass
class Found:
    """What lies in a folder and below.

    Attributes:
        root: the folder.
        series: the DICOM series.
        images: folder to the NIfTI, NRRD and MetaImage files directly in it.
        others: what was not used, by the reason in words; the paths are for the file that identifies patients only.
    """

    root: Path
    series: list[Series] = field(default_factory=list)
    images: dict[Path, list[Path]] = field(default_factory=dict)
    others: dict[str, list[Path]] = field(default_factory=dict)

    def leave_out(self, reason: str, path: Path) -> None:
        """Note a file that is not used."""
        self.others.setdefault(reason, []).append(path)


def scan(root: Path, progress: Progress) -> Found:
    """Look through a folder; links are followed, hidden files are not looked at."""
    found = Found(root)
    folders = list(_folders(root, found))
    known: dict[tuple[object, ...], Series] = {}
    progress.start("read headers", len(folders))
    with quiet_pydicom():
        for folder, names in folders:
            progress.check_cancelled()
            _scan_folder(folder, names, found, known)
            progress.advance()
    return found


def _folders(root: Path, found: Found) -> Iterator[tuple[Path, list[str]]]:
    """Every folder with its files' names, sorted; one that has two names because of links comes once."""
    seen: set[tuple[object, ...]] = set()
    refused: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=refused.append, followlinks=True):
        if (place := identity(folder)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))
    for error in refused:
        found.leave_out("folders that cannot be opened", Path(error.filename))


def _scan_folder(folder: Path, names: list[str], found: Found, known: dict[tuple[object, ...], Series]) -> None:
    place = str(folder)
    marks: list[tuple[tuple[bytes, ...], list[str]]] = []
    for name in names:
        if extension(Path(name)) if "." in name and not name.lower().endswith(_DICOM_ENDINGS) else "":
            found.images.setdefault(folder, []).append(folder / name)
            continue
        try:
            with open(os.path.join(place, name), "rb", buffering=0) as file:  # noqa: PTH118, PTH123  (30000 of them)
                head = file.read(_HEAD_BYTES)
        except OSError:
            found.leave_out("files that cannot be opened", folder / name)
            continue
        for parts, files in marks:
            if all(part in head for part in parts):
                files.append(name)
                break
        else:
            header = _header(folder / name, head, found)
            if header is None:
                continue
            key = (header.patient.key, header.study_uid, header.series_uid, header.kind)
            series = known.get(key)
            if series is None:
                series = known[key] = Series(header)
                found.series.append(series)
            files = series.files.setdefault(folder, [])
            files.append(name)
            # Each file of contours is one of its own, and so is one with many frames.
            if not header.is_contours and header.frames == 1 and (mark := _mark(head, header)):
                marks.insert(0, (mark, files))


def _header(path: Path, head: bytes, found: Found) -> Header | None:
    has_preamble = head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"
    # Old exports begin at once with the first group.
    if not has_preamble and head[:2] not in (b"\x08\x00", b"\x02\x00"):
        is_meant = path.suffix.lower() in _DICOM_ENDINGS
        found.leave_out("damaged DICOM files" if is_meant else "files that are no images", path)
        return None
    try:
        header = read_header(str(path), has_preamble)
    except UnreadableHeaderError as error:
        found.leave_out(str(error), path)
        return None
    if header is None:
        found.leave_out("files that are no images", path)
    return header


def _mark(head: bytes, header: Header) -> tuple[bytes, ...] | None:
    """Bytes that only files of the same patient, series and kind have; None if they are not found.

    A series' UID stands in other files too, which refer to it, even behind the study's. Only at its own place it stands
    behind the study's and before others of the group.
    """
    series = header.series_uid.encode("ascii", "replace")
    start = head.find(_STUDY)
    while start >= 0:
        study_end = _end(head, start)
        end = _end(head, study_end) if head[study_end : study_end + 4] == _SERIES else 0
        if end and head[study_end:end].rstrip(b"\0 ").endswith(series) and head[end : end + 2] == _GROUP:
            parts = [head[start : end + 2]]
            for tag in (_KIND, _NAME, _ID):
                place = head.find(tag)
                if place >= 0:
                    parts.append(head[place : _end(head, place)])
            return tuple(parts)
        start = head.find(_STUDY, start + 1)
    return None


def _end(head: bytes, start: int) -> int:
    """Where a field ends that has two letters and two bytes of length, or four bytes of length, behind its tag."""
    is_explicit = head[start + 4 : start + 6].isalpha()
    length = head[start + 6 : start + 8] if is_explicit else head[start + 4 : start + 8]
    return start + 8 + int.from_bytes(length, "little")


def shared_uids(series: list[Series]) -> Counter[tuple[Path, str]]:
    """How many series of a folder have one and the same UID, which must be one."""
    return Counter((folder, one.header.series_uid) for one in series for folder in one.files)
