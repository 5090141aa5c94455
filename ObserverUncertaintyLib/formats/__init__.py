"""Reading and writing image files; each format's traps are dealt with in its own file."""

from ObserverUncertaintyLib.formats.errors import InvalidImageError, InvalidMaskError, UnreadableFileError
from ObserverUncertaintyLib.formats.images import Volume, read_image
from ObserverUncertaintyLib.formats.masks import Mask, read_mask, read_masks
from ObserverUncertaintyLib.formats.writing import write_image, write_mask

__all__ = [
    "InvalidImageError",
    "InvalidMaskError",
    "Mask",
    "UnreadableFileError",
    "Volume",
    "read_image",
    "read_mask",
    "read_masks",
    "write_image",
    "write_mask",
]
