import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import load_template, positions
from ObserverUncertaintyLib.simulation.cavities import (
    SEQUENCES,
    CavitySettings,
    RaterProfile,
    many_raters_mean,
    simulate_cavity_case,
)
from ObserverUncertaintyLib.simulation.cavity_contents import simulate_contents
from ObserverUncertaintyLib.simulation.cavity_shape import LOBES, simulate_cavity
from ObserverUncertaintyLib.simulation.patients import simulate_patient

SEED = 11
COARSE = CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=6.0)
MEDIUM = CavitySettings(in_plane_spacing_mm=2.0, slice_thickness_mm=4.0)


@pytest.fixture(scope="module")
def cohort():
    """Eight cases on a grid a little coarser than the default, to save time."""
    return [simulate_cavity_case(index, SEED, MEDIUM) for index in range(8)]


def distance_to_border(mask: np.ndarray, grid: Grid) -> np.ndarray:
    spacing = grid.spacing[::-1]
    return np.where(
        mask,
        ndimage.distance_transform_edt(mask, spacing),
        ndimage.distance_transform_edt(~mask, spacing),
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_default_grid_is_that_of_a_clinical_scan_cropped_to_the_brain():
    grid = simulate_cavity_case(0, SEED).grid
    assert grid.spacing == pytest.approx((1.5, 1.5, 3.0))
    assert 80 < grid.size[0] < 125
    assert 100 < grid.size[1] < 150
    assert 42 < grid.size[2] < 66


def test_case_has_four_sequences_three_raters_and_a_truth(cohort):
    for number, case in enumerate(cohort, start=1):
        assert case.name == f"case{number:02d}"
        assert case.sequences == SEQUENCES == ("T1", "T1c", "T2", "FLAIR")
        assert case.rater_names == ("rater_2y", "rater_4y", "rater_6y")
        assert case.images.dtype == np.float32
        assert np.isfinite(case.images).all()
        assert case.truth is not None
        assert case.grid.orientation == "LPS"


def test_the_same_arguments_give_the_same_arrays_whatever_was_made_before(cohort):
    again = simulate_cavity_case(3, SEED, MEDIUM)
    assert again.grid == cohort[3].grid
    np.testing.assert_array_equal(again.images, cohort[3].images)
    np.testing.assert_array_equal(again.raters, cohort[3].raters)
    np.testing.assert_array_equal(again.truth, cohort[3].truth)


def test_another_index_or_seed_gives_another_patient():
    reference = simulate_cavity_case(0, SEED, COARSE)
    for other in (simulate_cavity_case(1, SEED, COARSE), simulate_cavity_case(0, SEED + 1, COARSE)):
        assert other.grid != reference.grid
        assert other.notes != reference.notes


def test_the_images_noise_leaves_cavity_and_raters_as_they_are():
    quiet, noisy = (
        simulate_cavity_case(2, SEED, CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=6.0, noise=noise))
        for noise in (0.0, 0.1)
    )
    np.testing.assert_array_equal(quiet.truth, noisy.truth)
    np.testing.assert_array_equal(quiet.raters, noisy.raters)
    assert (quiet.images != noisy.images).any()


def test_images_are_skull_stripped_alike_and_truth_and_raters_lie_in_the_brain(cohort):
    for case in cohort:
        brain = case.images[0] > 0
        for image in case.images:
            np.testing.assert_array_equal(image > 0, brain)
        assert 0.25 < brain.mean() < 0.6
        assert not case.truth[~brain].any()
        assert not case.raters[:, ~brain].any()


def test_tissue_contrast_is_that_of_each_sequence(cohort):
    for index, case in enumerate(cohort[:2]):
        stream = np.random.default_rng([SEED, index]).spawn(6)[0]
        patient = simulate_patient(load_template(), MEDIUM, stream)
        assert patient.scan_grid == case.grid
        far = distance_to_border(case.truth, case.grid) > 30
        grey, white, csf = (
            case.images[:, far & (patient.to_scan(tissue) > 0.85)].mean(axis=1)
            for tissue in (patient.anatomy.grey, patient.anatomy.white, patient.anatomy.csf)
        )
        for n, sequence in enumerate(SEQUENCES):
            if sequence.startswith("T1"):
                assert white[n] > 1.1 * grey[n] > 1.5 * csf[n]
            elif sequence == "T2":
                assert csf[n] > 1.5 * grey[n] > 1.1 * 1.5 * white[n]
            else:
                assert grey[n] > 1.05 * white[n] > 2 * csf[n]


