from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from matplotlib.image import imread

from ObserverUncertaintyLib.base.tables import aligned, number, without_nan, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.evaluation.figures import RATER_COLOURS, AxialView, comparison_figure
from ObserverUncertaintyLib.images.grid import Grid


def patient(code: str) -> tuple[Case, np.ndarray]:
    """A head stored with any order of axes, and a map that is 1 in its right anterior inferior corner only."""
    shape = (6, 20, 16)
    head, marker = np.full(shape, 100.0, np.float32), np.zeros(shape, np.float32)
    marker[:2, :5, :4] = 1  # made in LPS: low k is inferior, low j anterior, low i right
    images = [sitk.GetImageFromArray(array) for array in (head, marker)]
    for image in images:
        image.SetSpacing((2.0, 1.5, 5.0))
    head_image, marker_image = (sitk.DICOMOrient(image, code) for image in images)
    turned = sitk.GetArrayFromImage(marker_image)
    case = Case(
        "anna",
        Grid.from_sitk(head_image),
        ("T1",),
        sitk.GetArrayFromImage(head_image)[None],
        ("one", "two"),
        np.stack([turned > 0, np.zeros(turned.shape, bool)]),
    )
    return case, turned


@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR", "SAL"])
def test_the_patients_right_is_on_the_left_and_anterior_is_up(code: str) -> None:
    case, marker = patient(code)
    view = AxialView(case.grid, marker)
    rows, columns = np.nonzero(view.slice(marker))
    assert (rows.max(), columns.max()) == (4, 3)
    assert view.index in (0, 1), "the slice with the marker is shown"
    axes = Figure().subplots()
    view.show_background(axes, case.image("T1"))
    assert view.extent == (0, 32, 30, 0), "mm; row 0 at the top"
    letters = {text.get_text(): text.get_position() for text in axes.texts}
    assert letters["R"][0] < 0.1 < 0.9 < letters["L"][0]
    assert letters["P"][1] < 0.1 < 0.9 < letters["A"][1]


def test_position_is_the_height_towards_superior() -> None:
    case, marker = patient("RAS")
    view = AxialView(case.grid, marker)
    assert view.position_mm == pytest.approx(5.0 * view.index)


def test_figure_shows_contours_and_entropy_in_the_fixed_colours(tmp_path: Path) -> None:
    case, marker = patient("LPS")
    path = tmp_path / "figure.png"
    comparison_figure(path, [case], "T1", {"Expert entropy": [marker]}, "title", "footer")
    pixels = imread(path)[..., :3]

    def present(colour: tuple[float, float, float]) -> int:
        return int((np.abs(pixels - np.array(colour)).max(axis=2) < 0.06).sum())

    first = tuple(int(RATER_COLOURS[0][n : n + 2], 16) / 255 for n in (1, 3, 5))
    assert present(first) > 50, "the first rater's contour"  # type: ignore[arg-type]
    # The top of the colour map at full opacity, 0.9 of it over grey in the map.
    assert present((0.988, 1.0, 0.645)) > 20
    assert present((0.0, 0.0, 0.0)) < 0.2 * pixels.shape[0] * pixels.shape[1]
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]


def test_a_2d_image_gets_no_letters_since_it_has_no_anatomy() -> None:
    grid = Grid((8, 9, 1), dimension=2)
    image = np.ones(grid.shape, np.float32)
    axes = Figure().subplots()
    AxialView(grid, image).show_background(axes, image)
    assert not axes.texts


def test_csv_leaves_undefined_values_blank(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "table.csv", [{"case": "a", "wme": float("nan"), "n": 2}, {"case": "b, c", "wme": 0.5, "n": 3}]
    )
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == 'case,wme,n\na,,2\n"b, c",0.5,3\n'


def test_json_gets_null_for_undefined_values_however_deep() -> None:
    assert without_nan({"a": [1.0, float("nan"), {"b": (math.nan, "x")}]}) == {"a": [1.0, None, {"b": [None, "x"]}]}


def test_tables_align_and_show_a_dash_for_undefined() -> None:
    text = aligned(["", "WME"], [["none", number(0.51234)], ["majority", number(float("nan"))]])
    assert text.splitlines() == ["            WME", "--------  -----", "none      0.512", "majority      -"]
