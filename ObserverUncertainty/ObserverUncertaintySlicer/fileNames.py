"""Names for people as names of files."""

from __future__ import annotations

import re


def asFileName(name: str) -> str:
    """The name with an underscore for every character that Windows, the strictest system, forbids in file names."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name)
