"""MetaImage files (.mha, .mhd): SimpleITK reads damaged data and NaN, or refuses them with a misleading reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ObserverUncertaintyLib.formats.errors import UnreadableFileError
from ObserverUncertaintyLib.formats.geometry_fields import NO_VOXEL_SIZE, require_millimetres
from ObserverUncertaintyLib.formats.integrity import damaged, decompressed_size, require_data_file
from ObserverUncertaintyLib.formats.itk import StoredImage, read_with_itk

_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_SPACING = ("ElementSpacing", "ElementSize")
_PLACE = ("Offset", "Position", "Origin", "TransformMatrix", "Rotation", "Orientation")
_LONGEST_LINE = 1 << 20


def read_metaimage(path: Path, several: bool = False) -> StoredImage:
    """Read a MetaImage file after checking that its data is whole; `several` as for `read_with_itk`.

    Raises:
        UnreadableFileError: if the file is no MetaImage file, or is damaged or incomplete.
        InvalidImageError: if the file holds several volumes, or is measured in other units than mm.
    """
    fields, data_offset = _read_header(path)
    data_name = fields["ElementDataFile"]
    is_attached = data_name.upper() == "LOCAL"
    data_file = path if is_attached else require_data_file(path, data_name)
    if fields.get("BinaryData", "True").lower() == "true":
        _require_complete(path, fields, data_file, data_offset if is_attached else 0)
    _require_finite_geometry(path, fields)
    require_millimetres(path, [fields.get("DistanceUnits", "")])
    stored = read_with_itk(path, "MetaImageIO", several)
    return stored if any(name in fields for name in _SPACING) else replace(stored, warnings=(NO_VOXEL_SIZE,))


def _require_finite_geometry(path: Path, fields: Mapping[str, str]) -> None:
    """Raise UnreadableFileError for a number that cannot be; ITK takes 0 for it."""
    for name in (*_SPACING, *_PLACE):
        try:
            bad = [text for text in fields.get(name, "").split() if not math.isfinite(float(text))]
        except ValueError as error:
            raise damaged(path, f"its header gives no numbers as {name} ({error})") from error
        if bad:
            raise damaged(path, f"its header gives {fields[name]} as {name}")


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of the header, of which ElementDataFile is the last, and the offset of what follows."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields:
            line = file.readline(_LONGEST_LINE)
            name, separator, value = line.decode("utf-8", "replace").partition("=")
            if not separator:
                raise UnreadableFileError(
                    f"{path}: this is not a whole MetaImage file: {line[:40]!r} stands where a line 'Name = value' of "
                    "the header is expected. Check what the file is, or export the image again."
                )
            fields[name.strip()] = value.strip()
        return fields, file.tell()


def _require_complete(path: Path, fields: dict[str, str], data_file: Path, offset: int) -> None:
    """Raise UnreadableFileError unless the data has the length that the header says."""
    try:
        voxels = math.prod(int(n) for n in fields["DimSize"].split())
        voxel_bytes = _BYTES[fields["ElementType"]] * int(fields.get("ElementNumberOfChannels", "1"))
        header_size = int(fields.get("HeaderSize", "0"))
    except (KeyError, ValueError) as error:
        raise damaged(path, f"its header lacks a usable DimSize or ElementType ({error})") from error
    expected = voxels * voxel_bytes
    if fields.get("CompressedData", "False").lower() == "true":
        with data_file.open("rb") as file:
            file.seek(offset)
            found = decompressed_size(path, file)
    else:
        found = data_file.stat().st_size - offset - max(header_size, 0)
    if found < expected:
        raise damaged(path, f"{expected} bytes of voxels expected, {found} found in {data_file.name}")
