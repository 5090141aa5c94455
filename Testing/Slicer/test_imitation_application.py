"""The imitated application: .ui files, messages, settings, layouts, packages and scripted modules."""

import sys

import numpy as np
import pytest
import slicer
import slicer.util
from imitation.stand_ins import NotModelledError


def volume(name, value=0.0, class_="vtkMRMLScalarVolumeNode"):
    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), value, np.int16), name=name, nodeClassName=class_)


UI = """<ui version="4.0"><class>Panel</class>
 <widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout">
  <item><widget class="ctkCollapsibleButton" name="section"><property name="text"><string>Case</string></property>
   <property name="collapsed"><bool>true</bool></property><layout class="QVBoxLayout">
    <item><widget class="qMRMLNodeComboBox" name="selector"><property name="nodeTypes"><stringlist>
     <string>vtkMRMLScalarVolumeNode</string></stringlist></property>
     <property name="{property}"><bool>true</bool></property></widget></item>
    <item><widget class="ctkPathLineEdit" name="path"><property name="filters">
     <set>ctkPathLineEdit::Files|ctkPathLineEdit::Readable</set></property></widget></item>
   </layout></widget></item></layout></widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><container>1</container></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><container>1</container></customwidget>
  <customwidget><class>{class_}</class><extends>QWidget</extends></customwidget>
  <customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends></customwidget>
 </customwidgets>
 <connections><connection><sender>Panel</sender><signal>{signal}</signal>
  <receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


def loadUi(folder, property_="noneEnabled", class_="qMRMLNodeComboBox", signal="mrmlSceneChanged(vtkMRMLScene*)"):
    text = UI.format(property=property_, class_=class_, signal=signal).replace("qMRMLNodeComboBox", class_)
    path = folder / "Panel.ui"
    path.write_text(text, encoding="utf-8")
    return slicer.util.loadUI(str(path))


def test_a_ui_file_is_read_with_its_stand_ins_properties_and_connections(slicerApplication, tmp_path):
    scan = volume("Scan")
    widget = loadUi(tmp_path)
    ui = slicer.util.childWidgetVariables(widget)
    assert (ui.section.text, ui.section.collapsed, ui.path.filters) == ("Case", True, 0x12)
    assert ui.selector.noneEnabled
    assert ui.selector.nodeCount() == 0
    widget.setMRMLScene(slicer.mrmlScene)
    ui.selector.setCurrentNode(scan)
    assert ui.selector.currentNode() is scan


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"property_": "noneEnabeld"}, AttributeError),
        ({"class_": "qMRMLNodeTreeView"}, NotImplementedError),
        ({"signal": "mrmlSceneChangd(vtkMRMLScene*)"}, ValueError),
    ],
)
def test_a_name_in_a_ui_file_that_does_not_exist_raises(slicerApplication, tmp_path, wrong, error):
    with pytest.raises(error):
        loadUi(tmp_path, **wrong)


# The application


def test_messages_of_slicer_util_are_recorded_and_answered(qt, slicerApplication):
    slicer.util.errorDisplay("Wrong grid", detailedText="trace")
    assert slicerApplication.dialogs.messages[0].text == "Wrong grid"
    assert slicerApplication.dialogs.messages[0].details == "trace"
    for answer, expected in ((qt.QMessageBox.Ok, True), (qt.QMessageBox.Cancel, False)):
        slicerApplication.dialogs.answer("message", answer)
        assert slicer.util.confirmOkCancelDisplay("Install?") is expected
    with pytest.raises(AssertionError, match="no answer to Install"):
        slicer.util.confirmOkCancelDisplay("Install?")


def test_file_dialogs_are_answered_and_addresses_recorded(qt, slicerApplication):
    slicerApplication.dialogs.answer("getOpenFileName", "/folder/a.toml")
    assert qt.QFileDialog.getOpenFileName(None, "Open", "", "Manifest (*.toml)") == "/folder/a.toml"
    with pytest.raises(AssertionError, match="getExistingDirectory"):
        qt.QFileDialog.getExistingDirectory(None, "Folder")
    qt.QDesktopServices.openUrl(qt.QUrl("file:///folder"))
    assert slicerApplication.dialogs.openedUrls == ["file:///folder"]


def test_settings_last_for_one_test(slicerApplication):
    settings = slicer.app.userSettings()
    assert settings.value("ObserverUncertainty/JobsFolder") is None
    settings.setValue("ObserverUncertainty/JobsFolder", "/jobs")
    assert slicer.util.settingsValue("ObserverUncertainty/JobsFolder", "") == "/jobs"


def test_settings_of_the_test_before_are_gone(slicerApplication):
    assert slicer.util.settingsValue("ObserverUncertainty/JobsFolder", "none") == "none"


def test_without_the_fixture_there_is_no_application(scene):
    assert not hasattr(slicer, "app")
    assert "qt" not in sys.modules


def shownViews():
    return {node.GetLayoutName() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.IsMappedInLayout()}


def test_a_layout_is_shown_by_the_real_logic(slicerApplication):
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpRedSliceView)
    assert shownViews() == {"Red"}
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    assert shownViews() == {"Red", "Yellow", "Green"}
    assert slicer.app.applicationLogic().GetSliceLogics().GetNumberOfItems() == 3
    with pytest.raises(NotModelledError):
        slicer.app.layoutManager().threeDWidget(0)


def test_a_layout_stays_when_the_scene_is_closed(slicerApplication):
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpGreenSliceView)
    slicer.mrmlScene.Clear(0)
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpGreenSliceView
    assert shownViews() == {"Green"}


def test_without_a_main_window_there_are_no_messages_and_no_layouts(slicerApplication):
    slicer.app.runWithoutMainWindow()
    slicer.util.errorDisplay("Wrong grid")
    assert slicerApplication.dialogs.messages == []
    assert slicer.util.mainWindow() is None
    assert slicer.app.layoutManager() is None
    with pytest.raises(RuntimeError):
        slicer.util.selectedModule()


def test_packages_are_recorded_and_not_installed(slicerApplication):
    from slicer.packaging import pip_check, pip_ensure

    assert not pip_check("SimpleITK>=2.4")
    pip_ensure("SimpleITK>=2.4", requester="ObserverUncertainty")
    assert pip_check("SimpleITK>=2.4")
    assert slicerApplication.packages.ensured[0]["requester"] == "ObserverUncertainty"
    slicerApplication.packages.failure = RuntimeError("offline")
    with pytest.raises(RuntimeError, match="offline"):
        pip_ensure("scipy")


@pytest.mark.parametrize("withPackaging", [False])
def test_an_older_slicer_has_no_packaging(slicerApplication):
    with pytest.raises(ImportError):
        import slicer.packaging  # noqa: F401


# Scripted modules

MODULE = """
from slicer.ScriptedLoadableModule import *
from slicer.i18n import tr as _

