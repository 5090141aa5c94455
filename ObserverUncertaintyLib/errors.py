"""The errors this library raises on purpose; everything else is a bug."""


class ObserverUncertaintyError(Exception):
    """Base of every error the library raises on purpose; its text is meant for the user."""


class InputError(ObserverUncertaintyError):
    """What the user gave cannot be used as it is.

    The text names the file, says what was found, what was expected and what to do. The command line exits with 2.
    """


class UnwritableFileError(InputError):
    """A file could not be written, most often because its disk is full or its folder is write-protected."""


class DeviceError(ObserverUncertaintyError):
    """The computing device is absent or ran out of memory; the text says what to try."""


class Cancelled(ObserverUncertaintyError):  # noqa: N818  (an outcome the user asked for, not a failure)
    """The user asked the work to stop; what was complete so far is kept."""
