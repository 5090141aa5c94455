"""Images and masks that came in by Slicer's own ways, and are made the case by the panel's own buttons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer


def check_segmentations_of_one_name_are_told_apart(desktop):
    folder = _open(desktop)
    nodes = [slicer.util.loadSegmentation(str(file)) for file in _masks(folder)]
    assert {node.GetSegmentation().GetNthSegment(0).GetName() for node in nodes} == {"Segment_1"}
    _requireClear(desktop, nodes)
    # As the source of a correction each is itself, also after the list is made anew.
    correct, parameters = desktop.panel.correct, desktop.panel.parameters
    combo = correct.ui.sourceCombo
    titles = [str(combo.itemText(n)) for n in range(combo.count)]
    assert len(set(titles)) == len(titles), titles
    combo.setCurrentIndex(combo.count - 1)
    combo.activated(combo.count - 1)
    parameters.fusedSegmentation.SetName("renamed")
    desktop.panel.update()
    correct.ui.startButton.click()
    desktop.settle()
    copy = desktop.voxels(parameters.workingCopy)
    third = desktop.voxels(nodes[2])
    assert [count for count, _hash in copy.values()] == [count for count, _hash in third.values()]


def check_labelmap_volumes_have_colours_and_outlines_of_their_own(desktop):
    folder = _open(desktop)
    nodes = [slicer.util.loadLabelVolume(str(file)) for file in _masks(folder)]
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetLabelVolumeID()
    _requireClear(desktop, nodes)
    assert not composite.GetLabelVolumeID(), "a labelmap covers what lies under it"
    desktop.showComparison()
    desktop.shot("labelmaps_compared")
    desktop.panel.compare.ui.backButton.click()
    desktop.settle()
    _requireOutlines(desktop)


def check_one_segmentation_with_all_raters(desktop):
    folder = _open(desktop)
    first, *others = [slicer.util.loadSegmentation(str(file)) for file in _masks(folder)]
    for number, other in enumerate(others, 2):
        segment = other.GetSegmentation().GetNthSegment(0)
        first.GetSegmentation().AddSegment(segment, f"rater{number}")
        slicer.mrmlScene.RemoveNode(other)
    _requireClear(desktop, [first])


def _open(desktop) -> Path:
    """A case's images by Slicer's own reader, as the case's sequences; returns the folder."""
    folder = Path(desktop.task["cohort"]).parent / "case01"
    for sequence in ("T1", "T1c", "T2", "FLAIR"):
        volume = slicer.util.loadVolume(str(next(folder.glob(f"{sequence}.*"))))
        desktop.panel.case.ui.volumeSelector.setCurrentNode(volume)
        desktop.panel.case.ui.addSequenceButton.click()
    assert list(desktop.panel.parameters.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    return folder


def _masks(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.iterdir() if file.name.startswith("rater"))
    assert len(found) == 3, found
    return found


def _requireClear(desktop, nodes) -> None:
    """After *Add raters* and *Expert entropy* one sees which rater is which, and the entropy between their contours."""
    ui, parameters = desktop.panel.case.ui, desktop.panel.parameters
    for node in nodes:
        ui.raterSelector.setCurrentNode(node)
        ui.addRatersButton.click()
    assert len(parameters.raters) == 3
    names = [str(ui.ratersTable.item(row, 1).text()) for row in range(3)]
    assert len(set(names)) == 3, names
    assert not any(name == "Segment_1" for name in names), names
    colors = [rater.color for rater in parameters.raters]
    for index, color in enumerate(colors):
        for other in colors[:index]:
            assert np.linalg.norm(np.subtract(color, other)) > 0.2, colors
    desktop.wait(lambda: parameters.fusedSegmentation is not None, "the live fusion")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    _lookAtMostDisputed(parameters)
    desktop.settle()
    _requireOutlines(desktop)
    picture = desktop.pixels("Red").astype(int)
    # The bright half of the entropy's colours: much red, little blue.
    entropy = (picture[..., 0] > 150) & (picture[..., 2] < 110) & (picture[..., 0] - picture[..., 2] > 80)
    assert entropy.sum() > 30, f"only {entropy.sum()} pixels show the entropy"
    desktop.shot("raters_and_entropy")


def _lookAtMostDisputed(parameters) -> None:
    """Show the experts' entropy over the image, at its most uncertain place in every view."""
    from ObserverUncertaintySlicer.entropyOverImage import showEntropyOverImage
    from ObserverUncertaintySlicer.places import mostUncertainPoint
    from ObserverUncertaintySlicer.sliceViews import jumpAllViews

    showEntropyOverImage(parameters.expertEntropy, parameters)
    jumpAllViews(mostUncertainPoint(parameters.expertEntropy))


def _requireOutlines(desktop) -> None:
    """Each rater's colour is on the screen, as a thin line and not as a filled area."""
    picture = desktop.pixels("Red").astype(int)
    height, width = picture.shape[:2]
    for rater in desktop.panel.parameters.raters:
        near = np.abs(picture - np.round(255 * np.array(rater.color))).max(axis=2) <= 12
        assert 10 < near.sum() < 0.03 * height * width, f"{rater.name}: {near.sum()} pixels of {height * width}"
