from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from analytic_shapes import SOLIDS, truth
from contour_files import fields, frame_of_reference, write_series, write_structure_set
from matplotlib.path import Path as Outline
from pydicom import dcmread
from surface_distance import compute_average_surface_distance, compute_robust_hausdorff, compute_surface_distances
from surface_distance import compute_surface_dice_at_tolerance as surface_dice

from ObserverUncertaintyLib.formats import InvalidMaskError, UnreadableFileError, read_image, read_mask, read_masks
from ObserverUncertaintyLib.formats.dicom.planar_contours import draw
from ObserverUncertaintyLib.formats.dicom.polygons import filled
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.images.grid import Grid

# Those of the conformance test, none relaxed: Dice, surface Dice at 1 mm, 95 % Hausdorff and mean distance in mm,
# volume.
THRESHOLDS = {
    "sphere": (0.98, 0.95, 1.5, 0.5, 0.03),
    "cube": (0.99, 0.95, 1.0, 0.5, 0.03),
    "cylinder": (0.97, 0.95, 1.5, 0.5, 0.03),
    "ellipsoid": (0.97, 0.95, 2.0, 0.5, 0.03),
    "torus": (0.93, 0.90, 2.5, 0.5, 0.03),
    "hollow_sphere": (0.92, 0.95, 2.5, 0.5, 0.05),
    "straw": (0.92, 0.95, 2.5, 0.5, 0.05),
}
WHOLE = Grid((512, 512, 200))


def turned(grid: Grid) -> Grid:
    """As brain MR lies: 20 degrees about x, then 10 about y."""
    c, s, d, t = np.cos(0.35), np.sin(0.35), np.cos(0.17), np.sin(0.17)
    about_x, about_y = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.array([[d, 0, t], [0, 1, 0], [-t, 0, d]])
    return replace(grid, direction=tuple((about_y @ about_x).ravel().tolist()), origin=(-123.4, 56.7, -89.1))


def scores(found: np.ndarray, expected: np.ndarray, spacing: tuple[float, float, float]) -> tuple[float, ...]:
    box = tuple(slice(max(0, a.min() - 2), a.max() + 3) for a in np.nonzero(found | expected))
    found, expected = found[box], expected[box]
    distances = compute_surface_distances(expected, found, spacing[::-1])
    means = compute_average_surface_distance(distances)
    return (
        2 * (found & expected).sum() / (found.sum() + expected.sum()),
        surface_dice(distances, 1.0),
        compute_robust_hausdorff(distances, 95),
        max(means),
        abs(found.sum() - expected.sum()) / expected.sum(),
    )


def require_conformance(
    name: str, found: np.ndarray, expected: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    reached, wanted = scores(found, expected, spacing), THRESHOLDS[name]
    assert reached[0] >= wanted[0]
    assert reached[1] >= wanted[1]
    assert reached[2] <= wanted[2]
    assert reached[3] <= wanted[3]
    assert reached[4] <= wanted[4]


@pytest.mark.parametrize("name", SOLIDS)
def test_the_seven_shapes_of_the_public_conformance_test(name):
    contours = [polygon for k in range(200) for polygon in SOLIDS[name].polygons(float(k))]
    mask, warnings = draw(contours, WHOLE)
    assert warnings == []
    require_conformance(name, mask, truth(SOLIDS[name], WHOLE, np.eye(4)), WHOLE.spacing)


@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 1.1, 5.0)])
def test_the_same_on_an_oblique_series_and_with_slices_of_five_millimetres(name, spacing):
    solid, (x, y, _z) = SOLIDS[name], SOLIDS[name].centre
    size = (int(200 / spacing[0]), int(200 / spacing[1]), int(200 / spacing[2]))
    grid = turned(Grid(size, spacing))
    # The solid's space is that of the grid's axes in mm, with its centre near the middle of the image.
    local = np.diag([*spacing, 1.0])
    # A slice that only touches a body has no contour of it, so that none lies at its end.
    first = 1.25 if spacing[2] > 1 else 0.0
    local[:3, 3] = x - 100.3, y - 99.6, first
    to_patient = grid.index_to_physical() @ np.linalg.inv(local)
    contours = [
        polygon @ to_patient[:3, :3].T + to_patient[:3, 3]
        for k in range(size[2])
        for polygon in solid.polygons(first + k * spacing[2])
    ]
    mask, warnings = draw(contours, grid)
    assert warnings == []
    require_conformance(name, mask, truth(solid, grid, local), spacing)


