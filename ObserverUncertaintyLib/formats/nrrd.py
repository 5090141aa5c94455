"""NRRD files (.nrrd, .nhdr): SimpleITK looks at no checksum of compressed data, and takes what is missing for 1 mm."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ObserverUncertaintyLib.formats.errors import UnreadableFileError
from ObserverUncertaintyLib.formats.geometry_fields import NO_PLACE, NO_VOXEL_SIZE, require_millimetres
from ObserverUncertaintyLib.formats.integrity import decompressed_size, require_data_file
from ObserverUncertaintyLib.formats.itk import StoredImage, read_with_itk

_LONGEST_LINE = 1 << 20


def read_nrrd(path: Path, several: bool = False) -> StoredImage:
    """Read a NRRD file after checking that its data is whole; `several` as for `read_with_itk`.

    Raises:
        UnreadableFileError: if the file is no NRRD file, or is damaged or incomplete.
        InvalidImageError: if the file holds several volumes, or is measured in other units than mm.
    """
    fields, data_offset = _read_header(path)
    data_name = fields.get("data file", fields.get("datafile"))
    data_file = path if data_name is None else require_data_file(path, data_name)
    # SimpleITK itself reports raw data that is too short; it passes over a wrong checksum.
    if fields.get("encoding", "").lower() in ("gzip", "gz"):
        with data_file.open("rb") as file:
            file.seek(data_offset if data_name is None else 0)
            for _ in range(int(fields.get("line skip", "0"))):
                file.readline()
            decompressed_size(path, file)
    for name in ("space units", "units"):
        require_millimetres(path, re.findall(r'"([^"]*)"', fields.get(name, "")))
    stored = read_with_itk(path, "NrrdImageIO", several)
    return replace(stored, warnings=_missing_geometry(fields, stored.grid.dimension))


def _missing_geometry(fields: Mapping[str, str], dimension: int) -> tuple[str, ...]:
    if "space directions" in fields:
        return () if fields["space directions"].count("(") >= dimension else (NO_VOXEL_SIZE,)
    known = [spacing for spacing in fields.get("spacings", "").split() if math.isfinite(float(spacing))]
    if len(known) < dimension:
        return (NO_VOXEL_SIZE,)
    return (NO_PLACE,) if dimension == 3 else ()


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of the header with lower-case names, and the offset of the data that follows it."""
    fields = {}
    with path.open("rb") as file:
        start = file.readline(_LONGEST_LINE)
        if not start.startswith(b"NRRD"):
            raise UnreadableFileError(
                f"{path}: this is not a NRRD file: it starts with {start[:12]!r}, expected 'NRRD'. Check what the "
                "file is, or export the image again."
            )
        while (line := file.readline(_LONGEST_LINE).strip()) != b"":
            name, separator, value = line.decode("utf-8", "replace").partition(": ")
            if separator and not name.startswith("#"):
                fields[name.lower()] = value.strip()
        return fields, file.tell()
