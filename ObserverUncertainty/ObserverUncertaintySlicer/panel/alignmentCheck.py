"""Whether the sequences of step 1 overlap, computed once, and what was done to those that did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.contents import Key, volumeKey
from ObserverUncertaintySlicer.registration import poorlyOverlapping, registrationOf

QUICK_VOXELS = 12_000_000
"""Up to here, over all sequences on the first one's grid, the check takes less than 2 s, so it is done unasked."""


class AlignmentCheck:
    """Keeps the last check, which holds as long as the sequences are the same."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._poor: list[tuple[str, float]] = []

    def check(self, sequences: Mapping[str, Any]) -> None:
        """See whether the sequences overlap the first one; raises InputError for a volume that cannot be used."""
        self._poor = poorlyOverlapping(sequences)
        self._key = _keyOf(sequences)

    def checkIfQuick(self, sequences: Mapping[str, Any]) -> None:
        """The same, but only where nobody has to wait for it."""
        if len(sequences) < 2:
            return
        image = next(iter(sequences.values())).GetImageData()
        if image is not None and image.GetNumberOfPoints() * len(sequences) <= QUICK_VOXELS:
            self.check(sequences)

    def forget(self) -> None:
        """Let go of the last check."""
        self._key, self._poor = None, []

    def text(self, sequences: Mapping[str, Any]) -> str:
        """What is known about the sequences' alignment; empty for fewer than two."""
        if len(sequences) < 2:
            return ""
        reference, first = next(iter(sequences.items()))
        lines = [line for name, node in sequences.items() if (line := _movement(name, node, first))]
        if self._key != _keyOf(sequences):
            lines.append(_("Alignment is not checked yet."))
        elif not self._poor:
            lines.append(_("All sequences overlap {reference}.").format(reference=reference))
        else:
            lines += [
                _(
                    "⚠ {name} hardly overlaps {reference} (Dice {overlap:.2f}): probably not aligned. "
                    "Align it under Change the case."
                ).format(name=name, reference=reference, overlap=overlap)
                for name, overlap in self._poor
            ]
        return "\n".join(lines)


def _movement(name: str, node, reference) -> str:
    found = registrationOf(node, reference)
    if found is None:
        return ""
    if not found.isMoved:
        return _("{name} was aligned already and stays as it is (moved by {distance:.2f} mm).").format(
            name=name, distance=found.largestShiftMm
        )
    return _("{name} was aligned: rotation {angle:.2f}°, shift {shift:.2f} mm.").format(
        name=name, angle=found.rotationDegrees, shift=found.shiftMm
    )


def _keyOf(sequences: Mapping[str, Any]) -> Key:
    return tuple((name, *volumeKey(node)) for name, node in sequences.items())