@pytest.mark.parametrize("name", ["sphere", "torus", "straw", "hollow_sphere"])
def test_contours_of_thick_slices_are_interpolated_on_thin_ones_and_on_others(name):
    """Drawn every 3 mm; the image has slices of 1 mm, and in the second case lies across the contours."""
    solid, (x, y, _z) = SOLIDS[name], SOLIDS[name].centre
    contours = [polygon for height in np.arange(0.5, 200, 3.0) for polygon in solid.polygons(height)]
    upright = Grid((220, 220, 200), (1.0, 1.0, 1.0), (x - 110, y - 110, 0.0))
    sagittal = Grid((220, 200, 220), (1.0, 1.0, 1.0), (x - 110, y - 110, 0.0), (0, 0, 1, 1, 0, 0, 0, 1, 0))
    for grid, said in (
        (upright, "contours 3 mm apart, slices 1 mm"),
        (sagittal, "other planes than the image's slices"),
    ):
        mask, warnings = draw(contours, grid)
        assert len(warnings) == 1
        assert said in warnings[0]
        assert scores(mask, truth(solid, grid, grid.index_to_physical()), grid.spacing)[0] > 0.95


def test_a_pixel_belongs_to_a_polygon_as_matplotlib_has_it():
    rng = np.random.default_rng(0)
    i, j = np.meshgrid(np.arange(40), np.arange(30))
    centres = np.column_stack([i.ravel(), j.ravel()])
    for _ in range(50):
        polygon = rng.uniform([-5, -5], [45, 35], (rng.integers(3, 9), 2))
        # matplotlib winds, this one counts: they agree where a polygon does not cross itself.
        angles = np.argsort(np.arctan2(*(polygon - polygon.mean(axis=0)).T))
        polygon = polygon[angles]
        expected = Outline(polygon).contains_points(centres).reshape(30, 40)
        np.testing.assert_array_equal(filled([polygon], (30, 40)), expected)


def test_nothing_is_shifted_by_half_a_pixel():
    # A square from edge to edge of the pixels 2 to 4, and the same through their centres.
    edges = np.array([[1.5, 1.5], [4.5, 1.5], [4.5, 4.5], [1.5, 4.5]])
    expected = np.zeros((7, 7), bool)
    expected[2:5, 2:5] = True
    np.testing.assert_array_equal(filled([edges], (7, 7)), expected)
    for shift in (-0.4, 0.4):
        np.testing.assert_array_equal(filled([edges + shift], (7, 7)), expected)
    # Two areas that share an edge through centres share no pixel and leave none out.
    left = np.array([[0, 0], [3, 0], [3, 6], [0, 6]])
    both = filled([left], (7, 7)).astype(int) + filled([left + np.array([3, 0])], (7, 7))
    assert both[:6, :6].tolist() == np.ones((6, 6)).tolist()


SQUARE = np.array([[0, 0], [20, 0], [20, 20], [0, 20]], float)
GRID = Grid((40, 40, 6), (1.0, 1.0, 2.0))


def at(square: np.ndarray, k: float, scale: float = 1.0, shift: float = 0.3) -> np.ndarray:
    corners = square * scale + shift
    return np.column_stack([corners, np.full(len(corners), 2.0 * k)])


