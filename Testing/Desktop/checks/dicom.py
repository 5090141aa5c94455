"""DICOM: a study's folder becomes a case, is corrected, and goes out as objects that are read again as drawn."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np


def check_a_study_comes_in_is_corrected_and_goes_out(desktop):
    from pydicom import dcmread

    from ObserverUncertaintyLib.formats import read_image, read_masks

    folder, truth = _loadedStudy(desktop)
    parameters = desktop.panel.parameters
    assert list(parameters.sequences) == ["T1", "T1c", "T2", "FLAIR"], list(parameters.sequences)
    assert [rater.name for rater in parameters.raters] == list(truth)
    desktop.shot("loaded")
    desktop.predict(samples=2)
    _requireNobodyNamed(folder)
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    desktop.settle()
    correct.ui.authorEdit.text = "Dr. A"
    correct.ui.saveButton.click()
    desktop.settle()
    out = Path(tempfile.mkdtemp()) / "reviewed.dicom"

    desktop.fileDialogs((str(out), "DICOM"))
    desktop.answerBoxes(("Research use only", "Export"))
    correct.ui.exportButton.click()
    desktop.settle()
    desktop.shot("exported")
    assert str(correct.ui.savedLabel.text) == f"Written to {out}"
    names = sorted(file.name for file in out.iterdir())
    desktop.tell(", ".join(names))
    assert "contours_rtstruct.dcm" in names
    assert "predictive_entropy.dcm" in names
    series = folder / "s1"
    space = read_image(series).space
    reviewed = [read_masks(out / f"contours_{kind}.dcm", space)[0].array for kind in ("seg", "rtstruct")]
    np.testing.assert_array_equal(*reviewed)
    ((count, _hash),) = desktop.voxels(parameters.lastCorrection).values()
    assert count == reviewed[0].sum() > 0
    source = dcmread(next(series.iterdir()), stop_before_pixels=True)
    for name in names:
        assert dcmread(out / name).StudyInstanceUID == source.StudyInstanceUID


check_a_study_comes_in_is_corrected_and_goes_out.seconds = 600


def check_the_dialog_says_what_the_files_will_hold(desktop):
    import slicer

    from ObserverUncertaintySlicer.panel.dicomDialog import DicomDialog

    for series in ("", "known"):
        dialog = DicomDialog(slicer.util.mainWindow(), series, True)
        dialog.dialog.show()
        desktop.settle()
        desktop.shot(f"dialog_{series or 'asking'}")
        dialog.dialog.close()
        dialog.dialog.deleteLater()


def check_contours_are_added_from_their_file(desktop):
    folder, truth = _loadedStudy(desktop)
    step = desktop.panel.case
    for _rater in truth:
        step.ui.ratersTable.selectRow(0)
        step.ui.removeRaterButton.click()
    desktop.settle()
    assert desktop.panel.parameters.raters == []
    step.ui.advancedButton.collapsed = False
    desktop.settle()
    desktop.shot("from_file")
    desktop.fileDialogs(folder / "rs" / "rs.dcm")
    step.ui.addContoursButton.click()
    desktop.settle()
    raters = desktop.panel.parameters.raters
    assert [rater.name for rater in raters] == list(truth)
    counts = [count for count, _hash in desktop.voxels(raters[0].node).values()]
    assert counts == [int(mask.sum()) for mask in truth.values()]
    desktop.shot("added")


def _requireNobodyNamed(folder: Path) -> None:
    """No job's folder has the patient's name or a UID of the series, in its files or in their names."""
    from pydicom import dcmread

    from ObserverUncertaintySlicer.host import jobsFolder

    header = dcmread(next((folder / "s1").iterdir()), stop_before_pixels=True)
    marks = [b"Doe", b"Jane", str(header.StudyInstanceUID).encode(), str(header.SeriesInstanceUID).encode()]
    files = [file for file in jobsFolder().rglob("*") if file.is_file()]
    assert files
    for file in files:
        content = str(file.relative_to(jobsFolder())).encode() + file.read_bytes()
        assert not any(mark in content for mark in marks), file


def _loadedStudy(desktop) -> tuple[Path, dict[str, np.ndarray]]:
    """Load such a study by the panel's button; the folder, and the raters' masks."""
    folder, truth = _study(desktop)
    desktop.fileDialogs(folder)
    desktop.panel.case.ui.loadFolderButton.click()
    desktop.settle()
    return folder, truth


def _study(desktop) -> tuple[Path, dict[str, np.ndarray]]:
    """The small simulated case as a hospital has it: four MR series and one RTSTRUCT, and the raters' masks."""
    from contour_files import frame_of_reference, write_series, write_structure_set
    from pydicom.uid import generate_uid

    from ObserverUncertaintyLib.export.outlines import outlines
    from ObserverUncertaintySlicer.raterMasks import raterMasks
    from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume

    desktop.loadCase("case01")
    parameters = desktop.panel.parameters
    grid = gridOfVolume(parameters.reference)
    folder = Path(tempfile.mkdtemp()) / "study"
    together = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "PatientName": "Doe^Jane"}
    described = {"T1": "Ax T1 SE", "T1c": "t1_mprage_post", "T2": "T2 TSE tra", "FLAIR": "3D FLAIR"}
    for number, (sequence, node) in enumerate(parameters.sequences.items(), 1):
        values = arrayOfVolume(node)
        values = np.clip(values / values.max() * 2000, 0, None)
        header = {**together, "SeriesDescription": described[sequence], "SeriesNumber": number}
        files = write_series(folder / f"s{number}", grid, values, header)
    masks = raterMasks(parameters.raters, grid)
    truth = dict(zip(masks.names, masks.masks, strict=True))
    matrix, rois = grid.index_to_physical(), {}
    for name, mask in truth.items():
        rois[name] = [
            (np.column_stack([outline, np.full(len(outline), k), np.ones(len(outline))]) @ matrix.T)[:, :3]
            for k in range(len(mask))
            for outline in outlines(mask[k])
        ]
    referring = {"StudyInstanceUID": together["StudyInstanceUID"], "PatientName": "Doe^Jane"}
    write_structure_set(folder / "rs" / "rs.dcm", rois, frame_of_reference(files), header=referring)
    return folder, truth
