"""The part of step 2 that compares the raters: who draws larger, how far their contours lie apart, in a table."""

from __future__ import annotations

import math

from ObserverUncertaintyLib.scores.agreement import reliability_of_mean
from ObserverUncertaintyLib.scores.case_agreement import CaseAgreement
from ObserverUncertaintyLib.scores.metrics import mean_of_defined
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.contents import Key, gridKey, raterKey
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setHeaders, setUpTable


class AgreementPart:
    """Compares the raters at a click; what was compared is hidden once a rater changed.

    Args:
        section: the step's, with the widgets.
    """

    def __init__(self, section: Section) -> None:
        self._section = section
        self._found: tuple[Key, CaseAgreement] | None = None
        titles, explained = zip(*_columns(), strict=True)
        setUpTable(section.ui.agreementTable, list(titles), stretched=0)
        setHeaders(section.ui.agreementTable, list(titles), list(explained))
        section.ui.agreementButton.connect("clicked()", self.onCompare)

    def update(self) -> None:
        """Show what was found, if it is of the raters as they are now."""
        ui, isBehind = self._section.ui, self._found is not None and self._found[0] != self._key()
        found = None if self._found is None or isBehind else self._found[1]
        text = "" if found is None else _described(found)
        self._section.say(ui.agreementLabel, _("The raters changed since: compare again.") if isBehind else text)
        ui.agreementTable.setVisible(found is not None)
        if found is not None:
            self._fill(found)

    def onCompare(self) -> None:
        """Compare the raters now."""
        parameters = self._section.parameters
        with self._section.context.errorsShown(), waitCursor():
            found = self._section.logic.raterAgreement(parameters.raters, parameters.reference, parameters.caseName)
            self._found = (self._key(), found)
        self._section.context.update()

    def letGo(self) -> None:
        """Let go of the raters."""
        self._found = None

    def _key(self) -> Key:
        reference = self._section.parameters.reference
        raters = tuple(map(raterKey, self._section.parameters.raters))
        return raters, gridKey(reference) if reference is not None else None

    def _fill(self, found: CaseAgreement) -> None:
        table = self._section.ui.agreementTable
        table.setRowCount(len(found.raters))
        for row, rater in enumerate(found.raters):
            pairs = [pair for pair in found.pairs if rater.rater in (pair.first, pair.second)]
            distance = mean_of_defined([pair.surface_distance_mm for pair in pairs])
            far = mean_of_defined([pair.hausdorff_95_mm for pair in pairs])
            near = mean_of_defined([pair.surface_dice_2_mm for pair in pairs])
            texts = (
                rater.rater,
                _shown(rater.larger_mm, "+.1f"),
                _shown(rater.larger_ml, "+.2f"),
                _shown(distance, ".1f"),
                _shown(far, ".1f"),
                _shown(near, ".2f"),
            )
            for column, text in enumerate(texts):
                setCell(table, row, column, text, _("Undefined: nothing is drawn") if text == "-" else "")
        fitHeight(table)


def _columns() -> list[tuple[str, str]]:
    """Title and explanation of each column."""
    return [
        (_("Rater"), _("The rater")),
        (
            _("Larger mm"),
            _("By how many mm the contour is larger (+) or smaller (-) than the others', over its whole surface"),
        ),
        (_("mL"), _("By how many mL the volume is larger (+) or smaller (-) than the others' mean")),
        (_("Apart mm"), _("Mean distance between the rater's surface and another's, mean over the others")),
        (
            _("95 % mm"),
            _("95 % of either surface lies within this distance of the other (Hausdorff), mean over the others"),
        ),
        (_("In 2 mm"), _("Share of both surfaces within 2 mm of each other (surface Dice), mean over the others")),
    ]


def _described(found: CaseAgreement) -> str:
    kappa, index = _shown(found.fleiss_kappa, ".2f"), _shown(found.conformity_index, ".2f")
    mean = _shown(reliability_of_mean(found.fleiss_kappa, len(found.raters)), ".2f")
    return _("Fleiss' kappa {kappa}, conformity index {index}; the raters' mean has a reliability of {mean}.").format(
        kappa=kappa, index=index, mean=mean
    )


def _shown(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
