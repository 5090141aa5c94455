"""Stand-ins for CTK's widgets, each with the header that it models."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtWidgets

from .pythonqt import connect
from .stand_ins import Modelled, StandIn


class CtkCollapsibleButton(StandIn, QtWidgets.QAbstractButton):
    """Libs/Widgets/ctkCollapsibleButton.h: closed when not checked; its children are hidden while it is closed."""

    standsFor = "ctkCollapsibleButton"
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *arguments):
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = next((argument for argument in arguments if isinstance(argument, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self.text = text
        self.setCheckable(True)
        self.setChecked(True)
        connect(self, "toggled(bool)", self._onToggled)

    collapsed = Modelled(
        bool, getter=lambda self: not self.checked, changed=lambda self, value: self.setChecked(not value)
    )
    collapsedHeight = Modelled(int, 14)
    flat = Modelled(bool)
    contentsFrameShape = Modelled(int, QtWidgets.QFrame.Shape.NoFrame.value)
    contentsFrameShadow = Modelled(int, QtWidgets.QFrame.Shadow.Plain.value)
    contentsLineWidth = Modelled(int, 1)
    contentsMidLineWidth = Modelled(int)

    def _onToggled(self, checked):
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(checked)
        self.contentsCollapsed.emit(not checked)

    def paintEvent(self, event):
        """QAbstractButton leaves this to its children; the stand-in has no looks."""


class CtkSliderWidget(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkSliderWidget.h: a value in a range, rounded to the shown decimals; one signal per change."""

    standsFor = "ctkSliderWidget"
    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)
    NoSynchronize, SynchronizeWidth, SynchronizeDecimals = 0, 1, 2

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(currentValue=0.0)

    def _onLimits(self, _limit):
        if self.maximum < self.minimum:
            raise NotImplementedError("ctkSliderWidget: a minimum above the maximum is not modelled")
        self.setValue(self._currentValue)

    def _onDecimals(self, decimals):
        self.decimalsChanged.emit(decimals)
        self.setValue(self._currentValue)

    decimals = Modelled(int, 2, _onDecimals)
    minimum = Modelled(float, 0.0, _onLimits)
    maximum = Modelled(float, 99.0, _onLimits)
    value = Modelled(float, getter=lambda self: self._currentValue, changed=lambda self, value: self.setValue(value))
    singleStep = Modelled(float, 1.0)
    pageStep = Modelled(float, 10.0)
    prefix = Modelled(str)
    suffix = Modelled(str)
    tickInterval = Modelled(float)
    tracking = Modelled(bool, True)
    spinBoxVisible = Modelled(bool, True)
    popupSlider = Modelled(bool)
    invertedAppearance = Modelled(bool)
    invertedControls = Modelled(bool)
    synchronizeSiblings = Modelled(int, 1)

    def setValue(self, value):
        """Takes the nearest value in range; emits where that changes something."""
        value = min(max(round(float(value), self.decimals), self.minimum), self.maximum)
        if value != self._currentValue:
            self.keep(currentValue=value)
            self.valueChanged.emit(value)


