"""The imitation refuses what PythonQt and the C++ classes would refuse, and its stand-ins do what their headers say."""

import sys

import numpy as np
import pytest
import slicer
import slicer.util
from imitation import ctk_widgets, mrml_widgets, segment_editor
from imitation.application import Application, MainWindow, ModuleManager, ModuleSelector
from imitation.layout_manager import LayoutManager
from imitation.segment_editor import editorState
from imitation.stand_ins import NotModelledError, interfaces, members, modelledInterface

STAND_INS = {**ctk_widgets.STAND_INS, **mrml_widgets.STAND_INS, **segment_editor.STAND_INS}
ALL = [*STAND_INS.values(), LayoutManager, MainWindow, ModuleManager, ModuleSelector]


@pytest.fixture
def qt(slicerApplication):
    import qt

    return qt


@pytest.fixture
def ctk(slicerApplication):
    import ctk

    return ctk


def volume(name, value=0.0, class_="vtkMRMLScalarVolumeNode"):
    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), value, np.int16), name=name, nodeClassName=class_)


@pytest.fixture
def nodeComboBox(slicerApplication):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    return box


# What a stand-in offers, the real class has


@pytest.mark.parametrize("standIn", ALL, ids=lambda standIn: standIn.standsFor)
def test_a_stand_in_has_only_what_its_header_declares(standIn):
    # close() ends a layout manager of a test, keep() holds private state.
    modelled = modelledInterface(standIn)
    assert modelled["properties"] <= members(standIn.standsFor, "properties")
    assert modelled["signals"] <= members(standIn.standsFor, "signals")
    overrides = {"close", "minimumSizeHint", "paintEvent", "sizeHint"}
    assert modelled["methods"] - overrides <= members(standIn.standsFor, "methods")


def test_the_application_has_only_what_its_headers_declare():
    # The rest: QApplication's, which Slicer's derives from, decorated methods that no header lists, and the tests' own.
    modelled = modelledInterface(Application)
    assert modelled["properties"] - {"applicationName"} <= members("qSlicerApplication", "properties") | members(
        "qSlicerCoreApplication", "properties"
    )
    assert modelled["signals"] - {"focusChanged(QWidget*,QWidget*)"} <= members("qSlicerApplication", "signals")
    assert modelled["methods"] - {"close", "runWithoutMainWindow", "testingEnabled", "topLevelWidgets"} <= members(
        "qSlicerApplication", "methods"
    )


def test_the_table_names_its_headers_and_commits():
    table = interfaces()
    assert all(len(commit) == 40 for commit in table["commits"].values())
    assert table["classes"]["ctkSliderWidget"]["header"] == "CTK/Libs/Widgets/ctkSliderWidget.h"
    # Read by eye from the headers: a plain and an overloaded declaration.
    assert table["classes"]["ctkSliderWidget"]["properties"]["singleStep"] == "double"
    assert "currentNodeChanged(vtkMRMLNode*)" in table["classes"]["qMRMLNodeComboBox"]["signals"]
    assert "setRange" not in table["classes"]["ctkSliderWidget"]["methods"]


# PythonQt's look


def test_a_property_is_an_attribute_and_cannot_be_called(qt):
    button = qt.QPushButton("Apply")
    assert button.text == "Apply"
    with pytest.raises(TypeError, match="'str' object is not callable"):
        button.text()


def test_the_object_name_is_also_the_name(qt):
    button = qt.QPushButton()
    button.name = "applyButton"
    assert button.objectName == "applyButton"
    assert button.className() == "QPushButton"


@pytest.mark.parametrize("name", ["txt", "_private", "setText2"])
def test_an_unknown_attribute_raises_when_read_and_when_set(qt, name):
    button = qt.QPushButton()
    with pytest.raises(AttributeError):
        getattr(button, name)
    with pytest.raises(AttributeError, match="creating new attributes"):
        setattr(button, name, 1)


def test_a_python_class_derived_from_qt_may_have_attributes_of_its_own(qt):
    class Table(qt.QTableWidget):
        pass

    table = Table()
    table.raters = 3
    table.rowCount = 2
    assert (table.raters, table.rowCount) == (3, 2)


@pytest.mark.parametrize(("name", "value"), [("enabled", "yes"), ("text", 5), ("minimumWidth", 1.5), ("checked", None)])
def test_a_property_of_another_type_raises(qt, name, value):
    with pytest.raises(ValueError, match=f"Property '{name}'"):
        setattr(qt.QPushButton(), name, value)


