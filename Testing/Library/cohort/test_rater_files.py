"""Raters without images."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import (
    GRID,
    OTHER,
    RESAMPLE,
    ball,
    head,
    save,
    save_segments,
)

from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.images.grid import GridMismatchError, same_grid


def test_every_segment_of_a_segmentation_is_a_rater(tmp_path):
    left, right = ball(x=-7, radius=4), ball(x=7, radius=4)
    loaded = load_raters([save_segments(tmp_path / "drawn.seg.nrrd", {"Anna": left, "Ben B.": right})])
    assert loaded.rater_names == ("Anna", "Ben B.")
    np.testing.assert_array_equal(loaded.raters, [left, right])
    assert same_grid(loaded.grid, GRID)
    assert loaded.images.shape == (0, *GRID.shape)


def test_a_hash_sign_picks_one_segment(tmp_path):
    left, right = ball(x=-7, radius=4), ball(x=7, radius=4)
    file = save_segments(tmp_path / "drawn.seg.nrrd", {"Anna": left, "Ben B.": right})
    loaded = load_raters([f"{file}#Ben B.", save(tmp_path / "carl.nii.gz", left)])
    assert loaded.rater_names == ("Ben B.", "carl")
    np.testing.assert_array_equal(loaded.raters, [right, left])
    as_case = load_case("p1", {"T1": save(tmp_path / "t1.nii.gz", head())}, {"rater2": f"{file}#Ben B."})
    np.testing.assert_array_equal(as_case.raters, [right])


def test_files_called_alike_in_different_folders_get_names_of_their_own(tmp_path):
    masks = [ball(radius=radius) for radius in (5, 6, 7, 8)]
    folders = ["anna", "ben", "carl", "x/ben"]
    files = [save(tmp_path / name / "seg.nii.gz", mask) for name, mask in zip(folders, masks, strict=True)]
    loaded = load_raters(files)
    assert loaded.rater_names == ("seg", "ben/seg", "carl/seg", "seg (2)")
    np.testing.assert_array_equal(loaded.raters, masks)


def test_raters_on_different_grids_are_refused_or_resampled_with_a_note(tmp_path):
    files = [save(tmp_path / "anna.nrrd", ball()), save(tmp_path / "ben.nrrd", ball(OTHER), OTHER)]
    with pytest.raises(GridMismatchError, match="rater ben") as caught:
        load_raters(files)
    assert "24 x 20 x 12" in str(caught.value)
    assert "12 x 10 x 12" in str(caught.value)
    loaded = load_raters(files, RESAMPLE)
    assert loaded.raters.shape == (2, *GRID.shape)
    assert loaded.notes == ("raters: rater ben was resampled (nearest) to anna's grid",)
