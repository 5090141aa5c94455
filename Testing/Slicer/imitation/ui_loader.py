"""`qt.QUiLoader`: reads `.ui` files with stand-ins for the widgets of CTK and Slicer.

Plain Qt widgets are made by Qt's own loader. The properties that only the stand-ins have, and all connections, are set
afterwards from Python, so that a name that does not exist raises instead of becoming a dynamic property.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from . import ctk_widgets, mrml_widgets, segment_editor
from .pythonqt import connect, loading

STAND_INS = {**ctk_widgets.STAND_INS, **mrml_widgets.STAND_INS, **segment_editor.STAND_INS}


def qtBase(standIn: type) -> type:
    """The Qt class that a stand-in extends."""
    return next(class_ for class_ in standIn.__mro__ if class_.__module__.startswith("PySide6"))


def isQtProperty(class_: type, name: str) -> bool:
    """Whether a Qt class has a property of that name."""
    return class_.staticMetaObject.indexOfProperty(name) >= 0


def propertyValue(element: ET.Element, class_: type):
    """The value of a `<property>` of a `.ui` file, for a class with the enumerators that it names."""
    (value,) = element
    text = value.text or ""
    readers = {"bool": lambda: text == "true", "number": lambda: int(text), "double": lambda: float(text)}
    readers.update(string=lambda: text, cstring=lambda: text)
    readers["stringlist"] = lambda: [item.text or "" for item in value.iterfind("string")]
    readers["enum"] = readers["set"] = lambda: flags(text, class_)
    if value.tag not in readers:
        raise NotImplementedError(f"a <{value.tag}> as value of {element.get('name')} is not modelled")
    return readers[value.tag]()


def flags(text: str, class_: type) -> int:
    """The number of `ctkPathLineEdit::Files|ctkPathLineEdit::Writable`, or of enumerators of Qt."""
    number = 0
    for name in filter(None, text.split("|")):
        owner, enumerator = name.split("::")[0], name.split("::")[-1]
        scope = QtCore.Qt if owner == "Qt" else getattr(QtWidgets, owner, class_)
        value = getattr(scope, enumerator)
        number |= getattr(value, "value", value)
    return number


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's loader, which asks here for the widgets that it does not know."""

    def createWidget(self, className, parent=None, name=""):
        """A stand-in, or a Qt widget; raises where there is neither."""
        standIn = STAND_INS.get(className)
        if standIn is None:
            if not hasattr(QtWidgets, className):
                self.unknown.append(className)
                return None
            return super().createWidget(className, parent, name)
        widget = standIn(parent) if parent is not None else standIn()
        widget.objectName = name
        return widget

    def load(self, file, parent=None):
        """The widget that an opened `QFile` describes."""
        document = ET.fromstring(file.readAll().data().decode("utf-8"))
        values, connections = self._takeOut(document)
        vars(self)["unknown"] = []
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(document))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        with loading():
            widget = super().load(buffer, parent)
        if self.unknown:
            raise NotImplementedError(f"no stand-in for {', '.join(sorted(set(self.unknown)))}")
        widgets = {child.objectName: child for child in [widget, *widget.findChildren(QtCore.QObject)]}
        for name, property_, value in values:
            setattr(widgets[name], property_, value)
        for sender, signal, receiver, slot in connections:
            connect(widgets[sender], signal, widgets[receiver], slot)
        return widget

    @staticmethod
    def _takeOut(document):
        values = []
        for element in document.iter("widget"):
            standIn = STAND_INS.get(element.get("class"))
            for property_ in element.findall("property") if standIn else ():
                if not isQtProperty(qtBase(standIn), property_.get("name")):
                    values.append((element.get("name"), property_.get("name"), propertyValue(property_, standIn)))
                    element.remove(property_)
        connections = []
        for element in document.findall("connections"):
            for connection in element:
                parts = ("sender", "signal", "receiver", "slot")
                connections.append(tuple(connection.findtext(part) for part in parts))
            document.remove(element)
        return values, connections
