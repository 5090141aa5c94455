"""Pictures of slice views show what the scene says: grey levels, overlay, threshold, outlines and legend."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import slicer.util
from slice_rendering import renderSliceView

pytestmark = pytest.mark.usefixtures("scene")

SPACING = 2.0
IJK_TO_RAS = np.diag([-SPACING, -SPACING, SPACING, 1.0])
IJK_TO_RAS[:3, 3] = [63, 63, -20]


def addVolume(name, array, window):
    volume = slicer.util.addVolumeFromArray(array.astype(np.float32), ijkToRAS=IJK_TO_RAS, name=name)
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)
    return volume


def constantVolume(value=100.0, name="MRI"):
    return addVolume(name, np.full((21, 64, 64), value), (0, 200))


def squareMask():
    mask = np.zeros((21, 64, 64), bool)
    mask[:, 20:40, 20:40] = True
    return mask


def ras(i, j, k):
    return tuple((IJK_TO_RAS @ (i, j, k, 1))[:3])


@pytest.fixture
def sliceNode(scene):
    node = scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    node.SetLayoutName("Red")
    node.SetSingletonTag("Red")
    node = scene.AddNode(node)
    node.SetOrientation("Axial")
    return node


def test_an_empty_view_is_black(renderer, sliceNode):
    picture = renderer(sliceNode, (120, 80)).render()
    assert picture.shape == (80, 120, 3)
    assert not picture.any()


def test_the_background_is_grey_by_its_window_and_level(renderer, sliceNode):
    view = renderer(sliceNode)
    view.compositeNode.SetBackgroundVolumeID(constantVolume(100).GetID())
    view.sliceLogic.FitSliceToAll()
    picture = view.render()
    row, column = view.pixel(ras(32, 32, 10))
    # 100 in a window from 0 to 200 is the middle grey.
    assert abs(picture[row, column].astype(int) - 127).max() <= 1


def test_positions_and_pixels_agree_also_where_left_and_right_differ(renderer, sliceNode):
    array = np.zeros((21, 64, 64))
    array[10, 16, 48] = 200
    volume = addVolume("Point", array, (0, 200))
    volume.GetDisplayNode().InterpolateOff()
    view = renderer(sliceNode)
    view.compositeNode.SetBackgroundVolumeID(volume.GetID())
    view.sliceLogic.FitSliceToAll()
    view.sliceLogic.SetSliceOffset(ras(48, 16, 10)[2])
    picture = view.render()
    rows, columns = np.nonzero(picture[..., 0] > 200)
    row, column = view.pixel(ras(48, 16, 10))
    assert abs(rows.mean() - row) < 1.5
    assert abs(columns.mean() - column) < 1.5


def test_the_overlay_is_coloured_only_above_its_threshold(renderer, sliceNode):
    colours = slicer.vtkMRMLColorTableNode()
    colours.SetTypeToUser()
    colours.SetNumberOfColors(256)
    for index in range(256):
        colours.SetColor(index, str(index), 1.0, 0.0, 0.0, 1.0)
    colours = slicer.mrmlScene.AddNode(colours)
    entropy = addVolume("Entropy", np.where(squareMask(), 0.9, 0.2), (0, 1))
    display = entropy.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetThreshold(0.5, 1.0)
    display.ApplyThresholdOn()
    view = renderer(sliceNode)
    view.compositeNode.SetBackgroundVolumeID(constantVolume().GetID())
    view.compositeNode.SetForegroundVolumeID(entropy.GetID())
    view.compositeNode.SetForegroundOpacity(1.0)
    view.sliceLogic.FitSliceToAll()
    picture = view.render()
    assert tuple(picture[view.pixel(ras(30, 30, 10))]) == (255, 0, 0)
    below = picture[view.pixel(ras(5, 5, 10))].astype(int)
    assert np.ptp(below) == 0
    assert below[0] > 0


def test_a_rater_is_outlined_in_its_colour_at_its_contour(renderer, sliceNode):
    volume = constantVolume()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Raters")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("rater", "Rater", [0.0, 1.0, 0.0])
    slicer.util.updateSegmentBinaryLabelmapFromArray(squareMask().astype(np.uint8), segmentation, "rater", volume)
    segmentation.GetDisplayNode().SetVisibility2DFill(False)
    view = renderer(sliceNode)
    view.compositeNode.SetBackgroundVolumeID(volume.GetID())
    view.sliceLogic.FitSliceToAll()
    picture = view.render().astype(int)
    green = (picture[..., 1] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 2] + 60)
    assert green.sum() > 100
    rows, columns = np.nonzero(green)
    corners = [view.pixel(ras(i, j, 10)) for i, j in ((19.5, 19.5), (39.5, 39.5))]
    assert abs(rows.min() - min(row for row, _ in corners)) <= 6
    assert abs(rows.max() - max(row for row, _ in corners)) <= 6
    assert abs(columns.min() - min(column for _, column in corners)) <= 6
    assert abs(columns.max() - max(column for _, column in corners)) <= 6
    middle = view.pixel(ras(30, 30, 10))
    assert not green[middle]


def test_a_colour_legend_is_drawn_over_the_view(scene):
    entropy = addVolume("Entropy", np.full((21, 64, 64), 0.5), (0, 1))
    without = renderSliceView(entropy)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(entropy)
    legend.SetTitleText("Entropy (bits)")
    legend.SetVisibility(True)
    with_ = renderSliceView(entropy)
    changed = (without != with_).any(-1)
    assert changed.sum() > 500
    # The default place of a legend is the right edge.
    assert np.nonzero(changed)[1].min() > 300
    legend.SetVisibility(False)
    np.testing.assert_array_equal(renderSliceView(entropy), without)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSliceNode") == 1


def test_the_picture_is_saved_as_it_was_returned(tmp_path):
    picture = renderSliceView(constantVolume(), size=(200, 100), png=tmp_path / "pictures" / "view.png")
    saved = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "pictures" / "view.png")))
    np.testing.assert_array_equal(saved, picture)


def test_two_views_of_one_scene_show_different_volumes(renderer):
    dark, bright = constantVolume(20, "Dark"), constantVolume(180, "Bright")
    levels = []
    for name, volume in (("Left", dark), ("Right", bright)):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceNode")
        node.UnRegister(None)
        node.SetLayoutName(name)
        node.SetSingletonTag(name)
        node = slicer.mrmlScene.AddNode(node)
        node.SetOrientation("Coronal")
        view = renderer(node, (100, 100))
        view.compositeNode.SetBackgroundVolumeID(volume.GetID())
        view.sliceLogic.FitSliceToAll()
        levels.append(view.render()[50, 50, 0])
    assert levels[0] == pytest.approx(25, abs=1)
    assert levels[1] == pytest.approx(230, abs=1)
