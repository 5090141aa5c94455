"""Files that hold several volumes, for whoever asks for them; everybody else is refused as before."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.formats import InvalidImageError, UnreadableFileError, read_image
from ObserverUncertaintyLib.formats.images import read_stored
from ObserverUncertaintyLib.images.grid import Grid, same_grid

VOLUMES = np.random.default_rng(0).random((5, 4, 3, 2)).astype(np.float32)


def oblique() -> list[sitk.Image]:
    made = []
    for values in VOLUMES:
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((1, 2, 3))
        image.SetOrigin((5, 6, 7))
        image.SetDirection((0, 1, 0, 0.6, 0, 0.8, 0.8, 0, -0.6))
        made.append(image)
    return made


FILES = {
    "fourth axis.nii.gz": sitk.JoinSeries,
    "fourth axis.nrrd": sitk.JoinSeries,
    "fourth axis.mha": sitk.JoinSeries,
    "values.nii": sitk.Compose,
    "values.nrrd": sitk.Compose,
    "values.mha": sitk.Compose,
}


@pytest.mark.parametrize("name", FILES)
def test_volumes_come_one_after_the_other_on_the_grid_of_one(name, tmp_path):
    sitk.WriteImage(FILES[name](oblique()), str(tmp_path / name))
    found = read_stored(tmp_path / name, several=True)
    np.testing.assert_array_equal(found.array, VOLUMES)
    assert same_grid(found.grid, Grid.from_sitk(oblique()[0]))
    with pytest.raises(InvalidImageError, match=r"5 volumes|5 values per voxel"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["one.nii.gz", "one.nrrd", "one.mha"])
def test_a_single_volume_is_one_of_several(name, tmp_path):
    sitk.WriteImage(oblique()[0], str(tmp_path / name))
    np.testing.assert_array_equal(read_stored(tmp_path / name, several=True).array, VOLUMES[:1])


def test_nibabels_four_axes_are_turned(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VOLUMES.T, np.diag([-1, -2, 3, 1])), tmp_path / "a.nii.gz")
    found = read_stored(tmp_path / "a.nii.gz", several=True)
    np.testing.assert_array_equal(found.array, VOLUMES)
    assert found.grid.spacing == (1, 2, 3)


def test_volumes_that_are_cut_off_are_damaged(tmp_path):
    path = tmp_path / "a.nii"
    sitk.WriteImage(sitk.JoinSeries(oblique()), str(path))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableFileError, match="bytes of voxels expected"):
        read_stored(path, several=True)
