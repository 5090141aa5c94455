"""Numpy's files: numbers are read, Python objects and what is unclear are refused."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.formats import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.arrays import is_array_file, read_array

ARRAY = np.random.default_rng(0).random((2, 3, 4))


def test_a_npy_is_read_without_taking_its_voxels_into_memory(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    found = read_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, ARRAY)
    assert isinstance(found, np.memmap)


def test_of_a_npz_the_only_array_the_usual_or_the_named_one_is_read(tmp_path):
    np.savez(tmp_path / "one.npz", x=ARRAY)
    np.savez_compressed(tmp_path / "two.npz", other=ARRAY * 0, probabilities=ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "one.npz"), ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "two.npz"), ARRAY)
    assert not read_array(f"{tmp_path / 'two.npz'}#other").any()


def test_which_array_is_meant_must_be_clear(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAY, y=ARRAY)
    with pytest.raises(InvalidImageError, match=r"arrays in it are x, y; expected a single one.*a\.npz#x"):
        read_array(tmp_path / "a.npz")
    with pytest.raises(InvalidImageError, match="expected one called z"):
        read_array(f"{tmp_path / 'a.npz'}#z")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_python_objects_are_never_loaded(name, tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("code from a file was run",)

    objects = np.array([Trap()], dtype=object)
    (np.save if name.endswith("npy") else np.savez)(tmp_path / name, objects, allow_pickle=True)
    with pytest.raises(UnreadableFileError, match="without Python objects"):
        read_array(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"text"])
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_damaged_file_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError, match=rf"{name}: the array cannot be read"):
        read_array(tmp_path / name)


def test_complex_numbers_and_texts_are_no_voxels(tmp_path):
    for values in (ARRAY * 1j, np.array(["a"])):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(InvalidImageError, match="expected one real number"):
            read_array(tmp_path / "a.npy")


def test_array_files_are_known_by_their_ending(tmp_path):
    for name in ("a.NPZ", "a.npy", "a.nrrd"):
        (tmp_path / name).touch()
    assert [is_array_file(tmp_path / name) for name in ("a.NPZ", "a.npy", "a.nrrd")] == [True, True, False]


def test_a_file_is_read_by_what_it_is_whatever_its_ending(tmp_path):
    np.savez(tmp_path / "a.npz", x=ARRAY)
    (tmp_path / "a.npz").rename(tmp_path / "b.npy")
    np.testing.assert_array_equal(read_array(tmp_path / "b.npy"), ARRAY)
    np.save(tmp_path / "c.npy", ARRAY)
    (tmp_path / "c.npy").rename(tmp_path / "d.npz")
    np.testing.assert_array_equal(read_array(tmp_path / "d.npz"), ARRAY)
    with pytest.raises(InvalidImageError, match="'#x' would pick an array"):
        read_array(f"{tmp_path / 'd.npz'}#x")


def test_times_are_no_voxels(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2), "m8[s]"))
    with pytest.raises(InvalidImageError, match="expected one real number"):
        read_array(tmp_path / "a.npy")
