"""Contours as a DICOM segmentation (SEG), one segment each, by highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.export.contours import Contour
from ObserverUncertaintyLib.export.equipment import EQUIPMENT, PROGRAM, SCHEME, series_description
from ObserverUncertaintyLib.export.source import SourceSeries

if TYPE_CHECKING:
    from pydicom import Dataset


def segmentation_object(
    source: SourceSeries, contours: Sequence[Contour], what: str, *, series_number: int, property_type: str
) -> Dataset:
    """Make the object; see `write_object`.

    Args:
        source: the series that it refers to.
        contours: masks on its grid, which may overlap; one of them has a voxel at least.
        what: the segments are, for the list of series.
        series_number: its own.
        property_type: what each segment shows, "lesion" or "entropy".
    """
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    algorithm = highdicom.AlgorithmIdentificationSequence(
        PROGRAM, codes.DCM.ArtificialIntelligence, VERSION, source=PROGRAM
    )
    if property_type == "entropy":
        kind = highdicom.sr.CodedConcept("entropy", SCHEME, "Predictive entropy")
        category = highdicom.sr.CodedConcept("uncertainty", SCHEME, "Uncertainty of a segmentation")
    else:
        kind, category = codes.SCT.Lesion, codes.SCT.MorphologicallyAbnormalStructure
    described = []
    for number, contour in enumerate(contours, 1):
        automatic = "SEMIAUTOMATIC" if contour.by_hand else "AUTOMATIC"
        segment = highdicom.seg.SegmentDescription(
            number, contour.name, category, kind, automatic, algorithm, display_color=_lab(contour.color)
        )
        segment.SegmentDescription = contour.description
        described.append(segment)
    pixels = np.stack([source.in_file_order(contour.mask) for contour in contours], axis=-1)
    made = highdicom.seg.Segmentation(
        source.headers,
        pixels,
        "BINARY",
        described,
        generate_uid(prefix=None),
        series_number,
        generate_uid(prefix=None),
        1,
        **EQUIPMENT,
        content_label="SEGMENTATION",
        content_description=series_description(what),
    )
    made.SeriesDescription = series_description(what)
    return made


def _lab(color: tuple[int, int, int]) -> Any:
    import highdicom

    return highdicom.color.CIELabColor.from_rgb(*color)
