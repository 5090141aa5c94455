"""The part of step 6 that leads from place to place: the table of places, and what was found at each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setHeaders, setUpTable
from ObserverUncertaintySlicer.places import ScenePlaces, showPlaceOutline
from ObserverUncertaintySlicer.placeStates import PlaceState, PlaceStates
from ObserverUncertaintySlicer.sliceViews import jumpAllViews, shownSliceNodes

ROWS = 5
"""Rows that are seen at a time; the table scrolls to others."""


class PlacesTable:
    """Shows the places of a working copy and goes to them.

    Args:
        section: the step's, with the widgets.
        going: is called before a place is shown.
    """

    def __init__(self, section: Section, going: Callable[[], None]) -> None:
        self._section, self._going, ui = section, going, section.ui
        self._ui = ui
        self._places: ScenePlaces | None = None
        self._states: PlaceStates | None = None
        self._index = -1
        self._isFilling = False
        setUpTable(ui.placesTable, ["", "", "", "", ""], stretched=4)
        headers = {
            _("Place"): _("The place, and the slices that it lies in"),
            _("Wrong"): _("Volume in mL that is expected to be wrong: the sum of min(p, 1 - p)"),
            _("Share"): _("Share of what is expected to be wrong in the whole case"),
            _("Model"): _("Share of the doubt that is the model's own; in the rest experts would disagree"),
            _("Found"): _("What you found there: accepted, edited or skipped"),
        }
        setHeaders(ui.placesTable, list(headers), list(headers.values()))
        ui.placesTable.connect("currentCellChanged(int,int,int,int)", self._onRow)
        ui.nextButton.connect("clicked()", self.onNext)
        ui.acceptButton.connect("clicked()", self.onAccept)

    @property
    def isEmpty(self) -> bool:
        """Whether there is no place to go to."""
        return self._places is None or not self._places.places

    def show(self, node: Any, places: ScenePlaces | None) -> None:
        """Show other places, those of a working copy's node; None shows none."""
        self._places, self._index = places, -1
        self._states = None if places is None else PlaceStates(node, places)
        showPlaceOutline(None)
        self.fill()

    def follow(self, edited: Any) -> None:
        """Take up where the contour was edited; bool, shape (k, j, i)."""
        if self._states is not None:
            self._states.follow(edited)
            self.fill()

    def fill(self) -> None:
        """Write the table and the line below it."""
        ui, table = self._ui, self._ui.placesTable
        for widget in (table, ui.nextButton, ui.acceptButton):
            widget.visible = not self.isEmpty
        if self._places is None or self._states is None:
            return
        self._isFilling = True
        try:
            table.setRowCount(len(self._places.places))
            for row, place in enumerate(self._places.places):
                text = _("Slices {first} to {last}, {volume:.1f} mL in doubt, mean entropy {entropy:.2f} bits").format(
                    first=place.slices[0], last=place.slices[1], volume=place.volume_ml, entropy=place.mean_entropy
                )
                own = place.epistemic_share
                state = self._states.state(row)
                setCell(table, row, 0, str(place.number), text)
                setCell(table, row, 1, _("{volume:.2f} mL").format(volume=place.expected_error_ml), text)
                setCell(table, row, 2, f"{place.share:.0%}", text)
                setCell(table, row, 3, "" if own is None else f"{own:.0%}", text)
                setCell(table, row, 4, "" if state is PlaceState.OPEN else _word(state), text)
            if self._index >= 0:
                table.setCurrentCell(self._index, 0)
            else:
                table.clearSelection()
            fitHeight(table, ROWS)
        finally:
            self._isFilling = False

    def goTo(self, index: int) -> None:
        """Show a place in every view, outlined."""
        if self._places is None:
            return
        self._index = index
        self._going()
        showPlaceOutline(self._places, index)
        jumpAllViews(self._places.positions[index])
        self.fill()
        self.tell()

    def tell(self) -> None:
        """Say how many places are done, and what share of the expected error."""
        section = self._section
        if self._states is None:
            text = _("There is no uncertainty yet to go by: click Show uncertainty in step 1.")
        elif self.isEmpty:
            text = _("No place is uncertain: the uncertainty is low everywhere.")
        elif not shownSliceNodes():
            text = _("No view moved: the layout shows no slice view. Choose one that does (Four-Up).")
        else:
            done, count, share = self._states.reviewed
            text = _("{done} of {count} places, {share:.0%} of the expected error").format(
                done=done, count=count, share=share
            )
            if self._index >= 0:
                text = _("Place {number}. Reviewed: {progress}").format(number=self._index + 1, progress=text)
        section.say(self._ui.sliceLabel, text)

    def onNext(self) -> None:
        """Leave the place open and go on to the next one."""
        if self._states is not None and self._index >= 0:
            self._states.found(self._index, PlaceState.SKIPPED)
        self._step(1)

    def onPrevious(self) -> None:
        """Go back to the place before."""
        self._step(-1)

    def onAccept(self) -> None:
        """Find the place right and go on to the next one."""
        if self._states is not None and self._index >= 0:
            self._states.found(self._index, PlaceState.ACCEPTED)
        self._step(1)

    def _step(self, direction: int) -> None:
        with self._section.context.errorsShown():
            if self._places is None or self.isEmpty:
                self.tell()
            else:
                count = len(self._places.places)
                self.goTo((max(self._index, 0 if direction < 0 else -1) + direction) % count)

    def _onRow(self, row: int, _column: int, _before: int, _columnBefore: int) -> None:
        if not self._isFilling and row >= 0:
            with self._section.context.errorsShown():
                self.goTo(row)


def _word(state: PlaceState) -> str:
    words = {PlaceState.ACCEPTED: _("accepted"), PlaceState.EDITED: _("edited"), PlaceState.SKIPPED: _("skipped")}
    return words[state]
