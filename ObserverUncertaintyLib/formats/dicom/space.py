"""The image that a mask belongs to: contours are drawn onto its voxel grid, and must lie in its frame of reference."""

from __future__ import annotations

from collections.abc import Collection
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


def require_same_space(path: Path, what: str, frames_of_reference: Collection[str], space: Space) -> list[str]:
    """Refuse what was drawn in another frame of reference than the image's; returns what the user should know.

    Args:
        path: the file that holds it.
        what: was drawn, in words.
        frames_of_reference: in which it may have been drawn; empty if the file does not say.
        space: the image.

    Raises:
        InvalidMaskError: both name frames of reference, and not the same one.
    """
    if frames_of_reference and space.frame_of_reference:
        if space.frame_of_reference not in frames_of_reference:
            raise InvalidMaskError(
                f"{path}: {what} was drawn in another frame of reference than the image's, so that it is not known "
                "where in the image it lies; expected contours of this image, or of one that was taken with it. Give "
                "the series that it was drawn on, or register both images and transfer the contours in the program "
                "that drew them."
            )
        if len(frames_of_reference) == 1:
            return []
        return ["the file names several frames of reference; what was drawn is taken to lie in the image's"]
    which = "the image" if frames_of_reference else "the file"
    # Without the structure's name, which may hold a patient's: warnings go into results.
    return [f"{which} names no frame of reference; what was drawn is taken to lie in the image's"]
