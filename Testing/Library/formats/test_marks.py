"""What a result says of itself, in every format that is written, and when it stops being one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind, mark, result_kind
from ObserverUncertaintyLib.formats.prediction_files import predicted_files
from ObserverUncertaintyLib.formats.writing import WRITTEN_EXTENSIONS
from ObserverUncertaintyLib.images.grid import Grid

GRID = Grid((7, 6, 5), (1.0, 1.5, 2.0))
MASK = np.indices(GRID.shape).sum(axis=0) % 3 == 0


def kind_of(file: Path) -> ResultKind | None:
    return result_kind(file, read_mask(file).array)


@pytest.mark.parametrize("ending", [*WRITTEN_EXTENSIONS, *(ending.upper() for ending in WRITTEN_EXTENSIONS)])
@pytest.mark.parametrize("kind", list(ResultKind))
def test_a_result_is_known_again_and_what_was_drawn_is_not(tmp_path: Path, ending: str, kind: ResultKind) -> None:
    write_mask(tmp_path / f"a{ending}", MASK, GRID, kind=kind)
    write_mask(tmp_path / f"b{ending}", MASK, GRID)
    assert kind_of(tmp_path / f"a{ending}") is kind
    assert kind_of(tmp_path / f"b{ending}") is None
    np.testing.assert_array_equal(read_image(tmp_path / f"a{ending}").array, MASK)


@pytest.mark.parametrize("kind", list(ResultKind))
def test_a_mark_fits_into_the_smallest_header_and_says_what_it_is_not_for(kind: ResultKind) -> None:
    assert len(mark(kind, MASK)) < 80
    assert mark(kind, MASK).endswith("research use only, not a medical device")


def test_a_result_that_somebody_corrected_is_a_drawing(tmp_path: Path) -> None:
    file = tmp_path / "a.nrrd"
    write_mask(file, MASK, GRID, kind=ResultKind.PREDICTED)
    image = sitk.ReadImage(str(file))
    image[0, 0, 0] = 1 - image[0, 0, 0]
    sitk.WriteImage(image, str(file))
    assert b"ObserverUncertainty predicted" in file.read_bytes()[:1000], "the program kept the header's text"
    assert kind_of(file) is None


def test_a_copy_under_another_name_in_another_voxel_type_is_known(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.nii.gz", MASK, GRID, kind=ResultKind.FUSED)
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    float_image = sitk.Cast(image, sitk.sitkFloat32)
    float_image.SetMetaData("ITK_FileNotes", image.GetMetaData("ITK_FileNotes"))
    sitk.WriteImage(float_image, str(tmp_path / "anna.nrrd"))
    assert kind_of(tmp_path / "anna.nrrd") is ResultKind.FUSED


def test_older_predictions_are_known_by_their_report_and_results_of_the_panel_by_their_name(tmp_path: Path) -> None:
    for name in ("segmentation.nii.gz", "anna.nii.gz", "majority of 3 raters.nii.gz"):
        write_mask(tmp_path / name, MASK, GRID)
    assert kind_of(tmp_path / "segmentation.nii.gz") is None
    (tmp_path / "prediction.json").write_text("{}", encoding="utf-8")
    assert kind_of(tmp_path / "segmentation.nii.gz") is ResultKind.PREDICTED
    assert kind_of(tmp_path / "anna.nii.gz") is None
    assert kind_of(tmp_path / "majority of 3 raters.nii.gz") is ResultKind.FUSED
    assert tmp_path / "segmentation.nii.gz" in predicted_files(tmp_path)


def test_a_map_carries_a_mark_too(tmp_path: Path) -> None:
    entropy = np.where(MASK, 0.5, 0).astype(np.float32)
    write_image(tmp_path / "a.nii.gz", entropy, GRID, kind=ResultKind.ENTROPY)
    assert result_kind(tmp_path / "a.nii.gz", MASK) is ResultKind.ENTROPY
