"""What every exported object says of itself: which program made it, that it is for research, and codes for it."""

from __future__ import annotations

from typing import Any

from ObserverUncertaintyLib.base.version import VERSION

PROGRAM = "ObserverUncertainty"
RESEARCH = "RESEARCH USE ONLY"

SCHEME = "99OBSUNC"
"""Names codes that are this program's own, since no standard has them (PS3.16 chapter 8: private schemes begin with
99)."""

EQUIPMENT: dict[str, Any] = {
    "manufacturer": PROGRAM,
    "manufacturer_model_name": PROGRAM,
    "software_versions": VERSION,
    "device_serial_number": "none",
}


def series_description(what: str) -> str:
    """For the list of series in a viewer, at most 64 characters."""
    text = f"{PROGRAM} {what}, {RESEARCH}"
    assert len(text) <= 64
    return text
