"""What a reviewer found at each place to review, kept with the working copy and so with the scene."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from ObserverUncertaintySlicer import attributes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintySlicer.places import ScenePlaces

_SAME_MM = 0.1


class PlaceState(StrEnum):
    """What became of a place."""

    OPEN = "open"
    ACCEPTED = "accepted"
    EDITED = "edited"
    SKIPPED = "skipped"


class PlaceStates:
    """The states of a working copy's places.

    Args:
        node: the working copy's; what it knows of the same places is taken up.
        places: to review.
    """

    def __init__(self, node, places: ScenePlaces) -> None:
        self._node, self._places = node, places
        self._found = [PlaceState.OPEN] * len(places.places)
        self._edited: set[int] = set()
        for number, entry in enumerate(self._kept()):
            state = PlaceState(entry["state"])
            if state is PlaceState.EDITED:
                self._edited.add(number)
            else:
                self._found[number] = state
        self._keep()

    def state(self, index: int) -> PlaceState:
        """Of the place with this index; what was edited counts more than what was said of it."""
        return PlaceState.EDITED if index in self._edited else self._found[index]

    def found(self, index: int, state: PlaceState) -> None:
        """The reviewer accepts or skips a place; an accepted one that is skipped later stays accepted."""
        if not (state is PlaceState.SKIPPED and self._found[index] is PlaceState.ACCEPTED):
            self._found[index] = state
            self._keep()

    def follow(self, edited: NDArray[np.bool_]) -> None:
        """Take up where the contour was edited, bool, shape (k, j, i); an undo makes a place unedited again."""
        numbers = np.unique(self._places.found.labels[edited])
        indices = {int(number) - 1 for number in numbers if number}
        if indices != self._edited:
            self._edited = indices
            self._keep()

    @property
    def reviewed(self) -> tuple[int, int, float]:
        """How many places were accepted or edited, of how many, and their share of the case's expected error."""
        done = [n for n in range(len(self._found)) if self.state(n) in (PlaceState.ACCEPTED, PlaceState.EDITED)]
        return len(done), len(self._found), sum(self._places.places[n].share for n in done)

    def _kept(self) -> list[dict]:
        """The states that the node keeps, if they are of the same places; else none."""
        kept = attributes.PLACES.of(self._node, [])
        positions = [entry["position"] for entry in kept]
        isSame = len(kept) == len(self._found) and np.allclose(positions, self._places.positions, atol=_SAME_MM)
        return kept if kept and isSame else []

    def _keep(self) -> None:
        entries = [
            {
                "position": [round(value, 2) for value in position],
                "expected_error_ml": round(place.expected_error_ml, 4),
                "share": round(place.share, 4),
                "state": str(self.state(number)),
            }
            for number, (place, position) in enumerate(zip(self._places.places, self._places.positions, strict=True))
        ]
        if entries != attributes.PLACES.of(self._node):
            attributes.PLACES.set(self._node, entries)
