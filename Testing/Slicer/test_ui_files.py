"""Every name in the module's `.ui` files exists in the real classes (see `imitation/interfaces.json`) or in Qt."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from imitation.pythonqt import QtWidgets, normalized
from imitation.stand_ins import interfaces, members

FOLDER = Path(__file__).resolve().parents[2] / "ObserverUncertainty" / "Resources" / "UI"
FILES = sorted(FOLDER.glob("*.ui"))
# Read by Qt Designer's loader, not properties of the class.
LOADER_PROPERTIES = {"QLabel": {"buddy"}}


def qtClassOf(className):
    """The Qt class of that name, or the one below the classes of the table."""
    while className in interfaces()["classes"]:
        className = interfaces()["classes"][className]["base"]
    return getattr(QtWidgets, className, None)


def hasProperty(className, name):
    """Whether a widget of the class has the property."""
    if name in members(className, "properties") or name in LOADER_PROPERTIES.get(className, ()):
        return True
    return qtClassOf(className).staticMetaObject.indexOfProperty(name) >= 0


def hasMethod(className, signature, kind):
    """Whether the class has the signal, or the slot."""
    meta = qtClassOf(className).staticMetaObject
    if kind == "signals":
        return signature in members(className, "signals") or meta.indexOfSignal(signature) >= 0
    return signature.partition("(")[0] in members(className, "methods") or meta.indexOfSlot(signature) >= 0


def wrongNames(document):
    """Everything that a `.ui` file names and that does not exist."""
    classes = {element.get("name"): element.get("class") for element in document.iter("widget")}
    wrong = [f"class {class_}" for class_ in classes.values() if qtClassOf(class_) is None]
    if wrong:
        return wrong
    for element in document.iter("widget"):
        names = [property_.get("name") for property_ in element.findall("property")]
        wrong += [f"{element.get('class')}.{name}" for name in names if not hasProperty(element.get("class"), name)]
    for connection in document.iter("connection"):
        for object_, method, kind in (("sender", "signal", "signals"), ("receiver", "slot", "methods")):
            class_, signature = classes[connection.findtext(object_)], normalized(connection.findtext(method))
            if not hasMethod(class_, signature, kind):
                wrong.append(f"{class_} {method} {signature}")
    return wrong


def test_the_module_has_ui_files():
    assert FILES, f"no .ui file in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_name_exists(path):
    assert wrongNames(ET.parse(path).getroot()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_loaded(slicerApplication, path):
    import slicer

    widget = slicer.util.loadUI(str(path))
    # As scripted modules expect it: the scene is handed on from the root.
    assert widget.className() == "qMRMLWidget"
    widget.setMRMLScene(slicer.mrmlScene)


def test_wrong_names_are_found():
    document = ET.fromstring(
        '<ui><widget class="qMRMLNodeComboBox" name="a"><property name="noneEnabeld"><bool>true</bool></property>'
        '<property name="toolTip"><string/></property>'
        '<property name="noneEnabled"><bool>true</bool></property></widget>'
        '<widget class="QCheckBox" name="b"><property name="checkd"><bool>true</bool></property></widget>'
        "<connections><connection><sender>a</sender><signal>currentNodeChanged(vtkMRMLNod*)</signal>"
        "<receiver>b</receiver><slot>setEnabld(bool)</slot></connection><connection><sender>a</sender>"
        "<signal>currentNodeChanged(bool)</signal><receiver>b</receiver><slot>setEnabled(bool)</slot></connection>"
        "</connections></ui>"
    )
    assert wrongNames(document) == [
        "qMRMLNodeComboBox.noneEnabeld",
        "QCheckBox.checkd",
        "qMRMLNodeComboBox signal currentNodeChanged(vtkMRMLNod*)",
        "QCheckBox slot setEnabld(bool)",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_text_takes_a_key_from_slicers_menus(path):
    texts = [element.text or "" for element in ET.parse(path).getroot().iter("string")]
    assert [text for text in texts if "&" in text] == []
