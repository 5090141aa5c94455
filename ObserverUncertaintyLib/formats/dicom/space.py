"""The image that a mask belongs to: contours are drawn onto its voxel grid, and must lie in its frame of reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.formats.errors import InvalidMaskError
from ObserverUncertaintyLib.images.grid import Grid


@dataclass(frozen=True)
class Space:
    """Where an image lies.

    Attributes:
        grid: its voxel grid.
        frame_of_reference: the UID of the patient's space in which DICOM gives its place; "" where its file has none.
    """

    grid: Grid
    frame_of_reference: str = ""


def require_same_space(path: Path, what: str, frame_of_reference: str, space: Space) -> list[str]:
    """Refuse what was drawn in another frame of reference than the image's; returns what the user should know.

    Args:
        path: the file that holds it.
        what: was drawn, in words.
        frame_of_reference: in which it was drawn; "" if the file does not say.
        space: the image.

    Raises:
        InvalidMaskError: both name a frame of reference, and not the same one.
    """
    if frame_of_reference and space.frame_of_reference:
        if frame_of_reference == space.frame_of_reference:
            return []
        raise InvalidMaskError(
            f"{path}: {what} was drawn in another frame of reference than the image's, so that it is not known where "
            "in the image it lies; expected contours of this image, or of one that was taken with it. Give the series "
            "that it was drawn on, or register both images and transfer the contours in the program that drew them."
        )
    which = "the image" if frame_of_reference else "the file"
    # Without the structure's name, which may hold a patient's: warnings go into results.
    return [f"{which} names no frame of reference; what was drawn is taken to lie in the image's"]
