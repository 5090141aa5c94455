"""What is unlike the training images is told, with the reason; what is like them is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import discs
from stand_in_brain import with_head

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.images.orientation import Reorientation
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.likeness import FEWEST_CASES, Looks, TrainingLooks
from ObserverUncertaintyLib.model.preprocessing import Preprocessing
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case
from ObserverUncertaintyLib.training.train import train

COARSE = CavitySettings(in_plane_spacing_mm=3.0, slice_thickness_mm=6.0)


def looks(case: Case) -> Looks:
    found = Looks.of(case, Preprocessing().prepare(case).inside)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def trained() -> TrainingLooks:
    found = TrainingLooks.of([looks(simulate_cavity_case(index, 11, COARSE)) for index in range(FEWEST_CASES)])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def fresh() -> Case:
    return simulate_cavity_case(0, 12, COARSE)


def with_grid(case: Case, **changes: tuple[float, ...]) -> Case:
    return replace(case, grid=replace(case.grid, **changes))


def flipped(case: Case, axis: int) -> Case:
    """What a file shows whose header names the directions wrongly; axis of (k, j, i)."""
    return replace(
        case,
        images=np.ascontiguousarray(np.flip(case.images, axis + 1)),
        raters=np.ascontiguousarray(np.flip(case.raters, axis + 1)),
        truth=None,
    )


def test_fresh_patients_are_like_them_with_one_sequence_too(trained: TrainingLooks, fresh: Case) -> None:
    for case in (fresh, *(simulate_cavity_case(index, 13, COARSE) for index in range(3))):
        assert trained.unlike(looks(case), skull_stripped=True) == []
        assert trained.unlike(looks(case.with_sequences(["T1c"])), skull_stripped=True) == []


def test_the_numbers_are_those_of_a_box_that_can_be_worked_out() -> None:
    """A block of 40 x 20 x 10 voxels of 1 x 2 x 3 mm, its front half 1, its back half 3: normalised, -1 and 1."""
    image = np.zeros((16, 40, 60), np.float32)
    block = (slice(3, 13), slice(10, 30), slice(10, 50))
    image[block] = 1
    image[3:13, 20:30, 10:50] = 3
    inside = image > 0
    case = Case("box", Grid((60, 40, 16), (1.0, 2.0, 3.0)), ("T1",), image[None])
    found = Looks.of(case, inside)
    assert found is not None
    assert found.volume_ml == pytest.approx(40 * 20 * 10 * 6 / 1000)
    assert found.extent_mm == pytest.approx((40, 40, 30))
    assert found.quantiles["T1"].tolist() == pytest.approx([-1, -1, 0, 1, 1], abs=1)  # the median is either or between
    assert found.quantiles["T1"][[0, 1, 3, 4]].tolist() == [-1, -1, 1, 1]
    assert found.rim["T1"] == pytest.approx(0, abs=1e-9)  # as much of the front as of the back
    assert (found.overview["outline"] == 1).all()
    assert (found.overview["T1"][:, :4] == -1).all()
    assert (found.overview["T1"][:, 4:] == 1).all()
    # The same patient stored with other axes looks the same.
    turned = Reorientation.to(case.grid, "SRP")
    other = Looks.of(
        Case("box", turned.target, ("T1",), np.ascontiguousarray(turned.apply(image))[None]), turned.apply(inside)
    )
    assert other is not None
    assert other.extent_mm == pytest.approx(found.extent_mm)
    assert np.array_equal(other.overview["T1"], found.overview["T1"])


@pytest.mark.parametrize(
    ("axis", "said"), [(0, ["it seems to lie upside down"]), (1, ["it seems to lie front to back"]), (2, [])]
)
def test_a_case_that_lies_wrongly_is_known_by_its_anatomy(
    trained: TrainingLooks, fresh: Case, axis: int, said: list[str]
) -> None:
    """Left and right look alike, so that nothing can be said of them."""
    assert trained.unlike(looks(flipped(fresh, axis)), skull_stripped=True) == said


def test_a_lost_spacing_is_known_by_the_size(trained: TrainingLooks, fresh: Case) -> None:
    lost = with_grid(fresh, spacing=(1.0, 1.0, 1.0))
    size, volume, *_ = trained.unlike(looks(lost), skull_stripped=None)
    extent = " x ".join(f"{length:.0f}" for length in looks(lost).extent_mm)
    assert size.startswith(f"it measures {extent} mm")
    assert "its spacing may be wrong" in size
    assert volume.startswith(f"it shows {looks(fresh).volume_ml / 54:.0f} mL")  # 3 x 3 x 6 times smaller


def test_other_grey_values_are_named_by_sequence(trained: TrainingLooks, fresh: Case) -> None:
    images = fresh.images.copy()
    images[1] = np.where(images[1] > 0, images[1] ** 3, 0)
    found = trained.unlike(looks(replace(fresh, images=images)), skull_stripped=True)
    assert "the grey values of T1c are distributed otherwise" in found


def test_a_bright_layer_over_a_dark_one_is_a_scalp_where_brains_are_dark_outside(
    trained: TrainingLooks, fresh: Case
) -> None:
    for sequence in ("T1c", "T2"):
        case = fresh.with_sequences([sequence])
        found = looks(replace(case, images=with_head(case.images[0])[None]))
        assert found.scalp[sequence] > 0.5
        small = replace(found, rim={sequence: -1.0}, volume_ml=1500.0, extent_mm=looks(case).extent_mm)
        said = trained.unlike(small, skull_stripped=True)
        assert ("it does not seem to be skull-stripped" in said) is (sequence == "T1c"), "fluid is bright in T2"
        assert "it does not seem to be skull-stripped" not in trained.unlike(found, skull_stripped=None)


def test_few_cases_and_flat_ones_say_nothing(tmp_path: Path, fresh: Case) -> None:
    assert TrainingLooks.of([looks(fresh)] * (FEWEST_CASES - 1)) is None
    flat = discs(FEWEST_CASES)
    assert Looks.of(flat[0], np.ones(flat[0].grid.shape, bool)) is None
    assert Looks.of(fresh, np.zeros(fresh.grid.shape, bool)) is None
    settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=2))
    assert train(flat, tmp_path / "flat", settings, device="cpu").description.expects.looks is None


def test_it_is_kept_with_the_model_and_read_again(tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=2))
    described = train(discs(FEWEST_CASES, slices=3), tmp_path / "m", settings, device="cpu").description
    assert described.expects.looks is not None
    assert read_description(tmp_path / "m").expects == described.expects


class TestRealImages:
    """What a model of simulated, skull-stripped brains was not made for."""

    @staticmethod
    def said(trained: TrainingLooks, **images: Path) -> str:
        case = load_case("case", {sequence: str(file) for sequence, file in images.items()}, {})
        return "; ".join(trained.unlike(looks(case), skull_stripped=True))

    @pytest.mark.parametrize("patient", ["patient01", "patient02"])
    def test_operated_heads_whose_spacing_was_lost(self, test_data: Path, trained: TrainingLooks, patient: str) -> None:
        said = self.said(trained, T1c=test_data / "post_op_t1c" / patient / "T1c.nii.gz")
        assert said.startswith("it does not seem to be skull-stripped")
        assert "its spacing may be wrong" in said
        assert "the grey values of T1c are distributed otherwise" in said

    @pytest.mark.parametrize("study", ["study1", "study2"])
    def test_a_head_that_is_not_skull_stripped(self, test_data: Path, trained: TrainingLooks, study: str) -> None:
        said = self.said(trained, T1=test_data / "open_ms_unregistered" / "patient01" / f"{study}_T1W.nii.gz")
        assert said.startswith("it does not seem to be skull-stripped")

    @pytest.mark.parametrize("patient", ["patient07", "patient19"])
    def test_brains_of_another_scanner(self, test_data: Path, trained: TrainingLooks, patient: str) -> None:
        folder = test_data / "open_ms" / patient
        files = {name: next(folder.glob(f"{name}.nii*")) for name in ("T1", "T1c", "T2", "FLAIR")}
        said = self.said(trained, **files)
        assert "it shows 11" in said  # mL: smaller than the template
        assert "skull-stripped" not in said

    def test_a_thigh(self, test_data: Path, trained: TrainingLooks) -> None:
        said = self.said(trained, T1c=test_data / "sarcoma_dicom_rtstruct" / "nifti" / "STS_002" / "MR_T1_image.nii.gz")
        assert "the grey values of T1c are distributed otherwise" in said
        assert "it measures" in said
        assert "lie" not in said, "what lies where in something of another size says nothing"
