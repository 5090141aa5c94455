"""Step 2: where the raters disagree: the expert entropy, and their fusion; both follow every change if wanted."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import qt

from ObserverUncertaintyLib.base.errors import InputError, ObserverUncertaintyError
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.attributes import textsOf
from ObserverUncertaintySlicer.disagreement import staplePerformance
from ObserverUncertaintySlicer.entropyOverImage import showEntropyOverImage
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.agreement import AgreementPart
from ObserverUncertaintySlicer.panel.contents import ContentWatch, Key, gridKey, raterKey, volumeKey
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.resultTexts import lineSample
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setUpTable
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMask
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.volumes import gridOfVolume, voxelsOf

LIVE_MILLISECONDS = 300
"""After the last change the live result is computed."""


class DisagreementSection(Section):
    """Keeps `fusedSegmentation` and `expertEntropy`; needs nothing installed."""

    uiName = "Disagreement"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        # What the results were last computed from, also where that failed: the same input would fail again.
        self._fusedFrom: Key | None = None
        self._entropyFrom: Key | None = None
        self._waitingFor: Key | None = None
        self._fusionProblem = self._entropyProblem = ""
        self._fusedVolume: tuple[Key, float] | None = None
        self._entropyFigures: tuple[Key, float, float] | None = None
        self._timer = singleShot(LIVE_MILLISECONDS, self._onTimer)
        self._watch = ContentWatch(self._timer.start)
        ui = self.ui
        for number, method in enumerate(FusionMethod):
            ui.methodCombo.addItem(_(method.title))
            ui.methodCombo.setItemData(number, _(method.explanation), qt.Qt.ToolTipRole)
        setUpTable(ui.stapleTable, [_("Rater"), _("Sensitivity"), _("Specificity")], stretched=0)
        ui.methodCombo.connect(
            "currentIndexChanged(int)", self.context.keep("fusionMethod", list(FusionMethod).__getitem__)
        )
        ui.liveCheck.connect("toggled(bool)", self.onLiveToggled)
        ui.fuseButton.connect("clicked()", self.onFuse)
        ui.expertEntropyButton.connect("clicked()", self.onExpertEntropy)
        self.agreement = AgreementPart(self)

    def update(self) -> None:
        """Show the results and, if live, see to it that they follow soon."""
        ui, parameters, missing = self.ui, self.parameters, self.missing()
        method, reference = parameters.fusionMethod, parameters.reference
        nodes = [rater.node for rater in parameters.raters]
        self._watch.follow([*nodes, reference] if reference is not None else nodes)
        self._adoptRestored()
        self.say(ui.missingLabel, missing)
        ui.contents.visible = not missing
        self._showEntropyText()
        ui.methodCombo.currentIndex = list(FusionMethod).index(method)
        ui.methodLabel.text = _(method.explanation)
        self.say(ui.fusedLabel, self._fusedText())
        self.say(ui.fusedColorLabel, self._fusedColorText())
        ui.liveCheck.checked = parameters.liveFusion
        ui.fuseButton.visible = method is not FusionMethod.NONE
        self._showStaple()
        self.agreement.update()
        if self._needsRefresh() and self._waitingFor != self._inputs():
            self._waitingFor = self._inputs()
            self._timer.start()

    def missing(self) -> str:
        """What must be there before raters can be compared, and how to get it; empty when all is there."""
        if len(self.parameters.raters) >= 2:
            return ""
        if len(self.parameters.raterChoices) >= 2:
            return _("Needs two raters: tick more of them in step 1.")
        return _("Needs two raters: add the contours of at least two experts in step 1.")

    def state(self) -> str:
        """In how much the raters disagree, and their fusion; or what is missing."""
        if self.missing():
            return _("needs two raters")
        parameters = self.parameters
        method, count = parameters.fusionMethod, len(parameters.raters)
        figures = self._figures()
        if figures is None:
            if method is FusionMethod.NONE:
                return _("{count} raters kept apart").format(count=count)
            if parameters.fusedSegmentation is None:
                return _("{count} raters to compare").format(count=count)
            return _("{method} of {count} raters").format(method=_(method.title), count=count)
        if self._entropyIsBehind():
            return _("the raters changed since")
        text = _("{count} raters disagree in {volume:.1f} mL") if figures[0] else _("{count} raters agree")
        if parameters.fusedSegmentation is not None or method is FusionMethod.NONE:
            text += _("; {method}")
        return text.format(count=count, volume=figures[0], method=_inSentence(_(method.title)))

    def computeAll(self) -> None:
        """Fuse the raters and compute their entropy, each if it is missing or behind; nothing is shown over the image.

        Raises:
            InputError: there are fewer than two raters, or one cannot be used.
        """
        missing = self.missing()
        if missing:
            raise InputError(missing)
        parameters, inputs = self.parameters, self._inputs()
        isFused = parameters.fusedSegmentation is not None and not self._fusionProblem and inputs == self._fusedFrom
        if parameters.fusionMethod is not FusionMethod.NONE and not isFused:
            self._fuse()
        if parameters.expertEntropy is None or self._entropyProblem or self._needsEntropy():
            self._computeEntropy()

    def onLiveToggled(self, checked: bool) -> None:
        """Let results follow every change, or not."""
        if self.context.isUpdating:
            return
        self.parameters.liveFusion = checked
        if checked and self.parameters.fusedSegmentation is None:
            self._fusedFrom = None
        self.context.update()

    def onFuse(self) -> None:
        """Fuse the raters now."""
        with self.context.errorsShown(), waitCursor():
            self._fuse()
        self.context.update()

    def onExpertEntropy(self) -> None:
        """Compute the expert entropy, and show it over the image."""
        with self.context.errorsShown(), waitCursor():
            self._computeEntropy()
            showEntropyOverImage(self.parameters.expertEntropy, self.parameters)
        self.context.update()

    def letGo(self) -> None:
        """Let go of raters and results."""
        self._timer.stop()
        self._watch.removeObservers()
        self.agreement.letGo()
        self._fusedFrom = self._entropyFrom = self._waitingFor = None
        self._fusedVolume = self._entropyFigures = None
        self._fusionProblem = self._entropyProblem = ""

    def _inputs(self) -> Key | None:
        """What the results depend on; None while there is too little."""
        if self.missing():
            return None
        reference = self.parameters.reference
        raters = tuple(map(raterKey, self.parameters.raters))
        return self.parameters.fusionMethod, raters, gridKey(reference) if reference is not None else None

    def _needsFusion(self) -> bool:
        inputs = self._inputs()
        return inputs is not None and inputs[0] is not FusionMethod.NONE and inputs != self._fusedFrom

    def _needsEntropy(self) -> bool:
        inputs = self._inputs()
        return inputs is not None and self.parameters.expertEntropy is not None and inputs[1:] != self._entropyFrom

    def _entropyIsBehind(self) -> bool:
        return not self.parameters.liveFusion and self._needsEntropy()

    def _needsRefresh(self) -> bool:
        return self.parameters.liveFusion and (self._needsFusion() or self._needsEntropy())

    def _adoptRestored(self) -> None:
        # Results that came with a scene belong to what came with them.
        inputs, parameters = self._inputs(), self.parameters
        if inputs is None:
            return
        if self._fusedFrom is None and parameters.fusedSegmentation is not None:
            self._fusedFrom = inputs
        if self._entropyFrom is None and parameters.expertEntropy is not None:
            self._entropyFrom = inputs[1:]

    def _onTimer(self) -> None:
        with self.context.errorsShown():
            if self._needsRefresh():
                with waitCursor():
                    self._refresh()
        self._waitingFor = None
        self.context.update()

    def _refresh(self) -> None:
        # What goes wrong is told beside the result: a message at every stroke of the brush would be in the way.
        if self._needsFusion():
            with suppress(ObserverUncertaintyError):
                self._fuse()
        if self._needsEntropy():
            with suppress(ObserverUncertaintyError):
                self._computeEntropy()

    def _fuse(self) -> None:
        parameters, self._fusionProblem = self.parameters, ""
        self._fusedFrom = self._inputs()
        output = parameters.fusedSegmentation
        if any(rater.node is output for rater in parameters.raters):
            output = None  # a rater is never overwritten
        try:
            parameters.fusedSegmentation = self.logic.fuseRaters(
                parameters.raters, parameters.fusionMethod, parameters.reference, output, parameters.caseName
            )
        except ObserverUncertaintyError as error:
            self._fusionProblem = str(error)
            raise

    def _computeEntropy(self) -> None:
        parameters, inputs, self._entropyProblem = self.parameters, self._inputs(), ""
        self._entropyFrom = inputs[1:] if inputs is not None else None
        try:
            parameters.expertEntropy = self.logic.expertEntropy(
                parameters.raters, parameters.reference, parameters.expertEntropy, parameters.caseName
            )
        except ObserverUncertaintyError as error:
            self._entropyProblem = str(error)
            raise

    def _fusedText(self) -> str:
        node = self.parameters.fusedSegmentation
        if self._fusionProblem:
            return self._fusionProblem
        if self.parameters.fusionMethod is FusionMethod.NONE:
            return "" if node is None else _("{name} stays as it is.").format(name=node.GetName())
        if node is None:
            return _("Not fused yet: a change does it, or Fuse now under Advanced.")
        text = _("{name}: {volume:.2f} mL").format(name=node.GetName(), volume=self._volumeMl(node))
        if not self.parameters.liveFusion and self._needsFusion():
            text += _(" (made before the last change: fuse again)")
        notes, warnings = textsOf(node)
        return "\n".join([text, *(_("Warning: {text}").format(text=warning) for warning in warnings), *notes])

    def _fusedColorText(self) -> str:
        raters = ratersOfNode(node) if (node := self.parameters.fusedSegmentation) is not None else []
        return _("{sample} is the fused contour.").format(sample=lineSample(raters[0].color)) if raters else ""

    def _volumeMl(self, node) -> float:
        raters = ratersOfNode(node)
        key = tuple(map(raterKey, raters))
        if self._fusedVolume is None or self._fusedVolume[0] != key:
            volume = 0.0
            if raters:
                grid = commonGrid(raters)
                volume = int(np.count_nonzero(raterMask(raters[0], grid)[0])) * grid.voxel_volume_ml
            self._fusedVolume = (key, volume)
        return self._fusedVolume[1]

    def _showStaple(self) -> None:
        table, parameters = self.ui.stapleTable, self.parameters
        node = parameters.fusedSegmentation
        rows = staplePerformance(node) if node is not None and parameters.fusionMethod is FusionMethod.STAPLE else []
        table.setRowCount(len(rows))
        for row, (name, sensitivity, specificity) in enumerate(rows):
            setCell(table, row, 0, name)
            for column, value in ((1, sensitivity), (2, specificity)):
                undefined = math.isnan(value)
                toolTip = _("Undefined: there is nothing to estimate it from") if undefined else ""
                setCell(table, row, column, "-" if undefined else f"{value:.3f}", toolTip)
        fitHeight(table)
        table.setVisible(bool(rows))

    def _showEntropyText(self) -> None:
        figures, label, lines = self._figures(), self.ui.entropyLabel, []
        label.toolTip = ""
        if figures is not None:
            volume, largest = figures
            text = _("The experts disagree in {volume:.2f} mL: some of them drew there, and others did not.")
            lines.append(text.format(volume=volume) if volume else _("The experts agree everywhere."))
            label.toolTip = _(
                "{name}: the entropy of the experts' votes in each voxel, here up to {largest:.2f} bits; 0 where all "
                "agree, 1 where half of them drew"
            ).format(name=self.parameters.expertEntropy.GetName(), largest=largest)
        if self._entropyIsBehind():
            lines.append(_("The raters changed since: click again."))
        if self._entropyProblem != self._fusionProblem:  # which is told beside the fusion
            lines.append(self._entropyProblem)
        self.say(label, "\n".join(filter(None, lines)))

    def _figures(self) -> tuple[float, float] | None:
        """The volume in mL where the raters disagree, and the largest entropy in bits; None without a result."""
        node = self.parameters.expertEntropy
        if node is None or node.GetImageData() is None:
            return None
        key = volumeKey(node)
        if self._entropyFigures is None or self._entropyFigures[0] != key:
            values = voxelsOf(node)
            disputed = int(np.count_nonzero(values)) * gridOfVolume(node).voxel_volume_ml
            self._entropyFigures = (key, disputed, float(values.max()))
        return self._entropyFigures[1:]


def _inSentence(title: str) -> str:
    """A title as it stands within a sentence: an abbreviation keeps its capitals."""
    return title if title.isupper() else title[:1].lower() + title[1:]
