"""*Export…* in step 6 as DICOM: what is asked, what is written, and what refers to what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="this Slicer has no highdicom")

from contour_files import write_series
from correct_step import readyToCorrect, start
from section_case import GRID

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, read_masks
from ObserverUncertaintySlicer import dicomSources, host


@pytest.fixture
def series(tmp_path) -> Path:
    write_series(tmp_path / "series", GRID, header={"PatientName": "Doe^Jane", "PatientID": "4711"})
    return tmp_path / "series"


@pytest.fixture
def saved(panel, tmp_path):
    """A correction that was saved as reviewed."""
    ready = readyToCorrect(panel)
    start(ready, "rater anna")
    ready.ui.authorEdit.text = "Dr. A"
    ready.ui.saveButton.click()
    host.saveSetting("ExportFolder", str(tmp_path))
    return ready


def chooseDicom(application, name, series=None, margin=0.0, maps=True, seen=None):
    """What the user does in both dialogs."""

    def file(dialog):
        dialog.selectFile(name)
        dialog.selectNameFilter(next(text for text in dialog.nameFilters() if "DICOM" in text))
        return dialog.DialogCode.Accepted

    def options(dialog):
        import PySide6.QtWidgets as widgets

        edit = dialog.findChild(widgets.QLineEdit, "seriesEdit")
        if seen is not None:
            seen["asked"] = edit is not None
            seen["enabled"] = dialog.findChild(widgets.QPushButton, "exportButton").isEnabled()
        if series is not None:
            edit.setText(str(series))
        dialog.findChild(widgets.QDoubleSpinBox, "marginSpin").setValue(margin)
        dialog.findChild(widgets.QCheckBox, "mapsCheck").setChecked(maps)
        return dialog.DialogCode.Accepted

    application.dialogs.answer("dialog", file)
    application.dialogs.answer("dialog", options)


def test_contours_and_maps_are_written_beside_the_series_that_is_named(saved, slicerApplication, series, tmp_path):
    chooseDicom(slicerApplication, "reviewed", series, margin=3.0)
    saved.ui.exportButton.click()
    folder = tmp_path / "reviewed.dicom"
    assert not slicerApplication.dialogs.messages
    assert saved.ui.savedLabel.text == f"Written to {folder}"
    assert {file.name for file in folder.iterdir()} == {
        *("contours_seg.dcm", "contours_rtstruct.dcm", "probability.dcm", "predictive_entropy.dcm"),
        *("expected_entropy.dcm", "entropy_bands_seg.dcm"),
    }
    for file in ("contours_seg.dcm", "contours_rtstruct.dcm"):
        masks = read_masks(folder / file, read_image(series).space)
        assert [mask.name.rpartition(", ")[2] for mask in masks] == [
            "reviewed",
            "inner contour",
            "outer contour",
            "margin 3 mm",
        ]
        assert masks[0].array.any()
        assert masks[3].array.sum() > masks[0].array.sum()


def test_a_series_that_is_known_is_not_asked_for(saved, slicerApplication, series, tmp_path):
    dicomSources.remember(saved.parameters.reference, str(series), read_image(series).frame_of_reference)
    seen = {}
    chooseDicom(slicerApplication, "reviewed", maps=False, seen=seen)
    saved.ui.exportButton.click()
    assert seen == {"asked": False, "enabled": True}
    assert {file.name for file in (tmp_path / "reviewed.dicom").iterdir()} == {
        "contours_seg.dcm",
        "contours_rtstruct.dcm",
    }


def test_a_series_elsewhere_is_refused_and_nothing_is_written(saved, slicerApplication, tmp_path):
    write_series(tmp_path / "other", type(GRID)((9, 8, 7)))
    chooseDicom(slicerApplication, "reviewed", tmp_path / "other")
    saved.ui.exportButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "lies on another voxel grid" in message.text
    assert not (tmp_path / "reviewed.dicom").exists()
    slicerApplication.dialogs.messages.clear()


def test_a_script_must_name_the_series(saved, tmp_path):
    with pytest.raises(InputError, match="it is not known which DICOM series was drawn on"):
        saved.logic.exportDicom(saved.parameters.lastCorrection, tmp_path / "out")


def test_a_script_exports_the_contour_alone(saved, series, tmp_path):
    files = saved.logic.exportDicom(saved.parameters.lastCorrection, tmp_path / "out", series)
    assert [file.name for file in files] == ["contours_seg.dcm", "contours_rtstruct.dcm"]
    (mask,) = read_masks(files[0], read_image(series).space)
    (again,) = read_masks(files[1], read_image(series).space)
    np.testing.assert_array_equal(mask.array, again.array)