class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Example")

class {name}Widget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.events = ["setup {version}"]

    def enter(self):
        self.events.append("enter")

    def exit(self):
        self.events.append("exit")

    def cleanup(self):
        self.events.append("cleanup")

class {name}Logic(ScriptedLoadableModuleLogic):
    pass
""".replace("import *", "import ScriptedLoadableModule, ScriptedLoadableModuleLogic, ScriptedLoadableModuleWidget")


@pytest.fixture
def exampleModule(tmp_path):
    path = tmp_path / "ExampleOfAModule.py"
    path.write_text(MODULE.format(name=path.stem, version=1), encoding="utf-8")
    yield path
    sys.modules.pop(path.stem, None)


def test_a_module_is_opened_left_reloaded_and_unloaded(slicerApplication, exampleModule):
    widget = slicerApplication.openModule(exampleModule)
    assert slicer.modules.exampleofamodule.title == "Example"
    assert widget.resourcePath("UI/A.ui") == str(exampleModule.parent / "Resources" / "UI" / "A.ui")
    slicerApplication.leave()
    exampleModule.write_text(MODULE.format(name=exampleModule.stem, version=2), encoding="utf-8")
    widget.onReload()
    assert widget.events == ["setup 1", "enter", "exit", "cleanup"]
    reloaded = slicer.util.getModuleWidget("ExampleOfAModule")
    assert reloaded.events == ["setup 2"]
    slicerApplication.close()
    assert reloaded.events == ["setup 2", "cleanup"]


def test_a_parameter_node_is_one_per_scene_and_survives_its_closing(slicerApplication, exampleModule):
    slicerApplication.openModule(exampleModule)
    logic = sys.modules[exampleModule.stem].ExampleOfAModuleLogic()
    node = logic.getParameterNode()
    assert node.GetAttribute("ModuleName") == "ExampleOfAModule"
    assert node.GetSingletonTag() == "ExampleOfAModule"
    slicer.mrmlScene.Clear(0)
    again = logic.getParameterNode()
    assert again.GetAttribute("ModuleName") == "ExampleOfAModule"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1
