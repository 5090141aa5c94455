"""How a user names an image: a file or folder, and after '#' a segment or a DICOM series in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.paths import identity, why_absent
from ObserverUncertaintyLib.formats.errors import UnreadableFileError

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass(frozen=True)
class Source:
    """What a reference means to the file system: one file, under whatever path, and a part of it (None: all of it)."""

    identity: tuple[object, ...]
    selection: str | None

    @classmethod
    def of(cls, reference: str | Path) -> Source:
        """Look a reference up; raises UnreadableFileError if there is no such file or folder."""
        path, selection = split_reference(reference)
        return cls(identity(path), selection)

    def overlaps(self, other: Source) -> bool:
        """Whether both are one file, and the same part of it or one of them the whole."""
        parts = (self.selection, other.selection)
        return self.identity == other.identity and (None in parts or parts[0] == parts[1])


def split_reference(reference: str | Path) -> tuple[Path, str | None]:
    """Split `path#selection` into the path and the selection, which is None without a '#'.

    A '#' may be part of the path or of the selection: the longest part before a '#' that exists is the path.

    Raises:
        UnreadableFileError: if no such file or folder exists.
    """
    text = str(reference)
    try:
        if Path(text).exists():
            return Path(text), None
        for position in reversed([n for n, character in enumerate(text) if character == "#"]):
            path = Path(text[:position])
            if position > 0 and path.exists():
                return path, text[position + 1 :]
        reasons = [why_absent(Path(part)) for part in dict.fromkeys((text, text.partition("#")[0])) if part]
    except OSError as error:
        raise UnreadableFileError(f"{text}: it cannot be looked for ({error.strerror or error}). Check it.") from error
    for reason in filter(None, reasons):
        raise UnreadableFileError(f"{text}: there is no such file or folder; {reason}.")
    raise UnreadableFileError(
        f"{text}: there is no such file or folder (looked in {Path.cwd()}). Check the path; a segment of a Slicer "
        "segmentation is named as file.seg.nrrd#Segment name, a region of a DICOM RTSTRUCT or SEG as file.dcm#name, a "
        "DICOM series as folder#SeriesInstanceUID."
    )


def extension(path: Path) -> str:
    """The extension of a supported image format in lower case, such as ".nii.gz"; "" for every other."""
    name = path.name.lower()
    return next((known for known in EXTENSIONS if name.endswith(known)), "")


def stem(path: Path) -> str:
    """The file's name without its image extension and without Slicer's ".seg": "a" for "a.seg.nrrd" and "a.dcm"."""
    name = path.name[: len(path.name) - len(extension(path))]
    if name.lower().endswith(".dcm"):
        return name[:-4]
    return name[:-4] if name.lower().endswith(".seg") else name
