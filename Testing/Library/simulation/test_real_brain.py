"""Real brains as the anatomy of simulated patients: against the template, whose tissue is known, and real images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.simulation.anatomy import Anatomy, load_template
from ObserverUncertaintyLib.simulation.appearance import SCALE, SIGNAL, healthy_signals
from ObserverUncertaintyLib.simulation.cavities import SEQUENCES, CavitySettings, simulate_cavity_case
from ObserverUncertaintyLib.simulation.patients import simulate_patient
from ObserverUncertaintyLib.simulation.real_brain import TISSUES, read_real_brain


def simulate(*arguments: object, code: int = 0) -> str:
    """What the command wrote to standard error."""
    program = [sys.executable, "-m", "ObserverUncertaintyLib.cli", "simulate", "cavities"]
    done = subprocess.run([*program, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


COARSE = CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=3.0)


@pytest.fixture(scope="module")
def known() -> Anatomy:
    return simulate_patient(load_template(), COARSE, np.random.default_rng(0)).anatomy


@pytest.fixture
def folder(known: Anatomy, tmp_path: Path) -> Path:
    """T1 and FLAIR of a brain whose tissue is known."""
    signals = healthy_signals(known, np.random.default_rng(1))
    for sequence in ("T1", "FLAIR"):
        n = SEQUENCES.index(sequence)
        write_image(tmp_path / f"{sequence}.nii.gz", SCALE[n] * signals[n], known.grid)
    return tmp_path


def test_tissue_is_found_again_and_signals_are_relative_again(folder: Path, known: Anatomy) -> None:
    brain = read_real_brain(folder)
    assert brain.sequences == ("T1", "FLAIR")
    assert brain.anatomy.grid.shape == known.grid.shape
    assert brain.signals.shape == (2, *known.grid.shape)
    for tissue in TISSUES:
        found, truth = getattr(brain.anatomy, tissue), getattr(known, tissue)
        both = np.minimum(found, truth).sum() * 2 / (found.sum() + truth.sum())
        assert both > 0.85, tissue
        sure = found > 0.8
        for signal, sequence in zip(brain.signals, brain.sequences, strict=True):
            assert np.median(signal[sure]) == pytest.approx(SIGNAL[tissue][SEQUENCES.index(sequence)], rel=0.01)
    whole = sum(getattr(brain.anatomy, tissue) for tissue in TISSUES)
    assert whole[brain.anatomy.brain] == pytest.approx(1, abs=1e-5)
    assert np.array_equal(brain.signals[0] > 0, brain.anatomy.brain)


def test_cases_have_the_brains_sequences_take_brains_in_turn_and_are_the_same_each_time(folder: Path) -> None:
    brains = [read_real_brain(folder)] * 2
    case = simulate_cavity_case(1, 5, COARSE, brains)
    assert case.sequences == ("T1", "FLAIR")
    assert np.array_equal(case.images, simulate_cavity_case(1, 5, COARSE, brains[:1]).images)
    assert case.truth is not None
    assert 5 < case.truth.sum() * case.grid.voxel_volume_ml < 80
    assert all(mask.any() for mask in case.raters)
    # The cavity is darker on FLAIR than the brain around it, as CSF is.
    flair = case.image("FLAIR")
    assert np.median(flair[case.truth]) < 0.8 * np.median(flair[(flair > 0) & ~case.truth])
    other = simulate_cavity_case(0, 5, COARSE, brains)
    assert other.grid != case.grid


class TestRefused:
    def test_no_folder_no_image_and_two_of_one_sequence(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is no folder"):
            read_real_brain(tmp_path / "absent")
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"no image named after a sequence\. Name one or more T1, T1c, T2, FLAIR"):
            read_real_brain(tmp_path / "empty")
        (folder / "t1.nrrd").touch()
        with pytest.raises(InputError, match=r"T1.nii.gz and t1.nrrd. Keep one"):
            read_real_brain(folder)

    def test_a_head_that_is_not_skull_stripped(self, folder: Path) -> None:
        image = read_image(folder / "T1.nii.gz")
        write_image(folder / "T1.nii.gz", image.array + 20, image.grid)
        with pytest.raises(InputError, match="100 % of the image's edge is not black"):
            read_real_brain(folder)

    def test_a_part_of_a_brain(self, folder: Path) -> None:
        for sequence in ("T1", "FLAIR"):
            image = read_image(folder / f"{sequence}.nii.gz")
            image.array[:-20] = 0
            write_image(folder / f"{sequence}.nii.gz", image.array, image.grid)
        with pytest.raises(InputError, match="a brain has 600 to 2200"):
            read_real_brain(folder)

    def test_another_sequence_than_its_name_says(self, folder: Path) -> None:
        (folder / "FLAIR.nii.gz").rename(folder / "T2.nii.gz")
        with pytest.raises(
            InputError, match=r"T2.nii.gz does not look like T2: .* should be white, grey, csf; found csf"
        ):
            read_real_brain(folder)

    def test_folders_with_different_sequences(self, folder: Path, tmp_path: Path) -> None:
        fewer = tmp_path / "fewer"
        fewer.mkdir()
        (fewer / "T1.nii.gz").write_bytes((folder / "T1.nii.gz").read_bytes())
        said = simulate("--out", tmp_path / "out", "--cases", 2, "--anatomy", folder, "--anatomy", fewer, code=2)
        assert "has T1, FLAIR; " in said
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
class TestRealPatients:
    """Lesjak et al. 2017: what grey to white matter is there was measured when the template's signals were chosen."""

    @pytest.mark.parametrize(("patient", "ratios"), [("patient07", (0.75, 0.82)), ("patient19", (0.77, 0.81))])
    def test_grey_to_white_matter_is_as_measured_before(
        self, test_data: Path, patient: str, ratios: tuple[float, float]
    ) -> None:
        folder = test_data / "open_ms" / patient
        brain = read_real_brain(folder)
        assert brain.sequences == SEQUENCES
        assert 900 < brain.anatomy.brain.sum() * brain.anatomy.grid.voxel_volume_ml < 1400
        for sequence, ratio in zip(("T1", "T1c"), ratios, strict=True):
            image = read_image(folder / f"{sequence}.nii.gz").array
            grey, white = (np.median(image[tissue > 0.8]) for tissue in (brain.anatomy.grey, brain.anatomy.white))
            # That segmentation was another one; a class too many or too few would be further off.
            assert grey / white == pytest.approx(ratio, abs=0.12)

    def test_a_cohort_takes_both_in_turn(self, test_data: Path, tmp_path: Path) -> None:
        folders = [test_data / "open_ms" / patient for patient in ("patient07", "patient19")]
        anatomy = [argument for folder in folders for argument in ("--anatomy", folder)]
        size = ("--cases", 2, "--spacing", 3, "--thickness", 6)
        simulate("--out", tmp_path / "out", *size, *anatomy)
        volumes = []
        for case in ("case01", "case02"):
            image = read_image(tmp_path / "out" / case / "T1.nii.gz")
            volumes.append(np.count_nonzero(image.array) * image.grid.voxel_volume_ml)
        assert all(800 < volume < 1500 for volume in volumes)
        assert (tmp_path / "out" / "cohort.toml").exists()
