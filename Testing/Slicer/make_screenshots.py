"""Makes the README's picture of the comparison: `python Testing/Slicer/make_screenshots.py OUT.png`.

The case is the simulated sample case and the prediction the shipped model's. Images, colours, outlines, colour legends
and orientation axes are drawn by Slicer's own slice views; this script adds what surrounds the views in the application
(names of the views and raters) and the letters at the edges, which Slicer's data probe would draw.

Environment variable OBSERVER_UNCERTAINTY_PYTHON: a Python with torch, for the prediction; this one by default.
"""

# ruff: noqa: E402  (the checkout must be on the path before its packages are imported)

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "ObserverUncertainty")]

import numpy as np
import SimpleITK as sitk
import slicer
import slicer.util
import vtk
from real_mrml import boot
from slice_rendering import SliceViewRenderer
from vtk.util.numpy_support import vtk_to_numpy

from ObserverUncertaintyLib.entropy import expert_entropy
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.simulation.cavities import simulate_cavity_case
from ObserverUncertaintySlicer.layout import ORIENTATIONS, compare
from ObserverUncertaintySlicer.raters import RATER_COLORS
from ObserverUncertaintySlicer.sampleData import SAMPLE_SEED
from ObserverUncertaintySlicer.volumes import addVolume

MODEL = CHECKOUT / "ObserverUncertainty" / "Resources" / "Models" / "SimulatedCavity"
BACKGROUND = "T1c"
VIEW_SIZE = (560, 440)
GAP, HEADER, FOOTER = 4, 44, 56
TEXT_SIZE, SMALL_TEXT_SIZE = 20, 17
# Not among the entropy's colours, told apart with every common colour blindness, and light enough for a grey image.
ZOOM_MM = 130.0


def main(out: Path) -> None:
    """Simulate, predict, compare, draw."""
    boot()
    case = simulate_cavity_case(0, SAMPLE_SEED)
    image = case.images[case.sequences.index(BACKGROUND)]
    background = addVolume(image, case.grid, BACKGROUND)
    background.GetDisplayNode().AutoWindowLevelOff()
    background.GetDisplayNode().SetWindowLevelMinMax(0, float(np.percentile(image[image > 0], 99.5)))
    predictive = addVolume(predictiveEntropy(case), case.grid, "Predictive entropy")
    expert = addVolume(expert_entropy(case.raters), case.grid, "Expert entropy")
    segmentation = addRaters(case, background)
    views = compare(background, predictive, expert, [(segmentation, name) for name in case.rater_names])
    renderers = [SliceViewRenderer(sliceNode, VIEW_SIZE) for sliceNode in views.sliceNodes]
    views.fit()
    zoomToRaters(views, case)
    pictures = [withLetters(renderer.render(), renderer.sliceNode) for renderer in renderers]
    out.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(composed(pictures, case.rater_names), isVector=True), str(out), True)


def predictiveEntropy(case):
    """What `observer-uncertainty predict` says with the shipped model, on the case's grid."""
    python = os.environ.get("OBSERVER_UNCERTAINTY_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = []
        for name, image in zip(case.sequences, case.images, strict=True):
            write_image(folder / f"{name}.nrrd", image, case.grid)
            images += ["--image", f"{name}={folder / name}.nrrd"]
        command = ["-m", "ObserverUncertaintyLib.cli", "predict", str(MODEL), *images]
        command += ["--out", str(folder / "out"), "--device", "cpu", "--name", "case"]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        subprocess.run([python, *command], check=True, env=environment, cwd=folder)
        return read_image(folder / "out" / "case" / "predictive_entropy.nii.gz").array


def addRaters(case, background):
    """The raters as segments of one node."""
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Raters")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(background)
    for name, mask, color in zip(case.rater_names, case.raters, RATER_COLORS, strict=False):
        segmentation.GetSegmentation().AddEmptySegment(name, name, color)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, name, background)
    return segmentation


