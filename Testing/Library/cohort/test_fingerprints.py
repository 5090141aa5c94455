"""Fingerprints tell other content, and nothing else: neither compression nor names nor formats."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.cohort.case_files import CaseFiles
from ObserverUncertaintyLib.cohort.fingerprints import case_digest, differences, file_digests, grid_digest
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.formats import read_mask, write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid

OBLIQUE = Grid((32, 32, 3), (0.9, 0.9, 3.3), (-89.7505, 12.34567, -0.0), (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))


@pytest.mark.parametrize("other", ["another name.nii", "a.nrrd", "a.mha", "packed.nii.gz"])
def test_formats_compression_and_names_do_not_matter(tmp_path: Path, other: str) -> None:
    case = disc_case(0, slices=3)
    loaded = []
    for name in ("a.nii.gz", other):
        write_image(tmp_path / name, case.images[0], OBLIQUE)
        loaded.append(load_case(name, {"S1": tmp_path / name}, {}))
    first, second = loaded
    assert first.image_digest == second.image_digest
    assert grid_digest(first.grid) == grid_digest(second.grid)
    files = [file_digests(CaseFiles("x", {"S1": str(tmp_path / name)}, {})) for name in ("a.nii.gz", other)]
    assert files[0] == files[1]


def test_one_voxel_one_mask_and_a_tenth_of_a_millimetre_matter() -> None:
    case = disc_case(0, slices=3)
    images, raters = case.images.copy(), case.raters.copy()
    images[0, 1, 3, 4] += np.float32(1e-3)
    raters[0, 1, 3, 4] ^= True
    assert case.image_digest != replace(case, images=images).image_digest
    assert case.image_digest == replace(case, raters=raters).image_digest
    assert case.image_digest is case.image_digest  # computed once
    assert case_digest(case) != case_digest(replace(case, raters=raters))
    assert grid_digest(OBLIQUE) != grid_digest(replace(OBLIQUE, origin=(-89.6505, 12.34567, 0.0)))
    assert grid_digest(OBLIQUE) != grid_digest(replace(OBLIQUE, spacing=(0.9, 0.9, 3.2)))


def test_of_a_case_the_file_that_changed_is_named(tmp_path: Path) -> None:
    manifest = read_manifest(write_discs(tmp_path, 1, slices=3))
    before = file_digests(manifest.files("case01"))
    assert set(before) == {"image S1", "rater rater1", "rater rater2", "rater rater3", "truth"}
    folder = tmp_path / "case01"
    mask = read_mask(folder / "rater2.nii.gz")
    write_mask(folder / "rater2.nii.gz", ~mask.array, mask.grid)
    (folder / "rater3.nii.gz").unlink()
    assert differences(before, file_digests(manifest.files("case01"))) == [
        "rater rater2 is another",
        "rater rater3 is gone",
    ]
    shutil.copy(folder / "rater1.nii.gz", folder / "rater3.nii.gz")
    assert "rater rater3 is another" in differences(before, file_digests(manifest.files("case01")))