def test_numpy_integers_are_not_integers_to_pythonqt(qt):
    with pytest.raises(ValueError, match="int64"):
        qt.QSpinBox().value = np.int64(3)


def test_a_read_only_property_cannot_be_set(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QTimer().active = True


def test_a_signal_passes_the_arguments_of_its_signature(qt):
    button, seen = qt.QPushButton(), []
    button.checkable = True
    button.connect("clicked(bool)", seen.append)
    button.connect("clicked()", lambda *arguments: seen.append(arguments))
    button.click()
    assert seen == [True, ()]


@pytest.mark.parametrize("signature", ["clicked(int)", "clickd()", "text()"])
def test_a_wrong_signal_signature_raises(qt, signature):
    with pytest.raises(ValueError, match="does not exist"):
        qt.QPushButton().connect(signature, print)


def test_something_that_cannot_be_called_is_not_connected(qt):
    with pytest.raises(ValueError, match="not callable"):
        qt.QPushButton().connect("clicked()", None)


def test_disconnecting_undoes_one_connection(qt):
    button, seen = qt.QPushButton(), []
    button.connect("clicked()", seen.clear)
    function = lambda: seen.append(1)  # noqa: E731
    button.connect("clicked()", function)
    assert button.disconnect("clicked()", function)
    assert not button.disconnect("clicked()", function)
    button.click()
    assert seen == []


def test_blocked_signals_are_not_sent(qt):
    box, seen = qt.QSpinBox(), []
    box.connect("valueChanged(int)", seen.append)
    wasBlocked = box.blockSignals(True)
    box.value = 3
    box.blockSignals(wasBlocked)
    box.value = 4
    assert seen == [4]


def test_a_timer_runs_and_has_its_property_and_its_static_function(qt, slicerApplication):
    seen = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.connect("timeout()", lambda: seen.append("timer"))
    timer.start(0)
    qt.QTimer.singleShot(0, lambda: seen.append("function"))
    slicerApplication.processEvents()
    assert sorted(seen) == ["function", "timer"]
    assert not timer.active


def test_an_error_in_a_slot_is_kept_for_the_end_of_the_test(qt, slicerApplication):
    def fail():
        raise KeyError("lost")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    (error,) = slicerApplication.slotErrors
    assert isinstance(error, KeyError)
    slicerApplication.slotErrors.clear()


# Stand-ins


@pytest.mark.parametrize(
    ("class_", "name"),
    [
        ("ctkPathLineEdit", "sizeAdjustPolicy"),
        ("ctkPathLineEdit", "browse"),
        ("qMRMLSegmentEditorWidget", "jumpSlices"),
    ],
)
def test_what_the_real_class_has_and_the_stand_in_does_not_model_raises(slicerApplication, class_, name):
    widget = STAND_INS[class_]()
    with pytest.raises(NotModelledError, match=f"{class_}.{name}"):
        getattr(widget, name)
    assert not hasattr(widget, name)


@pytest.mark.parametrize("class_", sorted(STAND_INS))
def test_what_no_class_has_raises_on_a_stand_in_too(slicerApplication, class_):
    widget = STAND_INS[class_]()
    with pytest.raises(AttributeError):
        _ = widget.curentNode
    with pytest.raises(AttributeError, match="creating new attributes"):
        widget.curentNode = None
    with pytest.raises(ValueError, match="does not exist"):
        widget.connect("curentNodeChanged(vtkMRMLNode*)", print)


def test_a_signal_that_is_not_modelled_cannot_be_connected(nodeComboBox):
    with pytest.raises(ValueError, match="does not exist"):
        nodeComboBox.connect("currentNodeRenamed(QString)", print)


def test_a_collapsible_button_says_when_it_opens_and_closes(ctk):
    button, seen = ctk.ctkCollapsibleButton(), []
    button.connect("contentsCollapsed(bool)", seen.append)
    button.collapsed = True
    button.collapsed = True
    assert (button.checked, seen) == (False, [True])
    button.click()
    assert (button.collapsed, seen) == (False, [True, False])


def test_a_collapsible_button_is_at_least_as_wide_as_its_text(qt, ctk):
    button = ctk.ctkCollapsibleButton()
    button.text = "a long title " * 20
    wide = button.fontMetrics().horizontalAdvance(button.text)
    for collapsed in (False, True):
        button.collapsed = collapsed
        assert button.minimumSizeHint().width() > wide
        assert button.sizeHint().width() > wide
    assert button.sizePolicy.horizontalPolicy() == qt.QSizePolicy.Minimum


def test_a_slider_clamps_rounds_and_emits_once(ctk):
    slider, seen = ctk.ctkSliderWidget(), []
    slider.maximum = 1
    slider.connect("valueChanged(double)", seen.append)
    slider.value = 0.456
    slider.value = 0.456
    slider.value = 7
    slider.setValue(1.0)
    assert seen == [0.46, 1.0]
    slider.maximum = 0.5
    assert slider.value == 0.5
    with pytest.raises(ValueError, match="value"):
        slider.value = "0.2"


def test_a_setter_works_where_the_header_makes_it_a_slot(ctk, slicerApplication):
    editor, slider = slicer.qMRMLSegmentEditorWidget(), ctk.ctkSliderWidget()
    editor.setMaximumNumberOfUndoStates(20)
    slider.setDecimals(1)
    assert (editor.maximumNumberOfUndoStates, slider.decimals) == (20, 1)
    # A public method of C++ that is neither slot nor invokable does not exist in Python.
    with pytest.raises(AttributeError):
        slider.setMinimum(0)


def test_a_path_is_text_and_announced_once(ctk, tmp_path):
    edit, seen = ctk.ctkPathLineEdit(), []
    edit.connect("currentPathChanged(QString)", seen.append)
    edit.currentPath = "/a folder/ä.csv"
    edit.setCurrentPath("/a folder/ä.csv")
    assert seen == ["/a folder/ä.csv"]
    with pytest.raises(ValueError, match="currentPath"):
        edit.currentPath = tmp_path


def test_a_path_line_edit_says_nothing_of_a_path_that_its_filter_refuses(slicerApplication):
    import ctk

    edit, seen = ctk.ctkPathLineEdit(), []
    edit.connect("currentPathChanged(QString)", seen.append)
    edit.currentPath = "/a"
    edit.currentPath = ""
    edit.nameFilters = ["Scores (*.csv)", "Tables (*.tsv)"]
    for path in ("/a/b.nrrd", "/a/b.tsv", "/a/b.csv"):
        edit.currentPath = path
        assert edit.comboBox().lineEdit().text == edit.currentPath == path
    assert seen == ["/a", "/a/b.tsv", "/a/b.csv"]


def test_a_node_combo_box_selects_only_nodes_of_its_types(nodeComboBox):
    scan, other = volume("Scan"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    seen = []
    nodeComboBox.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    nodeComboBox.setCurrentNode(scan)
    assert nodeComboBox.currentNode() is scan
    nodeComboBox.setCurrentNode(other)
    assert nodeComboBox.currentNode() is None
    assert seen == [scan, None]


def test_a_node_combo_box_filters_hidden_and_child_types(nodeComboBox):
    volume("Scan")
    volume("Mask", class_="vtkMRMLLabelMapVolumeNode")
    volume("Hidden").SetHideFromEditors(True)
    assert nodeComboBox.nodeCount() == 2
    nodeComboBox.showHidden = True
    assert nodeComboBox.nodeCount() == 3
    nodeComboBox.showChildNodeTypes = False
    assert nodeComboBox.nodeCount() == 2


def test_a_node_combo_box_takes_the_neighbour_of_a_removed_node_at_once(nodeComboBox):
    first, second, third = volume("First"), volume("Second"), volume("Third")
    nodeComboBox.setCurrentNode(second)
    seen = []
    nodeComboBox.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    slicer.mrmlScene.RemoveNode(second)
    assert nodeComboBox.currentNode() is third
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.BatchProcessState)
    slicer.mrmlScene.RemoveNode(third)
    assert nodeComboBox.currentNode() is first
    slicer.mrmlScene.RemoveNode(first)
    assert seen == [third, first, None]


def test_a_node_combo_box_is_empty_after_the_scene_is_closed(nodeComboBox):
    nodeComboBox.setCurrentNode(volume("Scan"))
    slicer.mrmlScene.Clear(0)
    assert nodeComboBox.currentNode() is None
    assert nodeComboBox.nodeCount() == 0


def test_a_node_combo_box_without_none_takes_the_first_node_where_there_is_no_other_entry(slicerApplication):
    boxes = []
    for addEnabled in (False, True):
        box = slicer.qMRMLNodeComboBox()
        box.nodeTypes, box.addEnabled = ["vtkMRMLScalarVolumeNode"], addEnabled
        box.setMRMLScene(slicer.mrmlScene)
        boxes.append(box)
    scan = volume("Scan")
    assert [box.currentNode() for box in boxes] == [scan, None]
    late = slicer.qMRMLNodeComboBox()
    late.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    late.setMRMLScene(slicer.mrmlScene)
    assert late.currentNode() is scan


def test_a_deleted_combo_box_is_not_told_of_new_nodes(nodeComboBox, slicerApplication):
    nodeComboBox.delete()
    volume("Scan")
    assert slicerApplication.slotErrors == []


def test_a_table_view_shows_the_table_and_follows_it(slicerApplication):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Scores")
    slicer.util.updateTableFromArray(table, [np.array([0.5, 0.25])], ["WME"])
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(table)
    model = view.model()
    header = [model.horizontalHeaderItem(0).text(), *(model.item(row, 0).text() for row in range(model.rowCount()))]
    assert header == ["A", "WME", "0.5", "0.25"]
    assert model.item(1, 0).isEditable()
    table.SetUseColumnTitleAsColumnHeader(True)
    table.SetLocked(True)
    assert model.horizontalHeaderItem(0).text() == "WME"
    assert (model.rowCount(), model.item(1, 0).text()) == (2, "0.25")
    assert not model.item(1, 0).isEditable()
    slicer.util.updateTableFromArray(table, [np.array([0.125])], ["WME"])
    assert (model.rowCount(), model.item(0, 0).text()) == (1, "0.125")
    with pytest.raises(ValueError, match="not a table node"):
        view.setMRMLTableNode(volume("Scan"))


@pytest.fixture
def editing(slicerApplication):
    """The editor, its node, a segmentation with one segment, and the volume below it."""
    scan = volume("Scan")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Copy")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    segmentation.GetSegmentation().AddEmptySegment("copy", "Copy")
    array = np.zeros((3, 4, 5), np.uint8)
    array[1, 1, 1] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, "copy", scan)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLScene(slicer.mrmlScene)
    return editor, node, segmentation, scan


