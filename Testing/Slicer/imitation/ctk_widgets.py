"""Stand-ins for CTK's widgets, each with the header that it models."""

from __future__ import annotations

import re

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import connect
from .stand_ins import Modelled, StandIn


class CtkCollapsibleButton(StandIn, QtWidgets.QAbstractButton):
    """Libs/Widgets/ctkCollapsibleButton.h: closed when not checked; at least as wide as its text.

    That a closed one hides its contents is not modelled: they keep the visibility that they were given.
    """

    standsFor = "ctkCollapsibleButton"
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        connect(self, "toggled(bool)", lambda checked: self.contentsCollapsed.emit(not checked))

    collapsed = Modelled(
        bool, getter=lambda self: not self.checked, changed=lambda self, value: self.setChecked(not value)
    )

    def sizeHint(self):
        """The button, and when it is open its contents."""
        return self._withButton(super().sizeHint())

    def minimumSizeHint(self):
        """The button's whole text, and when it is open its contents."""
        return self._withButton(super().minimumSizeHint())

    def _withButton(self, contents):
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        style, metrics = self.style(), QtWidgets.QStyle.PixelMetric
        size = self.fontMetrics().size(QtCore.Qt.TextFlag.TextShowMnemonic, self.text)
        for metric in (metrics.PM_IndicatorWidth, metrics.PM_CheckBoxLabelSpacing):
            size.setWidth(size.width() + style.pixelMetric(metric, option, self))
        button = style.sizeFromContents(QtWidgets.QStyle.ContentsType.CT_PushButton, option, size, self)
        return button if self.collapsed else contents.expandedTo(button)

    def paintEvent(self, event):
        """QAbstractButton leaves this to its children; the stand-in has no looks."""


class CtkSliderWidget(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkSliderWidget.h: a value in a range, rounded to the shown decimals; one signal per change."""

    standsFor = "ctkSliderWidget"
    valueChanged = QtCore.Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(currentValue=0.0)

    def _onLimits(self, _limit):
        if self.maximum < self.minimum:
            raise NotImplementedError("ctkSliderWidget: a minimum above the maximum is not modelled")
        self.setValue(self._currentValue)

    decimals = Modelled(int, 2, lambda self, _decimals: self.setValue(self._currentValue))
    minimum = Modelled(float, 0.0, _onLimits)
    maximum = Modelled(float, 99.0, _onLimits)
    value = Modelled(float, getter=lambda self: self._currentValue, changed=lambda self, value: self.setValue(value))
    singleStep = Modelled(float, 1.0)
    suffix = Modelled(str)

    def setValue(self, value):
        """Takes the nearest value in range; emits where that changes something."""
        value = min(max(round(float(value), self.decimals), self.minimum), self.maximum)
        if value != self._currentValue:
            self.keep(currentValue=value)
            self.valueChanged.emit(value)


class CtkPathLineEdit(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkPathLineEdit.h: a path in a combo box; no signal for a text that the name filters refuse."""

    standsFor = "ctkPathLineEdit"
    currentPathChanged = QtCore.Signal(str)
    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x1, 0x2, 0x4, 0x8, 0x7
    Readable, Writable, Executable, Hidden, NoDot, NoDotDot, NoFilter = 0x10, 0x20, 0x40, 0x100, 0x2000, 0x4000, -1
    ShowDirsOnly, DontResolveSymlinks, DontConfirmOverwrite, ReadOnly = 0x1, 0x2, 0x4, 0x20

    def __init__(self, parent=None):
        super().__init__(parent)
        combo = QtWidgets.QComboBox(self)
        combo.setEditable(True)
        self.keep(combo=combo, validator=QtGui.QRegularExpressionValidator(self), history=[])
        combo.lineEdit().setValidator(self._validator)
        connect(combo.lineEdit(), "textChanged(QString)", self._onText)
        self._onNameFilters([])

    def comboBox(self):
        """The combo box that holds the line edit."""
        return self._combo

    def _onNameFilters(self, filters):
        endings = [ending for filter_ in filters for ending in re.findall(r"\*\.(\w+)", filter_)]
        pattern = "|".join(rf".*\.{ending}?$" for ending in endings)
        self._validator.setRegularExpression(QtCore.QRegularExpression(f"({pattern})" if endings else ".+"))

    def _onText(self, path):
        if self._combo.lineEdit().hasAcceptableInput():
            self.currentPathChanged.emit(path)

    currentPath = Modelled(
        str,
        getter=lambda self: self._combo.lineEdit().text,
        changed=lambda self, path: self.setCurrentPath(path),
    )
    filters = Modelled(int, AllEntries)
    label = Modelled(str)
    nameFilters = Modelled(list, changed=lambda self, filters: self._onNameFilters(filters))
    options = Modelled(int)
    settingKey = Modelled(str)
    showBrowseButton = Modelled(bool, True)
    showHistoryButton = Modelled(bool, True)
    minimumContentsLength = Modelled(int)

    def setCurrentPath(self, path):
        """The path, existing or not."""
        if not isinstance(path, str):
            raise ValueError(f"ctkPathLineEdit.setCurrentPath: {type(path).__name__} is not a string")
        self._combo.lineEdit().setText(path)

    def addCurrentPathToHistory(self):
        """Remembers the path under `settingKey`."""
        self._history.append(self.currentPath)


class CtkMessageBox(StandIn, QtWidgets.QMessageBox):
    """Libs/Widgets/ctkMessageBox.h: Qt's. How it is answered: see `dialogs`."""

    standsFor = "ctkMessageBox"


STAND_INS = {
    class_.standsFor: class_ for class_ in (CtkCollapsibleButton, CtkMessageBox, CtkPathLineEdit, CtkSliderWidget)
}
