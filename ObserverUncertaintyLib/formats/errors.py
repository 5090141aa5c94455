"""What can be wrong with an image file."""

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.errors import UnwritableFileError as UnwritableFileError


class UnreadableFileError(InputError):
    """The file is missing, damaged, incomplete or of a kind that is not read."""


class InvalidImageError(InputError):
    """The file can be read, but it is not one scalar image with finite values."""


class InvalidMaskError(InputError):
    """The file can be read, but it is not a binary mask."""
