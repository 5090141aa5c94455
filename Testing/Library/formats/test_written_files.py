from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask, writing
from ObserverUncertaintyLib.images.grid import Grid, same_grid

NAMES = ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"]
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
def test_an_oblique_volume_comes_back(tmp_path, oblique_grid, noise, name):
    path = tmp_path / "new" / "folder" / name
    write_image(path, noise, oblique_grid)
    volume = read_image(path)
    np.testing.assert_array_equal(volume.array, noise)
    assert same_grid(volume.grid, oblique_grid)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_image_comes_back_with_two_dimensions(tmp_path, name):
    grid = Grid((5, 4, 1), (0.5, 0.75, 1.0), (3.0, -4.0, 0.0), (0, 1, 0, -1, 0, 0, 0, 0, 1), dimension=2)
    array = np.random.default_rng(0).normal(size=(1, 4, 5)).astype(np.float32)
    write_image(tmp_path / name, array, grid)
    assert sitk.ReadImage(str(tmp_path / name)).GetDimension() == 2
    volume = read_image(tmp_path / name)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.grid.dimension == 2
    assert same_grid(volume.grid, grid)


@pytest.mark.parametrize("name", NAMES)
def test_a_volume_of_one_slice_keeps_its_thickness(tmp_path, name):
    grid = Grid((5, 4, 1), (0.5, 0.75, 6.0), (3.0, -4.0, 9.0))
    write_image(tmp_path / name, np.zeros((1, 4, 5), np.float32), grid)
    found = read_image(tmp_path / name).grid
    assert found.dimension == 3
    assert found.spacing == (0.5, 0.75, 6.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_comes_back_and_is_stored_as_zero_and_one(tmp_path, oblique_grid, noise, name):
    write_mask(tmp_path / name, noise > 0, oblique_grid)
    image = sitk.ReadImage(str(tmp_path / name))
    assert image.GetPixelID() == sitk.sitkUInt8
    assert set(np.unique(sitk.GetArrayFromImage(image))) == {0, 1}
    mask = read_mask(tmp_path / name)
    assert mask.name == "a"
    np.testing.assert_array_equal(mask.array, noise > 0)


@pytest.fixture(params=["SimpleITK", "isal"])
def gzip_writer(request, monkeypatch):
    """What compresses NIfTI files: SimpleITK, or the library that is quicker and may be absent."""
    if request.param == "SimpleITK":
        monkeypatch.setattr(writing, "isal_zlib", None)
    else:
        pytest.importorskip("isal")


@pytest.mark.usefixtures("gzip_writer")
def test_compressed_voxels_come_back_through_every_reader(tmp_path):
    array = np.random.default_rng(1).normal(size=(30, 160, 160)).astype(np.float32).round(1)
    write_image(tmp_path / "a.nii.gz", array, Grid((160, 160, 30)))
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert len(content) < array.nbytes / 2
    assert gzip.decompress(content).endswith(array.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").array, array)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "a.nii.gz")), array)
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(dtype=np.float32).T, array)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nii.gz"]


@pytest.mark.usefixtures("gzip_writer")
def test_equal_images_give_equal_files(tmp_path, oblique_grid, noise):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_image(tmp_path / name, noise, oblique_grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_nibabel_finds_the_voxels_where_the_grid_says(tmp_path, oblique_grid, noise):
    write_image(tmp_path / "a.nii.gz", noise, oblique_grid)
    image = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32).T, noise)
    np.testing.assert_allclose(RAS_TO_LPS @ image.affine, oblique_grid.index_to_physical(), atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(np.float64, np.float32), (np.int32, np.float32), (np.uint8, np.uint8), (bool, np.uint8)]
)
def test_the_stored_type_follows_from_the_array(tmp_path, oblique_grid, dtype, stored):
    write_image(tmp_path / "a.nii.gz", np.ones(oblique_grid.shape, dtype), oblique_grid)
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == stored


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_files_are_compressed_where_the_format_allows_it(tmp_path, name):
    grid = Grid((40, 40, 40))
    write_image(tmp_path / name, np.zeros(grid.shape, np.float32), grid)
    assert (tmp_path / name).stat().st_size < 40**3
    if name.endswith(".gz"):
        assert len(gzip.decompress((tmp_path / name).read_bytes())) >= 4 * 40**3


@pytest.mark.parametrize("name", ["a.png", "a", "a.nhdr", "a.mhd", "a.gz", "a.seg.nrrd"])
def test_an_extension_that_is_not_written_is_refused_before_anything_is_written(tmp_path, oblique_grid, noise, name):
    with pytest.raises(InputError, match=r"\.nii\.gz, \.nii, \.nrrd, \.mha"):
        write_image(tmp_path / "folder" / name, noise, oblique_grid)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("moment", ["writing", "moving"])
def test_an_interrupted_write_leaves_the_old_file_untouched(
    tmp_path, oblique_grid, noise, monkeypatch, interruption, moment
):
    path = tmp_path / "a.nii.gz"
    write_image(path, noise, oblique_grid)
    before = path.read_bytes()

    def interrupt(*_: object, **__: object) -> None:
        raise interruption("disk full")

    def write_half(_: sitk.Image, name: str, **__: object) -> None:
        Path(name).write_bytes(b"half")
        raise interruption("disk full")

    if moment == "moving":
        monkeypatch.setattr(Path, "replace", interrupt)
    else:
        monkeypatch.setattr(sitk, "WriteImage", write_half)
    with pytest.raises(InputError if interruption is OSError else KeyboardInterrupt, match="disk full"):
        write_image(path, noise + 1, oblique_grid)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_reported(tmp_path, oblique_grid, noise):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.nrrd: the file cannot be written"):
        write_image(tmp_path / "file" / "a.nrrd", noise, oblique_grid)


def test_the_header_says_that_it_is_for_research(
    tmp_path: Path, noise: NDArray[np.float32], oblique_grid: Grid
) -> None:
    write_image(tmp_path / "a.nii.gz", noise, oblique_grid)
    note = bytes(nib.load(tmp_path / "a.nii.gz").header["descrip"].tobytes()).rstrip(b"\0").decode()
    assert note == "ObserverUncertainty: research use only, not a medical device"
    write_image(tmp_path / "a.nrrd", noise, oblique_grid)
    assert b"research use only" in (tmp_path / "a.nrrd").read_bytes()[:2000]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", ["", "compress=False"])
@pytest.mark.parametrize("has_isal", [False, True])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_file_that_a_full_disk_cuts_off_is_an_error_and_is_removed(tmp_path, name, options, has_isal):
    program = f"""
import resource
from pathlib import Path
import numpy as np
from ObserverUncertaintyLib.formats import writing
from ObserverUncertaintyLib.formats.errors import UnwritableFileError
from ObserverUncertaintyLib.images.grid import Grid
if not {has_isal}:
    writing.isal_zlib = None
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
noise = np.random.default_rng(0).normal(size=(20, 64, 64))
try:
    writing.write_image(Path({str(tmp_path / name)!r}), noise, Grid((64, 64, 20)), {options})
except UnwritableFileError as error:
    print("enough free space" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "True\n"
    assert list(tmp_path.iterdir()) == []