def test_cavity_looks_like_fluid_and_some_of_its_surroundings_enhance(cohort):
    ratio = []
    for case in cohort:
        brain = case.images[0] > 0
        core = case.truth & (distance_to_border(case.truth, case.grid) > 4)
        rest = brain & (distance_to_border(case.truth, case.grid) > 15) & ~case.truth
        ratio.append(np.median(case.images[:, core], axis=1) / np.median(case.images[:, rest], axis=1))
    t1, t1c, t2, _ = np.median(ratio, axis=0)
    assert t1 < 0.7
    assert t1c < 0.7
    assert t2 > 1.8


def test_volumes_keep_to_the_range_and_differ(cohort):
    volumes = [case.truth.sum() * case.grid.voxel_volume_ml for case in cohort]
    low, high = CavitySettings().volume_range_ml
    assert 0.85 * low < min(volumes)
    assert max(volumes) < 1.1 * high
    assert max(volumes) > 1.5 * min(volumes)


def test_truth_is_mostly_one_piece_that_often_reaches_the_surface(cohort):
    reaching = 0
    for case in cohort:
        labels, _ = ndimage.label(case.truth)
        assert np.bincount(labels[case.truth]).max() > 0.97 * case.truth.sum()
        brain = case.images[0] > 0
        reaching += bool((case.truth & ~ndimage.binary_erosion(brain)).any())
    assert reaching >= 6


@pytest.mark.parametrize("obliquity", [0.0, 15.0])
def test_cavity_lies_on_the_side_its_note_says_in_lps_coordinates(obliquity):
    settings = CavitySettings(in_plane_spacing_mm=4.0, slice_thickness_mm=8.0, obliquity_deg=obliquity)
    seen = set()
    for index in range(5):
        case = simulate_cavity_case(index, SEED, settings)
        index_kji = np.argwhere(case.truth).mean(axis=0)
        x, _, _, _ = case.grid.index_to_physical() @ [*index_kji[::-1], 1]
        side = "left" if f"left {case.notes[0].split()[-2]}" in case.notes[0] else "right"
        seen.add(side)
        assert x > 10 if side == "left" else x < -10
    assert seen == {"left", "right"}


def test_lobes_lie_where_anatomy_says():
    """Occipital behind parietal behind frontal; temporal below all; LPS y grows backwards, z upwards."""
    settings = CavitySettings(in_plane_spacing_mm=4.0, slice_thickness_mm=8.0)
    anatomy = simulate_patient(load_template(), settings, np.random.default_rng(0)).anatomy
    place = positions(anatomy.grid)
    centres: dict[str, list[np.ndarray]] = {lobe: [] for lobe in LOBES}
    for seed in range(40):
        cavity = simulate_cavity(anatomy, settings, np.random.default_rng(seed))
        centres[cavity.lobe].append(place[:, cavity.mask].mean(axis=1))
    frontal, temporal, parietal = (np.mean(centres[lobe], axis=0) for lobe in ("frontal", "temporal", "parietal"))
    assert frontal[1] < temporal[1] < parietal[1]
    assert temporal[2] + 20 < min(frontal[2], parietal[2])


def test_air_rises_to_the_front_and_blood_sinks_to_the_back():
    settings = CavitySettings(
        in_plane_spacing_mm=2.5, slice_thickness_mm=5.0, air_probability=1.0, layering_probability=1.0
    )
    anatomy = simulate_patient(load_template(), settings, np.random.default_rng(0)).anatomy
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cavity = simulate_cavity(anatomy, settings, rng)
        contents = simulate_contents(anatomy, cavity, settings, rng)
        y = positions(anatomy.grid)[1]
        air, settled = contents.air > 0.5, contents.settled > 0.5
        assert air.any()
        assert settled.any()
        inside = y[cavity.mask]
        assert y[air].max() < np.median(inside) < y[settled].min()


def test_raters_agree_about_as_well_as_the_published_ones(cohort):
    """Ermis et al. 2020: median Dice 0.84 to 0.86; the band is wide since eight cases are few."""
    pairs = list(itertools.combinations(range(3), 2))
    agreement = np.array([[dice(case.raters[a], case.raters[b]) for a, b in pairs] for case in cohort])
    assert ((np.median(agreement, axis=0) > 0.79) & (np.median(agreement, axis=0) < 0.91)).all()
    assert agreement.min() > 0.5
    assert agreement.max() < 0.97
    assert agreement.max() - agreement.min() > 0.05


def test_no_rater_is_empty_or_right_or_the_same_as_another(cohort):
    for case in cohort:
        for rater in case.raters:
            assert 0.6 < dice(rater, case.truth) < 0.98
        for a, b in itertools.combinations(case.raters, 2):
            assert (a != b).any()