def test_a_hole_may_be_a_contour_of_its_own_or_a_keyhole():
    hole = at(SQUARE, 2, 0.5, 5.3)
    own, _ = draw([at(SQUARE, 2), hole], GRID)
    outer = at(SQUARE, 2)
    keyhole, warnings = draw([np.concatenate([outer, outer[:1], hole, hole[:1]])], GRID)
    np.testing.assert_array_equal(own, keyhole)
    assert own[2].sum() == 20 * 20 - 10 * 10
    assert warnings == []


def test_what_is_left_out_or_cut_off_is_said():
    line = at(SQUARE[:2], 1)
    cases = {
        "enclose nothing": [at(SQUARE, 2), line],
        "there twice": [at(SQUARE, 2), at(SQUARE, 2)],
        "cross each other": [at(SQUARE, 2), at(SQUARE, 2, shift=10.3)],
        "1 of its 3 contours lie outside": [at(SQUARE, k) for k in (4, 5, 6)],
        "1 of its 1 contours lie outside": [at(SQUARE, 2, shift=30.3)],
        "a gap": [at(SQUARE, k) for k in (0, 1, 2, 5)],
    }
    for said, contours in cases.items():
        mask, warnings = draw(contours, GRID)
        assert [said in text for text in warnings] == [True], (said, warnings)
        assert mask.any()


def test_a_gap_is_not_drawn_over():
    mask, _ = draw([at(SQUARE, k) for k in (0, 1, 4, 5)], GRID)
    assert mask.any(axis=(1, 2)).tolist() == [True, True, False, False, True, True]
    sparse = Grid((40, 40, 60), (1.0, 1.0, 0.2))
    mask, warnings = draw([at(SQUARE, k) for k in (0, 1, 4, 5)], sparse)
    drawn = mask.any(axis=(1, 2))
    assert drawn[:15].all()
    assert not drawn[16:34].any()
    assert drawn[36:55].all()
    assert any("a gap" in text for text in warnings)


def test_contours_half_way_between_slices_give_as_many_slices():
    mask, warnings = draw([at(SQUARE, k + 0.5) for k in range(5)], GRID)
    assert "do not lie on each" in warnings[0]
    assert mask.sum(axis=(1, 2)).tolist() == [400, 400, 400, 400, 400, 0]


def circle(z: float, radius: float = 10.0, corners: int = 60, first: int = 0, centre: float = 20.0) -> np.ndarray:
    angles = np.roll(np.linspace(0, 2 * np.pi, corners, endpoint=False), first)
    around = centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return np.column_stack([around, np.full(corners, z)])


@pytest.mark.parametrize("apart", [0.3, 0.4, 0.5, 0.625, 1.5])
def test_contours_of_a_finer_series_do_not_erase_each_other_on_thick_slices(apart):
    thick = Grid((40, 40, 12), (1.0, 1.0, 6.0))
    mask, warnings = draw([circle(z) for z in np.arange(15, 45.01, apart)], thick)
    expected, _ = draw([circle(z) for z in np.arange(18, 43, 6.0)], thick)
    np.testing.assert_array_equal(mask[3:8], expected[3:8])
    assert f"contours {apart:.3g} mm apart, slices 6 mm" in warnings[0]


@pytest.mark.parametrize(
    "again",
    [{"first": 7}, {"corners": 90}, {"radius": 9.99}, {"centre": 20.01}],
    ids=["other start", "other corners", "rounded", "moved"],
)
def test_a_contour_that_is_there_twice_is_drawn_once(again):
    once, _ = draw([circle(2.0 * k) for k in range(1, 4)], GRID)
    twice, warnings = draw([each for k in range(1, 4) for each in (circle(2.0 * k, **again), circle(2.0 * k))], GRID)
    assert np.count_nonzero(once != twice) <= 0.02 * once.sum()
    assert warnings == ["3 of its contours are there twice and are drawn once"]


def test_a_contour_close_inside_another_is_a_hole():
    ring, warnings = draw([circle(2.0), circle(2.0, radius=9.0)], GRID)
    assert 0 < ring.sum() < 80
    assert warnings == []