class CtkRangeWidget(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkRangeWidget.h: two values in a range, the lower never above the upper."""

    standsFor = "ctkRangeWidget"
    minimumValueChanged = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    valuesChanged = QtCore.Signal(float, float)
    rangeChanged = QtCore.Signal(float, float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(values=(0.0, 99.0))

    def _onLimits(self, _limit):
        self.rangeChanged.emit(self.minimum, self.maximum)
        self.setValues(*self._values)

    decimals = Modelled(int, 2)
    singleStep = Modelled(float, 1.0)
    minimum = Modelled(float, 0.0, _onLimits)
    maximum = Modelled(float, 99.0, _onLimits)
    prefix = Modelled(str)
    suffix = Modelled(str)
    tracking = Modelled(bool, True)
    minimumValue = Modelled(
        float, getter=lambda self: self._values[0], changed=lambda self, value: self.setMinimumValue(value)
    )
    maximumValue = Modelled(
        float, getter=lambda self: self._values[1], changed=lambda self, value: self.setMaximumValue(value)
    )

    def setRange(self, minimum, maximum):
        """Both limits."""
        self.minimum, self.maximum = minimum, maximum

    def setMinimumValue(self, value):
        """The lower value."""
        self.setValues(value, max(value, self._values[1]))

    def setMaximumValue(self, value):
        """The upper value."""
        self.setValues(min(value, self._values[0]), value)

    def setValues(self, low, high):
        """Both values, in range."""
        before = self._values
        low, high = sorted(min(max(float(value), self.minimum), self.maximum) for value in (low, high))
        self.keep(values=(low, high))
        if low != before[0]:
            self.minimumValueChanged.emit(low)
        if high != before[1]:
            self.maximumValueChanged.emit(high)
        if (low, high) != before:
            self.valuesChanged.emit(low, high)


class CtkPathLineEdit(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkPathLineEdit.h: a path as text; which paths count as valid input is not modelled."""

    standsFor = "ctkPathLineEdit"
    currentPathChanged = QtCore.Signal(str)
    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x1, 0x2, 0x4, 0x8, 0x7
    Readable, Writable, Executable, Hidden, NoDot, NoDotDot, NoFilter = 0x10, 0x20, 0x40, 0x100, 0x2000, 0x4000, -1
    ShowDirsOnly, DontResolveSymlinks, DontConfirmOverwrite, ReadOnly = 0x1, 0x2, 0x4, 0x20

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(path="", history=[])

    currentPath = Modelled(str, getter=lambda self: self._path, changed=lambda self, path: self.setCurrentPath(path))
    filters = Modelled(int, AllEntries)
    label = Modelled(str)
    nameFilters = Modelled(list)
    options = Modelled(int)
    settingKey = Modelled(str)
    showBrowseButton = Modelled(bool, True)
    showHistoryButton = Modelled(bool, True)
    minimumContentsLength = Modelled(int)

    def setCurrentPath(self, path):
        """The path, existing or not."""
        if not isinstance(path, str):
            raise ValueError(f"ctkPathLineEdit.setCurrentPath: {type(path).__name__} is not a string")
        if path != self._path:
            self.keep(path=path)
            self.currentPathChanged.emit(path)

    def addCurrentPathToHistory(self):
        """Remembers the path under `settingKey`."""
        self._history.append(self._path)


class CtkDirectoryButton(StandIn, QtWidgets.QWidget):
    """Libs/Widgets/ctkDirectoryButton.h: a folder, as text."""

    standsFor = "ctkDirectoryButton"
    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(folder=str(Path.cwd()))

    def _onDirectory(self, directory):
        if directory != self._folder:
            self.keep(folder=directory)
            self.directoryChanged.emit(directory)

    directory = Modelled(str, getter=lambda self: self._folder, changed=_onDirectory)
    caption = Modelled(str)
    text = Modelled(str)


class CtkComboBox(StandIn, QtWidgets.QComboBox):
    """Libs/Widgets/ctkComboBox.h: Qt's, with a text for when nothing is chosen."""

    standsFor = "ctkComboBox"
    defaultText = Modelled(str)


class CtkMessageBox(StandIn, QtWidgets.QMessageBox):
    """Libs/Widgets/ctkMessageBox.h: Qt's, with a "don't show again" box. How it is answered: see `dialogs`."""

    standsFor = "ctkMessageBox"
    dontShowAgain = Modelled(bool)
    dontShowAgainVisible = Modelled(bool)
    dontShowAgainSettingsKey = Modelled(str)


STAND_INS = {
    class_.standsFor: class_
    for class_ in (
        CtkCollapsibleButton,
        CtkComboBox,
        CtkDirectoryButton,
        CtkMessageBox,
        CtkPathLineEdit,
        CtkRangeWidget,
        CtkSliderWidget,
    )
}
