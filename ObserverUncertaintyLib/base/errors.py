"""The errors this library raises on purpose; everything else is a bug, and says what was in work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_WORK = "in work: "


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


@contextmanager
def in_work(what: str | Path) -> Iterator[None]:
    """Let an error that nobody foresaw say which file or case was in work when it came; `works_of` reads it."""
    try:
        yield
    except ObserverUncertaintyError:
        raise
    except Exception as error:
        error.add_note(f"{_IN_WORK}{what}")
        raise


def works_of(error: BaseException) -> list[str]:
    """The files and cases that were in work when an error came, the innermost first."""
    notes = getattr(error, "__notes__", [])
    return list(dict.fromkeys(note.removeprefix(_IN_WORK) for note in notes if note.startswith(_IN_WORK)))