def test_disagreement_is_concentrated_at_the_border(cohort):
    for case in cohort:
        vote = case.raters.mean(axis=0)
        chance = np.clip(vote, 1e-9, 1 - 1e-9)
        entropy = -(chance * np.log2(chance) + (1 - chance) * np.log2(1 - chance))
        near = distance_to_border(case.truth, case.grid) < 7
        assert entropy[near].sum() > 0.75 * entropy.sum()
        assert entropy[near].mean() > 20 * entropy[~near].mean()


def test_with_various_scanners_each_case_has_its_own_and_the_others_are_as_before():
    various = replace(COARSE, various_scanners=True)
    rng = np.random.default_rng(7)
    scanners = [various.of_case(rng) for _ in range(200)]
    spacing, thickness, noise = (
        np.array([getattr(scanner, name) for scanner in scanners])
        for name in ("in_plane_spacing_mm", "slice_thickness_mm", "noise")
    )
    for values, (low, high), middle in (
        (spacing, (1.0, 2.0), 1.5),
        (thickness, (2.0, 6.0), 12**0.5),  # as many between 2 and 3.5 mm as above
        (noise, (0.01, 0.05), 0.03),
    ):
        assert low <= values.min() < values.max() <= high
        assert np.median(values) == pytest.approx(middle, rel=0.1)
    assert COARSE.of_case(rng) is COARSE
    scanner = various.of_case(np.random.default_rng([5, 1]).spawn(7)[6])
    spacing_i, _, spacing_k = simulate_cavity_case(1, 5, various).grid.spacing
    assert (spacing_i, spacing_k) == pytest.approx((scanner.in_plane_spacing_mm, scanner.slice_thickness_mm))


def test_other_raters_can_draw():
    only = RaterProfile("only", 0.0, 1.0, 0.2, 1.0, 0.1, 0.1, 0.1, 0.1)
    case = simulate_cavity_case(0, SEED, CavitySettings(in_plane_spacing_mm=3, slice_thickness_mm=6, raters=(only,)))
    assert case.rater_names == ("only",)
    assert case.raters.shape == (1, *case.grid.shape)


def test_a_cavity_larger_than_a_hemisphere_is_refused():
    settings = CavitySettings(
        in_plane_spacing_mm=4, slice_thickness_mm=8, volume_median_ml=1500, volume_range_ml=(1400, 1600)
    )
    with pytest.raises(InputError, match="does not fit"):
        simulate_cavity_case(0, SEED, settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_plane_spacing_mm": 0.0},
        {"slice_thickness_mm": 50.0},
        {"noise": -0.1},
        {"noise": float("nan")},
        {"air_probability": 1.5},
        {"volume_median_ml": 80.0},
        {"volume_range_ml": (-5.0, 60.0)},
        {"raters": (RaterProfile("twin", 0, 0, 0, 0, 0, 0, 0, 0),) * 2},
    ],
)
def test_settings_that_make_no_case_are_refused(wrong):
    with pytest.raises(InputError):
        CavitySettings(**wrong)


def test_rater_profiles_that_make_no_rater_are_refused():
    with pytest.raises(InputError, match="probability"):
        RaterProfile("bad", 0, 1, 1, 1, 1.2, 0, 0, 0)
    with pytest.raises(InputError, match="0 or more"):
        RaterProfile("bad", 0, -1, 1, 1, 0, 0, 0, 0)


def test_negative_index_or_seed_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        simulate_cavity_case(-1, 0)
    with pytest.raises(ValueError, match="0 or more"):
        simulate_cavity_case(0, -1)


def test_what_the_raters_draw_in_the_long_run_forecasts_what_they_drew():
    seed, count = 0, 15
    cases = [simulate_cavity_case(index, seed, COARSE) for index in range(3)]
    forecasts = [many_raters_mean(index, seed, count, COARSE) for index in range(3)]
    for case, forecast in zip(cases, forecasts, strict=True):
        drawings = forecast * count * len(case.raters)
        np.testing.assert_allclose(drawings, np.round(drawings), atol=1e-3)
        assert dice(forecast > 0.5, case.truth) > max(dice(rater, case.truth) for rater in case.raters)
    drawn = np.concatenate([case.raters.mean(axis=0).ravel() for case in cases])
    forecast = np.concatenate([each.ravel() for each in forecasts])
    for low, high in itertools.pairwise(np.linspace(0.1, 0.9, 5)):
        within = (forecast > low) & (forecast <= high)
        assert drawn[within].mean() == pytest.approx(forecast[within].mean(), abs=0.12)
