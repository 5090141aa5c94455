"""Raters from files alone, named after the files or the segments in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import refuse_shared_files
from ObserverUncertaintyLib.cohort.loading import LoadOptions, case_from_masks, refuse_results
from ObserverUncertaintyLib.formats import Mask, read_image, read_masks
from ObserverUncertaintyLib.formats.references import split_reference, stem


def load_raters(
    files: Sequence[str | Path], options: LoadOptions = LoadOptions(), image: str | Path | None = None
) -> Case:
    """Load raters' masks without images; a file that holds several segments or regions is several raters.

    Args:
        files: mask files or segmentations (`file.seg.nrrd` or `file.seg.nrrd#Segment name`; `file.dcm#name` for a DICOM
            SEG or RTSTRUCT).
        options: what may be resampled; the first mask's grid is the case's grid.
        image: what they drew on; an RTSTRUCT needs it, since it holds contours and no voxels.

    Raises:
        InputError: a file is missing, unreadable, not a mask, lies on another grid, is given twice, or is a result
            among drawings; or the files' segments are several structures of each rater.
    """
    refuse_shared_files("raters", {f"rater {number}": file for number, file in enumerate(files, 1)})
    space = None if image is None else read_image(image).space
    read = [(file, read_masks(file, space)) for file in files]
    warnings = _warn_of_structures(read)
    shared = Counter(mask.name for _file, found in read for mask in found)
    masks: dict[str, Mask] = {}
    sources: dict[str, str] = {}
    for file, found in read:
        path, _selection = split_reference(file)
        for mask in found:
            name = mask.name
            if shared[name] > 1 and name != stem(path):
                name = stem(path) if len(found) == 1 else f"{stem(path)} {name}"
            name = _unused_name(name, path, masks)
            masks[name], sources[name] = mask, str(file)
    refuse_results("raters", masks, sources)
    case = case_from_masks("raters", masks, options, sources)
    return replace(case, warnings=warnings + case.warnings)


def _warn_of_structures(read: Sequence[tuple[str | Path, list[Mask]]]) -> tuple[str, ...]:
    """Refuse segments of several files that share their names: these are structures, and no raters."""
    several = [(file, [mask.name for mask in found]) for file, found in read if len(found) > 1]
    if len(read) < 2 or not several:
        return ()
    in_files = Counter(name for _file, found in read for name in {mask.name.casefold() for mask in found})
    for file, names in several:
        if any(in_files[name.casefold()] > 1 for name in names):
            raise InputError(
                f"{file} holds {len(names)} segments ({', '.join(names)}), and another file has one of the same name: "
                "these are structures, not raters. Fuse one structure at a time: pick it in each file, as in "
                f"{Path(file).name}#{names[0]}"
            )
    return tuple(
        f"raters: {', '.join(names)} are segments of one file, and each is taken as a rater; if they are structures, "
        "pick one of them with '#' and its name"
        for _file, names in several
    )


def _unused_name(name: str, file: Path, taken: Mapping[str, Mask]) -> str:
    """A rater's name that no other has: two files may be called alike in different folders."""

    def candidates() -> Iterator[str]:
        yield name
        yield f"{file.absolute().parent.name}/{name}"
        yield from (f"{name} ({number})" for number in count(2))

    return next(candidate for candidate in candidates() if candidate not in taken)
