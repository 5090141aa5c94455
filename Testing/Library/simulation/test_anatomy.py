import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import Anatomy, load_template, positions
from ObserverUncertaintyLib.simulation.patients import simulate_patient
from ObserverUncertaintyLib.simulation.settings import CavitySettings

COARSE = CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=6.0)
SCRIPT = Path(__file__).parents[3] / "Resources" / "make_template.py"
TEMPLATE_FOLDER = files("ObserverUncertaintyLib.simulation.template")


def with_marker_on_the_left() -> Anatomy:
    """The template with everything 30 mm left of the midline turned into CSF."""
    template = load_template()
    left = (positions(template.grid)[0] > 30) & template.brain
    return Anatomy(
        template.grid,
        np.where(left, 0, template.grey),
        np.where(left, 0, template.white),
        np.where(left, 1, template.csf).astype(np.float32),
    )


def test_template_fractions_sum_to_1_in_the_brain_and_0_outside():
    template = load_template()
    whole = template.grey + template.white + template.csf
    np.testing.assert_allclose(whole[template.brain], 1, atol=1e-5)
    assert not whole[~template.brain].any()
    assert min(tissue.min() for tissue in (template.grey, template.white, template.csf)) >= 0


def test_template_is_a_brain_of_human_size_in_lps():
    template = load_template()
    assert template.grid.orientation == "LPS"
    assert template.grid.spacing == pytest.approx((1.5, 1.5, 1.5))
    assert 1600 < template.brain.sum() * template.grid.voxel_volume_ml < 2000
    assert abs(template.centre[0]) < 1.5
    # The occipital pole of the ICBM152 brain lies further from the anterior commissure than the frontal pole.
    assert template.centre[1] > 10


def test_white_matter_lies_deeper_than_grey_and_the_ventricles_are_csf():
    template = load_template()
    depth = template.depth
    assert np.average(depth, weights=template.white) > np.average(depth, weights=template.grey) + 5
    x, y, z = positions(template.grid)
    body_of_lateral_ventricle = (np.abs(np.abs(x) - 10) < 3) & (np.abs(y - 5) < 5) & (np.abs(z - 22) < 3)
    assert template.csf[body_of_lateral_ventricle].mean() > 0.4


def test_licence_and_template_are_shipped_and_small():
    notice = (TEMPLATE_FOLDER / "LICENSE-ICBM152.txt").read_text(encoding="utf-8")
    assert "Copyright (C) 1993-2009 Louis Collins" in notice
    assert "Fonov" in notice
    sizes = [len((TEMPLATE_FOLDER / f"{name}.nii.gz").read_bytes()) for name in ("grey", "white", "brain")]
    assert sum(sizes) < 800_000


def test_template_files_are_what_the_script_makes(tmp_path):
    pytest.importorskip("nilearn", reason="the template extra is not installed")
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=True)
    for name in ("grey", "white", "brain"):
        made = sitk.ReadImage(str(tmp_path / f"{name}.nii.gz"))
        shipped = sitk.ReadImage(str(TEMPLATE_FOLDER / f"{name}.nii.gz"))
        assert Grid.from_sitk(made) == Grid.from_sitk(shipped)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(made), sitk.GetArrayFromImage(shipped))


def test_sampling_in_place_changes_nothing():
    template = load_template()
    again = template.sampled(template.grid, positions(template.grid))
    np.testing.assert_allclose(again.grey, template.grey, atol=1e-3)
    np.testing.assert_array_equal(again.brain, template.brain)


def test_sampling_at_mirrored_places_takes_the_left_to_the_right():
    marked = with_marker_on_the_left()
    x = positions(marked.grid)[0]
    mirror = np.array([-1, 1, 1], np.float32)[:, None, None, None]
    mirrored = marked.sampled(marked.grid, positions(marked.grid) * mirror)
    assert np.average(x, weights=marked.csf) > 20
    assert np.average(x, weights=mirrored.csf) < -20


def test_an_anatomy_stored_right_to_left_gives_the_same_patient():
    marked = with_marker_on_the_left()
    grid = marked.grid
    last = grid.index_to_physical() @ [grid.size[0] - 1, 0, 0, 1]
    flipped_grid = replace(grid, origin=tuple(last[:3]), direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    flipped = marked.mapped(lambda tissue: np.ascontiguousarray(tissue[:, :, ::-1]), flipped_grid)
    a = simulate_patient(marked, COARSE, np.random.default_rng(3)).anatomy
    b = simulate_patient(flipped, COARSE, np.random.default_rng(3)).anatomy
    assert a.grid == b.grid
    np.testing.assert_allclose(a.csf, b.csf, atol=1e-3)


def test_some_patients_are_mirrored_and_some_are_not():
    marked = with_marker_on_the_left()
    sides = set()
    for seed in range(6):
        patient = simulate_patient(marked, COARSE, np.random.default_rng(seed)).anatomy
        sides.add(np.sign(np.average(positions(patient.grid)[0], weights=patient.csf)))
    assert sides == {-1, 1}


def test_patient_is_cropped_to_a_whole_brain_and_differs_from_the_next():
    template = load_template()
    first, second = (simulate_patient(template, COARSE, np.random.default_rng(seed)).anatomy for seed in (0, 1))
    for anatomy in (first, second):
        volume = anatomy.brain.sum() * anatomy.grid.voxel_volume_ml
        assert 1300 < volume < 2500
        edge = anatomy.brain.copy()
        edge[1:-1, 1:-1, 1:-1] = False
        assert not edge.any()
        np.testing.assert_allclose((anatomy.grey + anatomy.white + anatomy.csf)[anatomy.brain], 1, atol=1e-4)
    assert first.grid != second.grid


@pytest.mark.parametrize("thickness", [1.5, 3.0, 5.0])
def test_each_scan_slice_lies_in_the_middle_of_the_fine_slices_it_averages(thickness):
    settings = CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=thickness, obliquity_deg=8.0)
    patient = simulate_patient(load_template(), settings, np.random.default_rng(1))
    assert patient.scan_grid.spacing == pytest.approx((3.0, 3.0, thickness))
    averaged = patient.to_scan(positions(patient.anatomy.grid))
    np.testing.assert_allclose(averaged, positions(patient.scan_grid), atol=1e-3)
