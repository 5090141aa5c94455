"""A map of shares or entropies as a DICOM parametric map, by highdicom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.export.equipment import EQUIPMENT, SCHEME, series_description
from ObserverUncertaintyLib.export.fields import fields, sequence
from ObserverUncertaintyLib.export.source import SourceSeries

if TYPE_CHECKING:
    from pydicom import Dataset

QUANTITIES = {
    "probability": ("Probability", "probability, 0 to 1", ("1", "no units")),
    "predictive_entropy": ("Predictive entropy", "predictive entropy, bit", ("bit", "bit")),
    "expected_entropy": ("Expected entropy", "expected entropy, bit", ("bit", "bit")),
    "mutual_information": ("Mutual information", "mutual info., bit", ("bit", "bit")),
}
"""Maps by the names of a prediction's files: their name, what the list of series says, and their unit in UCUM."""


def map_object(source: SourceSeries, name: str, values: NDArray[np.float32], *, series_number: int) -> Dataset:
    """Make the object.

    Args:
        source: the series that it refers to.
        name: of the map, one of `QUANTITIES`.
        values: 0 to 1, shape (k, j, i) on the series' grid.
        series_number: its own.
    """
    import highdicom
    from pydicom.sr.coding import Code
    from pydicom.uid import generate_uid

    title, listed, (unit, unit_name) = QUANTITIES[name]
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=title[:16],
        lut_explanation=title,
        unit=Code(unit, "UCUM", unit_name),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=highdicom.sr.CodedConcept(name.replace("_", "-")[:16], SCHEME, title),
    )
    made = highdicom.pm.ParametricMap(
        source.headers,
        np.ascontiguousarray(source.in_file_order(values), np.float32),
        generate_uid(prefix=None),
        series_number,
        generate_uid(prefix=None),
        1,
        **EQUIPMENT,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        window_center=0.5,
        window_width=1.0,
        content_description=series_description(listed),
        content_label="UNCERTAINTY",
    )
    _order_along_normal(made, source)
    # Without it dcmqi's reader crashes, and the standard asks for a side; no code says more than that it is tissue.
    region = highdicom.sr.CodedConcept("85756007", "SCT", "Body tissue")
    anatomy = fields(AnatomicRegionSequence=sequence([region]), FrameLaterality="U")
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = sequence([anatomy])
    made.ContentCreatorName = made.get("ContentCreatorName", "")
    made.SeriesDescription = series_description(listed)
    return made


def _order_along_normal(made: Dataset, source: SourceSeries) -> None:
    """Put the frames in the order of the grid's slices: dcmqi's reader takes them in the file's, whatever their places.

    highdicom stores them the other way round.
    """
    frames = list(made.PerFrameFunctionalGroupsSequence)
    normal = np.array([source.grid.direction[n] for n in (2, 5, 8)])
    places = [np.dot(np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float), normal) for frame in frames]
    order = np.argsort(places)
    pixels = np.frombuffer(made.FloatPixelData, np.float32).reshape(len(frames), -1)
    made.FloatPixelData = pixels[order].tobytes()
    made.PerFrameFunctionalGroupsSequence = sequence(frames[number] for number in order)
    for number, frame in enumerate(made.PerFrameFunctionalGroupsSequence, 1):
        frame.FrameContentSequence[0].DimensionIndexValues = number
