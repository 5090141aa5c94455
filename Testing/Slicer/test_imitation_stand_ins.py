"""The stand-ins for widgets of CTK and MRML do what their headers say, and refuse what they do not model."""

import numpy as np
import pytest
import slicer
import slicer.util
from imitation import ctk_widgets, mrml_widgets, segment_editor
from imitation.segment_editor import editorState
from imitation.stand_ins import NotModelledError

STAND_INS = {**ctk_widgets.STAND_INS, **mrml_widgets.STAND_INS, **segment_editor.STAND_INS}


def volume(name, value=0.0, class_="vtkMRMLScalarVolumeNode"):
    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), value, np.int16), name=name, nodeClassName=class_)


@pytest.fixture
def nodeComboBox(slicerApplication):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    return box


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
