"""What is kept about an error says where it came and not about whom: messages may quote paths, and what headers say."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

_UID = re.compile(r"(?<!\d)(?<!\d\.)[0-2](?:\.\d+){5,}")


def traceback_without_messages(error: BaseException) -> str:
    """Where an error came and of which kind it and its causes are, the first cause first."""
    parts = []
    for each in reversed(list(_causes(error))):
        parts.append("Traceback (most recent call last):\n")
        parts += traceback.format_tb(each.__traceback__)
        parts.append(f"{type(each).__qualname__} (its message is not kept, since it may name a patient)\n")
    return "".join(parts)


def without_uids(text: str) -> str:
    """A text with "[UID]" in the place of each UID of DICOM, by which hospitals find patients."""
    return _UID.sub("[UID]", text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
