"""What a stand-in offers, the real class has: its header declares it."""

import pytest
from imitation import ctk_widgets, mrml_widgets, segment_editor
from imitation.application import Application, MainWindow, ModuleManager, ModuleSelector
from imitation.layout_manager import LayoutManager
from imitation.stand_ins import interfaces, members, modelledInterface

STAND_INS = {**ctk_widgets.STAND_INS, **mrml_widgets.STAND_INS, **segment_editor.STAND_INS}
ALL = [*STAND_INS.values(), LayoutManager, MainWindow, ModuleManager, ModuleSelector]


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
    assert modelled["signals"] - {"focusChanged(QWidget*,QWidget*)", "aboutToQuit()"} <= members(
        "qSlicerApplication", "signals"
    )
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
