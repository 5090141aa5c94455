from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.formats import (
    InvalidImageError,
    InvalidMaskError,
    UnreadableFileError,
    read_image,
    read_mask,
)
from ObserverUncertaintyLib.formats.itk import quiet

ATTACHED = ["a.nrrd", "a.mha"]
DETACHED = ["a.nhdr", "a.mhd"]


def save(path: Path, image: sitk.Image, compress: bool) -> Path:
    """Write the file and return the one that holds the voxels."""
    before = set(path.parent.iterdir())
    sitk.WriteImage(image, str(path), compress)
    return next(iter(set(path.parent.iterdir()) - before - {path}), path)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ATTACHED + DETACHED)
def test_values_and_grid_come_back_exactly(tmp_path, oblique_grid, noise, name, compress):
    save(tmp_path / name, oblique_grid.to_sitk(noise), compress)
    volume = read_image(tmp_path / name)
    np.testing.assert_array_equal(volume.array, noise)
    np.testing.assert_allclose(volume.grid.corners(), oblique_grid.corners(), atol=1e-9)


def test_nrrd_in_ras_space_is_turned_to_lps(tmp_path):
    header = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 3 4\n"
        "space directions: (1,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nencoding: raw\n"
        "space origin: (5,6,7)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + bytes(range(24)))
    volume = read_image(tmp_path / "a.nrrd")
    # voxel (1, 2, 3) lies at RAS (6, 10, 16)
    np.testing.assert_allclose(volume.grid.corners()[-1], [-6, -10, 16])
    assert volume.array[3, 2, 1] == 23


@pytest.mark.parametrize("cut", [0.999, 0.9, 0.5, 0.05, 0.0])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ATTACHED + DETACHED)
def test_a_truncated_file_is_refused(tmp_path, oblique_grid, noise, name, compress, cut):
    data_file = save(tmp_path / name, oblique_grid.to_sitk(noise), compress)
    whole = data_file.read_bytes()
    data_file.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(UnreadableFileError, match=name) as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ATTACHED + DETACHED)
def test_one_wrong_byte_in_compressed_data_is_refused(tmp_path, oblique_grid, noise, name):
    data_file = save(tmp_path / name, oblique_grid.to_sitk(noise), True)
    data = bytearray(data_file.read_bytes())
    data[-len(data) // 4] ^= 255
    data_file.write_bytes(data)
    with pytest.raises(UnreadableFileError, match="incomplete or damaged"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", DETACHED)
def test_a_missing_data_file_is_named(tmp_path, oblique_grid, noise, name, compress):
    data_file = save(tmp_path / name, oblique_grid.to_sitk(noise), compress)
    data_file.unlink()
    with pytest.raises(UnreadableFileError, match=data_file.name):
        read_image(tmp_path / name)


def test_data_spread_over_several_files_is_refused(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LIST\na.raw\n"
    (tmp_path / "a.mhd").write_text(header, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="several files"):
        read_image(tmp_path / "a.mhd")


@pytest.mark.parametrize("name", ATTACHED)
def test_values_that_are_not_finite_are_counted(tmp_path, oblique_grid, noise, name):
    noise[0, 0, 0], noise[1, 1, 1] = np.nan, -np.inf
    save(tmp_path / name, oblique_grid.to_sitk(noise), True)
    with pytest.raises(InvalidImageError, match=rf"{name}: 2 of 210"):
        read_image(tmp_path / name)
    with pytest.raises(InvalidMaskError, match=rf"{name}: 2 of 210"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize("name", ATTACHED)
def test_one_volume_in_a_four_dimensional_file_is_three_dimensional(tmp_path, noise, name):
    image = sitk.GetImageFromArray(noise[np.newaxis], isVector=False)
    image.SetSpacing((0.5, 0.75, 3.0, 1.0))
    image.SetOrigin((1.0, 2.0, 3.0, 0.0))
    save(tmp_path / name, image, True)
    volume = read_image(tmp_path / name)
    np.testing.assert_array_equal(volume.array, noise)
    assert volume.grid.dimension == 3
    assert volume.grid.spacing == (0.5, 0.75, 3.0)
    assert volume.grid.origin == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("name", ATTACHED)
def test_several_volumes_and_vectors_are_refused(tmp_path, noise, name):
    save(tmp_path / name, sitk.GetImageFromArray(np.stack([noise] * 3), isVector=False), True)
    with pytest.raises(InvalidImageError, match="holds 3 volumes"):
        read_image(tmp_path / name)
    save(tmp_path / name, sitk.GetImageFromArray(np.stack([noise] * 3, axis=-1), isVector=True), True)
    for read in (read_image, read_mask):
        with pytest.raises(InvalidImageError, match="3 values per voxel"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
@pytest.mark.parametrize("content", [b"", b"just some text\n" * 50, bytes(1000)])
def test_a_file_that_is_no_image_is_refused_and_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableFileError, match=name) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_other_extensions_are_refused_with_the_supported_ones(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(UnreadableFileError, match=r"a\.png.*\.nii\.gz, \.nii, \.nrrd"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_is_refused(tmp_path):
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableFileError, match=r"nowhere\.nii.*no such file"):
            read(tmp_path / "nowhere.nii")


def test_a_file_without_permission_is_refused(tmp_path, oblique_grid, noise, monkeypatch):
    save(tmp_path / "a.nrrd", oblique_grid.to_sitk(noise), True)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root, as in a container, may read every file
    with pytest.raises(UnreadableFileError, match=r"a\.nrrd: .*Permission denied"):
        read_image(tmp_path / "a.nrrd")


def test_itk_prints_nothing_and_its_warnings_are_on_again_afterwards(tmp_path, oblique_grid, noise, capfd):
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    for name in ATTACHED:
        path = save(tmp_path / name, oblique_grid.to_sitk(noise), False)
        path.write_bytes(path.read_bytes()[:-4])
        with pytest.raises(UnreadableFileError):
            read_image(path)
    assert capfd.readouterr() == ("", "")
    assert sitk.ProcessObject.GetGlobalWarningDisplay()


@pytest.mark.parametrize("shown", [True, False])
def test_itk_warnings_stay_off_until_the_last_reader_is_done(shown):
    display = sitk.ProcessObject.GetGlobalWarningDisplay
    before = display()
    sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    with quiet():
        assert not display()
        with quiet():
            assert not display()
        assert not display()
    assert display() == shown
    sitk.ProcessObject.SetGlobalWarningDisplay(before)


def test_the_path_may_contain_a_number_sign(tmp_path, oblique_grid, noise):
    folder = tmp_path / "study #2"
    folder.mkdir()
    save(folder / "T1#b.nrrd", oblique_grid.to_sitk(noise), True)
    np.testing.assert_array_equal(read_image(folder / "T1#b.nrrd").array, noise)
    save(folder / "T1#b.nrrd", oblique_grid.to_sitk(noise > 0), True)
    assert read_mask(folder / "T1#b.nrrd").name == "T1#b"


def test_a_selection_in_an_image_file_is_refused(tmp_path, oblique_grid, noise):
    save(tmp_path / "a.nrrd", oblique_grid.to_sitk(noise), True)
    with pytest.raises(UnreadableFileError, match="Leave the '#'"):
        read_image(f"{tmp_path / 'a.nrrd'}#Tumor")
