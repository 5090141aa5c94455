"""3D Slicer's segmentations (.seg.nrrd): several structures in one file, which may overlap.

The format is described in Slicer's developer guide, "Segmentation labelmap file format". Segment N is the voxels with
the value SegmentN_LabelValue in the volume SegmentN_Layer; segments that overlap lie in different layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidMaskError
from ObserverUncertaintyLib.formats.itk import StoredImage

_SEGMENT_FIELD = re.compile(r"Segment(\d+)_(ID|Name|LabelValue|Layer)")


@dataclass(frozen=True)
class Segment:
    """One structure of a segmentation: the voxels of `label_value` in volume number `layer`."""

    name: str
    identifier: str
    label_value: int
    layer: int


def list_segments(path: Path, stored: StoredImage) -> list[Segment]:
    """The segments that the file's own fields describe, in their order; none for a plain image.

    Raises:
        InvalidMaskError: if the fields do not fit the voxels.
    """
    numbered: dict[int, dict[str, str]] = {}
    for key, value in stored.segment_fields.items():
        if match := _SEGMENT_FIELD.fullmatch(key):
            numbered.setdefault(int(match[1]), {})[match[2]] = value.strip()
    if not numbered:
        return []
    _require_binary_voxels(path, stored)
    layers = stored.array.shape[3] if stored.array.ndim > 3 else 1
    return [_parse(path, number, numbered[number], layers) for number in sorted(numbered)]


def _parse(path: Path, number: int, fields: Mapping[str, str], layers: int) -> Segment:
    identifier = fields.get("ID", f"Segment{number}")
    try:
        # Slicer before 4.11 wrote one layer per segment, with the value 1 and neither field.
        label_value = int(fields.get("LabelValue", "1"))
        layer = int(fields.get("Layer", str(number) if layers > 1 else "0"))
    except ValueError as error:
        raise InvalidMaskError(
            f"{path}: the label value or layer of segment {identifier} is not a whole number ({error}); expected a "
            "segmentation as 3D Slicer saves it. Open it in 3D Slicer and save it again."
        ) from error
    if not 0 <= layer < layers:
        raise InvalidMaskError(
            f"{path}: segment {identifier} should lie in layer {layer}, but the file holds {layers} (counted from 0); "
            "expected a segmentation as 3D Slicer saves it. Open it in 3D Slicer and save it again."
        )
    return Segment(fields.get("Name") or identifier, identifier, label_value, layer)


def _require_binary_voxels(path: Path, stored: StoredImage) -> None:
    if stored.grid.size == (1, 1, 1):
        raise InvalidMaskError(
            f"{path}: every segment is empty, so that 3D Slicer saved a single voxel and no grid; expected at least "
            "one drawn segment. Draw the structure, or leave the file out."
        )
    for key in ("Segmentation_SourceRepresentation", "Segmentation_MasterRepresentation"):
        representation = stored.segment_fields.get(key, "Binary labelmap")
        if "fractional" in representation.lower():
            raise InvalidMaskError(
                f"{path}: the segmentation is stored as a {representation}; expected a binary labelmap. In 3D "
                "Slicer's Segmentations module make the binary labelmap the source representation, and save again."
            )


def segment_mask(stored: StoredImage, segment: Segment) -> NDArray[np.bool_]:
    """The voxels of one segment, shape (k, j, i)."""
    layer = stored.array[..., segment.layer] if stored.array.ndim > 3 else stored.array
    return np.asarray(layer == segment.label_value)