def test_the_segment_editor_takes_a_segmentation_by_itself_and_refuses_one_before_its_node(editing, vtkMessages):
    editor, node, segmentation, _scan = editing
    # Its selector's: the editor edits nothing yet.
    assert editor.segmentationNode() is segmentation
    with vtkMessages.expectErrors("need to set segment editor node first"):
        editor.setSegmentationNode(segmentation)
    editor.setMRMLSegmentEditorNode(node)
    assert node.GetSegmentationNode() is None
    assert editor.segmentationNode() is None


def test_the_segment_editor_shows_its_nodes_choices(editing):
    editor, node, segmentation, scan = editing
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (segmentation, scan)  # the reference volume
    other = volume("Other")
    editor.setSourceVolumeNode(other)
    assert (node.GetSegmentationNode(), node.GetSourceVolumeNode()) == (segmentation, other)
    node.SetAndObserveSegmentationNode(None)
    assert editor.segmentationNode() is None


def test_the_end_of_a_batch_makes_the_selectors_segmentation_the_edited_one(editing):
    editor, node, _segmentation, _scan = editing
    editor.setMRMLSegmentEditorNode(node)
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Another")
    editor.setSegmentationNode(other)
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.BatchProcessState)
    assert editor.segmentationNode() is node.GetSegmentationNode()
    assert node.GetSegmentationNode() is not other


def test_the_segment_editor_takes_changes_back(editing):
    editor, node, segmentation, scan = editing
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(scan)
    editor.saveStateForUndo()
    full = np.ones((3, 4, 5), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(full, segmentation, "copy", scan)
    editor.undo()
    assert slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "copy", scan).sum() == 1
    editor.redo()
    assert slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "copy", scan).sum() == 60


def test_the_segment_editor_ends_an_effect_when_the_segmentation_changes(editing):
    editor, node, segmentation, _scan = editing
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    editor.setActiveEffectByName("Paint")
    assert editor.activeEffect().name == "Paint"
    editor.setSegmentationNode(None)
    assert editor.activeEffect() is None
    editor.installKeyboardShortcuts()
    editor.setupViewObservations()
    assert editorState(editor).shortcuts
    editor.uninstallKeyboardShortcuts()
    editor.removeViewObservations()
    assert not editorState(editor).shortcuts
    assert not editorState(editor).viewObservations


# .ui files

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