@pytest.mark.parametrize("slices", [(1, 2, 10, 19), (5, 15), (3, 4, 9), (2, 9, 19)])
def test_foci_on_a_few_slices_stay_on_them(slices):
    mask, warnings = draw([circle(2.0 * k) for k in slices], Grid((40, 40, 20), (1.0, 1.0, 2.0)))
    assert tuple(np.flatnonzero(mask.any(axis=(1, 2)))) == slices
    assert "a gap" in warnings[0] or "gaps" in warnings[0]


def test_every_third_slice_is_interpolated_unless_the_file_says_what_a_contour_stands_for():
    grid, contours = Grid((40, 40, 20), (1.0, 1.0, 2.0)), [circle(2.0 * k) for k in (3, 6, 9)]
    mask, warnings = draw(contours, grid)
    assert mask.any(axis=(1, 2)).sum() == 9
    assert "interpolated" in warnings[0]
    mask, _ = draw(contours, grid, slab_mm=2.0)
    assert mask.any(axis=(1, 2)).sum() == 3


def test_specks_and_corners_far_away_take_no_time_and_no_memory():
    far = circle(4.0)
    far[0] = [300_000, 20, 4]
    mask, warnings = draw([circle(4.0), far], GRID)
    assert "outside the image" in warnings[0]
    assert mask.sum() < 40 * 40


@pytest.fixture
def drawn(tmp_path):
    """A turned series with two raters' contours on it."""
    grid = turned(Grid((40, 40, 6), (1.0, 1.0, 2.0)))
    files = write_series(tmp_path / "mr", grid)
    matrix = grid.index_to_physical()

    def contours(scale: float) -> list[np.ndarray]:
        found = []
        for k in range(1, 5):
            corners = SQUARE * scale + 5.5
            index = np.column_stack([corners, np.full(4, k), np.ones(4)])
            found.append((index @ matrix.T)[:, :3])
        return found

    rois = {"Cavity anna": contours(1.0), "Cavity ben": contours(0.5), "empty": []}
    path = write_structure_set(tmp_path / "rs.dcm", rois, frame_of_reference(files))
    return tmp_path / "mr", path, rois


def test_each_region_is_a_rater(drawn):
    series, path, _ = drawn
    image = read_image(series)
    masks = read_masks(path, image.space)
    assert [mask.name for mask in masks] == ["Cavity anna", "Cavity ben", "empty"]
    assert [int(mask.array.sum()) for mask in masks] == [4 * 20 * 20, 4 * 10 * 10, 0]
    assert masks[0].array[1:5, 6:26, 6:26].all()
    assert not any(mask.warnings for mask in masks)
    by_name, by_number = read_mask(f"{path}#Cavity ben", image.space), read_mask(f"{path}#2", image.space)
    np.testing.assert_array_equal(by_name.array, masks[1].array)
    np.testing.assert_array_equal(by_number.array, masks[1].array)
    with pytest.raises(InvalidMaskError, match=r"no region 'carl'; expected one of: 'Cavity anna', 'Cavity ben'"):
        read_mask(f"{path}#carl", image.space)
    with pytest.raises(InvalidMaskError, match="holds 3 structures"):
        read_mask(path, image.space)


def test_a_folder_with_one_structure_set_is_that_file(drawn):
    series, path, _ = drawn
    (path.parent / "rs").mkdir()
    moved = path.rename(path.parent / "rs" / "rs.dcm")
    assert len(read_masks(moved.parent, read_image(series).space)) == 3


def test_contours_need_their_image_and_its_frame_of_reference(drawn):
    series, path, _ = drawn
    space = read_image(series).space
    with pytest.raises(InvalidMaskError, match="holds contours and no voxels; expected the image"):
        read_masks(path)
    with pytest.raises(InvalidMaskError, match=r"rs\.dcm: 'Cavity anna' was drawn in another frame of reference"):
        read_masks(path, replace(space, frame_of_reference="1.2.3"))
    unknown = read_masks(path, Space(space.grid))[0]
    assert unknown.array.sum() == 4 * 20 * 20
    assert "the image names no frame of reference" in unknown.warnings[0]


