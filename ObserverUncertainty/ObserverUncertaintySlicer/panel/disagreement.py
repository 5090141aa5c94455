"""Step 2: where the raters disagree: their fusion, which follows every change if wanted, and the expert entropy."""

from __future__ import annotations

import math

import numpy as np
import qt

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.attributes import Role, textsOf
from ObserverUncertaintySlicer.disagreement import staplePerformance
from ObserverUncertaintySlicer.display import LEGENDS, showAsEntropy, showLegend
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.contents import ContentWatch, Key, gridKey, raterKey, volumeKey
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setUpTable
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMask
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.sliceViews import ordinarySliceNodes, showOverImage
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
        self._problem = ""
        self._fusedVolume: tuple[Key, float] | None = None
        self._entropyText: tuple[Key, str] | None = None
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

    def update(self) -> None:
        """Show the results and, if live, see to it that they follow soon."""
        ui, parameters, missing = self.ui, self.parameters, self.missing()
        method, reference = parameters.fusionMethod, parameters.reference
        nodes = [rater.node for rater in parameters.raters]
        self._watch.follow([*nodes, reference] if reference is not None else nodes)
        self._adoptRestored()
        ui.methodCombo.currentIndex = list(FusionMethod).index(method)
        ui.methodLabel.text = _(method.explanation)
        ui.liveCheck.checked = parameters.liveFusion
        nothing = _("Choose a fusion method first") if method is FusionMethod.NONE else ""
        self.enable(ui.fuseButton, missing or nothing)
        self.enable(ui.expertEntropyButton, missing)
        ui.fusedLabel.text = missing or self._fusedText()
        self._showStaple()
        ui.entropyLabel.text = self._expertEntropyText()
        ui.entropyLabel.setVisible(parameters.expertEntropy is not None)
        if self._needsRefresh() and self._waitingFor != self._inputs():
            self._waitingFor = self._inputs()
            self._timer.start()

    def missing(self) -> str:
        """What must be there before raters can be compared; empty when all is."""
        return "" if len(self.parameters.raters) >= 2 else _("Needs two raters (step 1).")

    def state(self) -> str:
        """The fusion and whether there is an expert entropy."""
        parameters = self.parameters
        if self.missing():
            return _("needs two raters")
        parts = []
        if parameters.fusionMethod is FusionMethod.NONE:
            parts.append(_("raters kept apart"))
        elif parameters.fusedSegmentation is not None:
            parts.append(
                _("{method} of {count} raters").format(
                    method=_(parameters.fusionMethod.title), count=len(parameters.raters)
                )
            )
        if parameters.expertEntropy is not None:
            parts.append(_("expert entropy"))
        return "; ".join(parts) or _("ready")

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
        parameters = self.parameters
        with self.context.errorsShown(), waitCursor():
            self._computeEntropy()
            showAsEntropy(parameters.expertEntropy, parameters.threshold)
            showOverImage(parameters.expertEntropy, parameters.opacity)
            showLegend(parameters.expertEntropy, LEGENDS[Role.EXPERT_ENTROPY], ordinarySliceNodes())
        self.context.update()

    def letGo(self) -> None:
        """Let go of raters and results."""
        self._timer.stop()
        self._watch.removeObservers()
        self._fusedFrom = self._entropyFrom = self._waitingFor = None
        self._fusedVolume = self._entropyText = None
        self._problem = ""

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
                try:
                    with waitCursor():
                        self._refresh()
                except ObserverUncertaintyError as error:
                    # Beside the result: a message at every stroke of the brush would be in the way.
                    self._problem = str(error)
        self._waitingFor = None
        self.context.update()

    def _refresh(self) -> None:
        if self._needsFusion():
            self._fuse()
        if self._needsEntropy():
            self._computeEntropy()

    def _fuse(self) -> None:
        parameters, self._problem = self.parameters, ""
        self._fusedFrom = self._inputs()
        output = parameters.fusedSegmentation
        if any(rater.node is output for rater in parameters.raters):
            output = None  # a rater is never overwritten
        parameters.fusedSegmentation = self.logic.fuseRaters(
            parameters.raters, parameters.fusionMethod, parameters.reference, output, parameters.caseName
        )

    def _computeEntropy(self) -> None:
        parameters, inputs = self.parameters, self._inputs()
        self._entropyFrom = inputs[1:] if inputs is not None else None
        parameters.expertEntropy = self.logic.expertEntropy(
            parameters.raters, parameters.reference, parameters.expertEntropy
        )

    def _fusedText(self) -> str:
        node = self.parameters.fusedSegmentation
        if self._problem:
            return self._problem
        if self.parameters.fusionMethod is FusionMethod.NONE:
            return "" if node is None else _("{name} stays as it is.").format(name=node.GetName())
        if node is None:
            return _("Not fused yet.")
        text = _("{name}: {volume:.2f} mL").format(name=node.GetName(), volume=self._volumeMl(node))
        if not self.parameters.liveFusion and self._needsFusion():
            text += _(" (made before the last change: fuse again)")
        notes, warnings = textsOf(node)
        return "\n".join([text, *(_("Warning: {text}").format(text=warning) for warning in warnings), *notes])

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

    def _expertEntropyText(self) -> str:
        node = self.parameters.expertEntropy
        if node is None or node.GetImageData() is None:
            return ""
        key = volumeKey(node)
        if self._entropyText is None or self._entropyText[0] != key:
            values = voxelsOf(node)
            disputed = int(np.count_nonzero(values)) * gridOfVolume(node).voxel_volume_ml
            text = _("{name}: raters disagree in {volume:.2f} mL, by up to {largest:.2f} bits.").format(
                name=node.GetName(), volume=disputed, largest=float(values.max())
            )
            self._entropyText = (key, text)
        stale = not self.parameters.liveFusion and self._needsEntropy()
        return self._entropyText[1] + (_(" The raters changed since: compute it again.") if stale else "")
