"""The part of step 6 that says whose doubt is reviewed: the model's, or the experts'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.places import ScenePlaces, placesOfRaters, placesToReview
from ObserverUncertaintySlicer.volumes import contentTime, gridOfVolume


class DoubtChoice:
    """Offers the uncertainties that are there, the model's first; the user's choice stays when others come.

    Args:
        section: the step's, with the widgets.
        chosen: is called when the user chooses another one.
    """

    def __init__(self, section: Section, chosen: Callable[[], None]) -> None:
        self._section, self._chosen, self._combo = section, chosen, section.ui.rankCombo
        self._offered: list[Any] = []
        self._isExpertsChosen = False
        self._combo.connect("currentIndexChanged(int)", self._onChosen)

    @property
    def entropy(self) -> Any:
        """The volume that shows the doubt; None where nothing is known of uncertainty."""
        index = self._combo.currentIndex
        return self._offered[index] if 0 <= index < len(self._offered) else None

    @property
    def key(self) -> tuple[Any, ...]:
        """Changes when other places are to be found."""
        parameters = self._section.parameters
        if self._isOfExperts:
            return tuple(parameters.raters)
        return (parameters.probability, contentTime(parameters.probability))

    def update(self) -> None:
        """Offer what is there."""
        parameters = self._section.parameters
        found = [
            (_("model uncertainty"), parameters.predictiveEntropy),
            (_("expert disagreement"), parameters.expertEntropy),
        ]
        there = [(title, node) for title, node in found if node is not None]
        nodes = [node for _title, node in there]
        if nodes != self._offered:
            self._offered = nodes
            wasBlocked = self._combo.blockSignals(True)
            self._combo.clear()
            self._combo.addItems([title for title, _node in there])
            if self._isExpertsChosen and parameters.expertEntropy is not None:
                self._combo.currentIndex = nodes.index(parameters.expertEntropy)
            self._combo.blockSignals(wasBlocked)

    def places(self) -> ScenePlaces | None:
        """Find the places of it; None where there is no doubt to go by.

        Raises:
            InputError: the probability or a rater cannot be used.
        """
        parameters = self._section.parameters
        if self._isOfExperts:
            return placesOfRaters(parameters.raters, gridOfVolume(parameters.reference))
        if parameters.probability is None:
            return None
        return placesToReview(parameters.probability, parameters.expectedEntropy)

    def letGo(self) -> None:
        """Let go of the volumes."""
        self._offered = []

    @property
    def _isOfExperts(self) -> bool:
        return self.entropy is not None and self.entropy is self._section.parameters.expertEntropy

    def _onChosen(self, _index: int) -> None:
        self._isExpertsChosen = self._isOfExperts
        self._chosen()