def change(path, edit):
    dataset = dcmread(path)
    edit(dataset)
    dataset.save_as(path)


def test_what_is_unclear_in_a_file_is_refused(drawn):
    series, path, _ = drawn
    space, whole = read_image(series).space, path.read_bytes()

    def refused(edit, text):
        path.write_bytes(whole)
        change(path, edit)
        with pytest.raises((InvalidMaskError, UnreadableFileError), match=text):
            read_masks(path, space)

    def two_numbers(dataset):
        dataset.StructureSetROISequence[1].ROINumber = 1

    def two_items(dataset):
        dataset.ROIContourSequence[1].ReferencedROINumber = 1

    def shifted(dataset):
        dataset.ROIContourSequence[0].ContourSequence[0].ContourOffsetVector = [10, 0, 0]

    def foreign(dataset):
        dataset.ReferencedFrameOfReferenceSequence = [fields(FrameOfReferenceUID=each) for each in ("1.2", "1.3")]
        for item in dataset.StructureSetROISequence:
            del item.ReferencedFrameOfReferenceUID

    refused(two_numbers, "two regions of the RTSTRUCT have the number 1")
    refused(two_items, "two regions of the RTSTRUCT have the number 1")
    refused(shifted, "'Cavity anna' in it, but it is damaged")
    refused(foreign, "another frame of reference")


def test_a_damaged_region_does_not_keep_the_others_from_being_read(drawn):
    series, path, _ = drawn

    def empty(dataset):
        dataset.ROIContourSequence[1].ContourSequence[0].ContourData = None

    change(path, empty)
    space = read_image(series).space
    assert read_mask(f"{path}#Cavity anna", space).array.any()
    with pytest.raises(UnreadableFileError, match="'Cavity ben' in it"):
        read_mask(f"{path}#Cavity ben", space)


def test_points_and_open_lines_are_no_area(drawn):
    series, path, rois = drawn
    image = read_image(series)
    write_structure_set(path, rois, image.frame_of_reference, kinds={"Cavity ben": "OPEN_PLANAR"})
    with pytest.raises(InvalidMaskError, match="no closed contour but OPEN_PLANAR; expected CLOSED_PLANAR"):
        read_mask(f"{path}#Cavity ben", image.space)


def test_contours_that_are_not_planar_are_refused(drawn):
    series, path, rois = drawn
    image = read_image(series)
    bent = [contour.copy() for contour in rois["Cavity anna"]]
    bent[2][1] += [0, 0, 1.5]
    write_structure_set(path, {"bent": bent}, image.frame_of_reference)
    with pytest.raises(InvalidMaskError, match="'bent': its contours are not planar"):
        read_masks(path, image.space)


def test_damaged_files_are_named(drawn):
    series, path, _ = drawn
    space = read_image(series).space
    whole = path.read_bytes()
    for end in (*range(300, len(whole), 131), len(whole) - 3):
        path.write_bytes(whole[:end])
        with pytest.raises((UnreadableFileError, InvalidMaskError), match=r"rs\.dcm: "):
            read_masks(path, space)


@pytest.mark.parametrize(("patient", "voxels"), [("STS_002", 17090), ("STS_003", 25693)])
def test_real_contours_give_the_mask_that_other_software_made_of_them(test_data, patient, voxels):
    folder = test_data / "sarcoma_dicom_rtstruct"
    image = read_image(folder / patient / "MR_T1" / "image")
    (mask,) = read_masks(folder / patient / "MR_T1" / "mask" / "RS.dcm", image.space)
    theirs = read_mask(folder / "nifti" / patient / "MR_T1_mask.nii.gz")
    assert mask.array.sum() == voxels
    np.testing.assert_array_equal(mask.array, theirs.array)
    assert mask.warnings == ()