def zoomToRaters(views, case) -> None:
    """Centre all views on what any rater drew, at one scale."""
    index = np.argwhere(case.raters.any(axis=0)).mean(axis=0)[::-1]
    left, posterior, superior, _one = case.grid.index_to_physical() @ (*index, 1)
    for sliceNode in views.sliceNodes:
        offset = sliceNode.GetSliceOffset()
        sliceNode.JumpSliceByCentering(-left, -posterior, superior)
        sliceNode.SetSliceOffset(offset)
        sliceNode.SetFieldOfView(ZOOM_MM, ZOOM_MM * VIEW_SIZE[1] / VIEW_SIZE[0], sliceNode.GetFieldOfView()[2])


def withLetters(picture, sliceNode):
    """The picture with the letters of the patient's sides at its edges."""
    matrix = sliceNode.GetSliceToRAS()
    right, up = (np.array([matrix.GetElement(row, column) for row in range(3)]) for column in range(2))
    height, width, _ = picture.shape
    for direction, x, y in ((right, 0.98, 0.78), (-right, 0.02, 0.78), (up, 0.5, 0.03), (-up, 0.5, 0.97)):
        axis = int(np.argmax(abs(direction)))
        letter = ("RL", "AP", "SI")[axis][0 if direction[axis] > 0 else 1]
        draw(picture, letter, x * width, y * height, align="centre")
    return picture


def composed(pictures, raterNames):
    """Two rows of three views with the names of columns, rows and raters."""
    width, height = VIEW_SIZE
    columns = len(ORIENTATIONS)
    rows = len(pictures) // columns
    total = np.full((HEADER + rows * (height + GAP) + FOOTER, columns * (width + GAP) - GAP, 3), 32, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = HEADER + row * (height + GAP), column * (width + GAP)
        total[top : top + height, left : left + width] = picture
        if row == 0:
            draw(total, ORIENTATIONS[column], left + width / 2, HEADER / 2, align="centre")
        if column == 0:
            name, meaning = (
                ("Predictive entropy", "where the model is unsure"),
                ("Expert entropy", "where the raters disagree"),
            )[row]
            draw(total, name, left + 12, top + 20)
            draw(total, meaning, left + 12, top + 44, size=SMALL_TEXT_SIZE)
    middle, x = total.shape[0] - FOOTER / 2, 12
    for name, color in zip(raterNames, RATER_COLORS, strict=False):
        total[round(middle) - 2 : round(middle) + 2, x : x + 40] = np.round(255 * np.array(color))
        x += 50
        x += draw(total, name, x, middle, size=SMALL_TEXT_SIZE) + 36
    note = "Simulated data. Colours above 0.05 bits. Research use only, not a medical device."
    draw(total, note, total.shape[1] - 12, middle, size=SMALL_TEXT_SIZE, align="right")
    return total


def draw(picture, text: str, x: float, y: float, size: int = TEXT_SIZE, align: str = "left") -> int:
    """Draw white text with a shadow, its middle at height y; returns its width in pixels."""
    properties = vtk.vtkTextProperty()
    properties.SetFontFamilyToArial()
    properties.SetFontSize(size)
    properties.SetColor(1, 1, 1)
    image, used = vtk.vtkImageData(), [0, 0]
    vtk.vtkTextRenderer.GetInstance().RenderString(properties, text, image, used, 72)
    columns, rows, _ = image.GetDimensions()
    rgba = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 4)
    opacity = rgba[: used[1], : used[0]][::-1, :, 3:] / 255
    left = round({"left": x, "centre": x - used[0] / 2, "right": x - used[0]}[align])
    left = min(max(left, 0), picture.shape[1] - used[0])
    top = min(max(round(y - used[1] / 2), 0), picture.shape[0] - used[1])
    for shift, color in ((1, 0), (0, 255)):  # a shadow first, for text over bright tissue
        area = picture[top + shift : top + shift + used[1], left + shift : left + shift + used[0]]
        cut = opacity[: area.shape[0], : area.shape[1]]
        area[:] = np.round(cut * color + (1 - cut) * area)
    return used[0]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
