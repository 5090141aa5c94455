"""The dialog that asks how a correction is exported as DICOM: the series it belongs to, a margin, and the maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import qt
import slicer

from ObserverUncertaintySlicer.host import saveSetting, setting
from ObserverUncertaintySlicer.host import tr as _

_FOLDER = "SeriesFolder"
_LARGEST_MARGIN = 50.0


@dataclass(frozen=True)
class DicomChoice:
    """What is to be exported: the series, the margin in mm, and whether the model's maps come along."""

    series: str
    marginMm: float
    withMaps: bool


def chosenDicom(series: str, hasMaps: bool) -> DicomChoice | None:
    """Ask how to export; None if nothing is chosen.

    Args:
        series: the one that was drawn on, where it is known; else "".
        hasMaps: whether there is a prediction.
    """
    asked = DicomDialog(slicer.util.mainWindow(), series, hasMaps)
    try:
        return asked.choice() if asked.dialog.exec_() else None
    finally:
        asked.dialog.deleteLater()


class DicomDialog:
    """How a correction becomes DICOM.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent, series: str, hasMaps: bool) -> None:
        self._known, self._hasMaps = series, hasMaps
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Export as DICOM"))
        layout = qt.QFormLayout(self.dialog)
        self._series = qt.QLineEdit()
        self._series.objectName = "seriesEdit"
        self._series.minimumWidth = 320
        browse = qt.QPushButton("…")
        browse.objectName = "browseButton"
        browse.toolTip = _("Choose the folder of the series")
        browse.connect("clicked()", self._onBrowse)
        row = qt.QHBoxLayout()
        row.addWidget(self._series)
        row.addWidget(browse)
        if not series:  # else there is nothing to be asked
            self._series.placeholderText = _("Folder of the images that were drawn on")
            label = qt.QLabel(_("&DICOM series:"))
            label.setBuddy(self._series)
            layout.addRow(label, row)
        self._margin = qt.QDoubleSpinBox()
        self._margin.objectName = "marginSpin"
        self._margin.maximum, self._margin.decimals, self._margin.suffix = _LARGEST_MARGIN, 1, _(" mm")
        self._margin.specialValueText = _("none")
        self._margin.toolTip = _("A further contour at this distance around the reviewed one")
        layout.addRow(_("&Margin:"), self._margin)
        self._maps = qt.QCheckBox(_("Probability and entropies too, and the entropy in bands"))
        self._maps.objectName = "mapsCheck"
        self._maps.checked = hasMaps
        self._maps.visible = hasMaps
        layout.addRow("", self._maps)
        told = qt.QLabel(
            _(
                "SEG and RTSTRUCT with the reviewed contour{further}. The files carry the patient's name and IDs, "
                "which they take from the series. Research use only."
            ).format(further=_(", and the model's inner and outer contour") if hasMaps else "")
        )
        told.wordWrap = True
        layout.addRow(told)
        buttons = qt.QDialogButtonBox()
        self._export = buttons.addButton(_("Export"), qt.QDialogButtonBox.AcceptRole)
        self._export.objectName = "exportButton"
        self._export.default = True
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        layout.addRow(buttons)
        self._series.connect("textChanged(QString)", self._onSeries)
        self._onSeries(self._series.text)

    def choice(self) -> DicomChoice:
        """What was chosen."""
        return DicomChoice(
            self._known or self._series.text.strip(), self._margin.value, self._hasMaps and self._maps.checked
        )

    def _onBrowse(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.dialog, _("Folder of the DICOM series that was drawn on"), setting(_FOLDER)
        )
        if folder:
            saveSetting(_FOLDER, str(Path(folder).parent))
            self._series.text = folder

    def _onSeries(self, text: str) -> None:
        self._export.enabled = bool(self._known or text.strip())
