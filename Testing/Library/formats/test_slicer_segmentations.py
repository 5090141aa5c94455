from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats import (
    InvalidImageError,
    InvalidMaskError,
    UnreadableFileError,
    read_image,
    read_mask,
    read_masks,
)


def save(path: Path, layers: NDArray[np.uint8], fields: dict[str, str]) -> Path:
    """Write a segmentation byte by byte as 3D Slicer does; `layers` has shape (k, j, i) or (k, j, i, layer)."""
    has_layers = layers.ndim == 4
    sizes = " ".join(str(n) for n in reversed(layers.shape[:3]))
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {layers.ndim}",
        "space: left-posterior-superior",
        f"sizes: {f'{layers.shape[3]} ' if has_layers else ''}{sizes}",
        f"space directions: {'none ' if has_layers else ''}(0.5,0,0) (0,0.75,0) (0,0,3)",
        f"kinds: {'list ' if has_layers else ''}domain domain domain",
        "encoding: gzip",
        "space origin: (1,2,3)",
        *(f"{name}:={value}" for name, value in fields.items()),
        "",
        "",
    ]
    stream = zlib.compressobj(wbits=31)
    path.write_bytes("\n".join(lines).encode() + stream.compress(layers.tobytes()) + stream.flush())
    return path


def segment(number: int, name: str, value: int = 1, layer: int = 0, identifier: str = "") -> dict[str, str]:
    return {
        f"Segment{number}_Color": "1 0 0",
        f"Segment{number}_Extent": "0 3 0 3 0 3",
        f"Segment{number}_ID": identifier or f"Segment_{number + 1}",
        f"Segment{number}_LabelValue": str(value),
        f"Segment{number}_Layer": str(layer),
        f"Segment{number}_Name": name,
        f"Segment{number}_Tags": "TerminologyEntry:a~b^c^d|",
    }


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 4, size=(4, 5, 6)).astype(np.uint8)


@pytest.fixture
def two_layers(labels) -> NDArray[np.uint8]:
    return np.stack([labels, labels[::-1]], axis=-1)


def test_each_label_of_one_layer_is_a_segment(tmp_path, labels):
    fields = segment(0, "Tumor", 2) | segment(1, "Edema", 1) | segment(2, "Cyst", 7)
    masks = read_masks(save(tmp_path / "a.seg.nrrd", labels, fields))
    assert [mask.name for mask in masks] == ["Tumor", "Edema", "Cyst"]
    np.testing.assert_array_equal(masks[0].array, labels == 2)
    np.testing.assert_array_equal(masks[1].array, labels == 1)
    assert not masks[2].array.any()
    assert masks[0].grid.spacing == (0.5, 0.75, 3.0)
    assert masks[0].grid.origin == (1.0, 2.0, 3.0)


def test_overlapping_segments_come_from_their_own_layers(tmp_path, labels, two_layers):
    fields = segment(0, "A", 1, 0) | segment(1, "B", 1, 1) | segment(2, "C", 3, 1)
    a, b, c = read_masks(save(tmp_path / "a.seg.nrrd", two_layers, fields))
    np.testing.assert_array_equal(a.array, labels == 1)
    np.testing.assert_array_equal(b.array, labels[::-1] == 1)
    np.testing.assert_array_equal(c.array, labels[::-1] == 3)
    assert (a.array & b.array).any()
    assert a.grid.size == (6, 5, 4)


def test_old_files_without_layer_and_label_value_have_one_layer_per_segment(tmp_path, two_layers):
    fields = {"Segment0_ID": "A", "Segment0_Name": "A", "Segment1_ID": "B", "Segment1_Name": "B"}
    a, b = read_masks(save(tmp_path / "a.seg.nrrd", two_layers, fields))
    np.testing.assert_array_equal(a.array, two_layers[..., 0] == 1)
    np.testing.assert_array_equal(b.array, two_layers[..., 1] == 1)


@pytest.mark.parametrize("name", ["Tumor", "Läsion links", "rater #2", "a/b"])
def test_a_segment_is_picked_by_its_name(tmp_path, labels, name):
    path = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Other", 1) | segment(1, name, 2))
    mask = read_mask(f"{path}#{name}")
    assert mask.name == name
    np.testing.assert_array_equal(mask.array, labels == 2)


def test_the_longest_existing_path_before_a_number_sign_is_the_file(tmp_path, labels):
    (tmp_path / "study").mkdir()
    path = save(tmp_path / "study#2.seg.nrrd", labels, segment(0, "A", 1) | segment(1, "B", 2))
    np.testing.assert_array_equal(read_mask(f"{path}#B").array, labels == 2)


def test_a_segment_is_picked_by_its_id_only_if_no_name_fits(tmp_path, labels):
    fields = segment(0, "A", 1, identifier="B") | segment(1, "B", 2, identifier="C")
    path = save(tmp_path / "a.seg.nrrd", labels, fields)
    np.testing.assert_array_equal(read_mask(f"{path}#B").array, labels == 2)
    np.testing.assert_array_equal(read_mask(f"{path}#C").array, labels == 2)


@pytest.mark.parametrize("selection", ["tumor", "Tumour", ""])
def test_a_wrong_name_is_refused_with_the_names_there_are(tmp_path, labels, selection):
    path = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Tumor", 1) | segment(1, "Edema", 2))
    with pytest.raises(InvalidMaskError, match=r"a\.seg\.nrrd.*'Tumor', 'Edema'"):
        read_mask(f"{path}#{selection}")


def test_a_name_that_two_segments_have_is_refused_with_their_ids(tmp_path, labels):
    path = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Tumor", 1) | segment(1, "Tumor", 2))
    with pytest.raises(InvalidMaskError, match=r"2 segments.*#Segment_1.*#Segment_2"):
        read_mask(f"{path}#Tumor")
    np.testing.assert_array_equal(read_mask(f"{path}#Segment_2").array, labels == 2)


def test_one_mask_is_asked_of_a_file_with_several_segments(tmp_path, labels):
    path = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Tumor", 1) | segment(1, "Edema", 2))
    with pytest.raises(InvalidMaskError, match=r"2 structures: 'Tumor', 'Edema'"):
        read_mask(path)
    path = save(tmp_path / "b.seg.nrrd", labels, segment(0, "Tumor", 1))
    assert read_mask(path).name == "Tumor"


def test_a_segmentation_without_segments_is_a_plain_mask(tmp_path, labels):
    path = save(tmp_path / "rater1.seg.nrrd", np.where(labels > 1, 5, 0).astype(np.uint8), {})
    mask = read_mask(path)
    assert mask.name == "rater1"
    np.testing.assert_array_equal(mask.array, labels > 1)
    with pytest.raises(InvalidMaskError, match="the file has none"):
        read_mask(f"{path}#Tumor")


def test_segment_fields_count_whatever_the_file_is_called(tmp_path, labels):
    path = save(tmp_path / "plain.nrrd", labels, segment(0, "Tumor", 3))
    np.testing.assert_array_equal(read_mask(path).array, labels == 3)


def test_what_slicer_writes_for_only_empty_segments_is_refused_since_it_has_no_grid(tmp_path):
    path = save(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 1), np.uint8), segment(0, "Tumor"))
    with pytest.raises(InvalidMaskError, match="every segment is empty"):
        read_mask(path)


def test_a_fractional_segmentation_is_refused(tmp_path, labels):
    fields = {"Segmentation_MasterRepresentation": "Fractional labelmap"} | segment(0, "Tumor")
    with pytest.raises(InvalidMaskError, match="Fractional labelmap"):
        read_mask(save(tmp_path / "a.seg.nrrd", labels, fields))


@pytest.mark.parametrize("field", [{"Segment0_Layer": "2"}, {"Segment0_Layer": "-1"}, {"Segment0_LabelValue": "x"}])
def test_fields_that_do_not_fit_the_voxels_are_refused(tmp_path, two_layers, field):
    path = save(tmp_path / "a.seg.nrrd", two_layers, segment(0, "Tumor") | field)
    with pytest.raises(InvalidMaskError, match="Segment_1"):
        read_mask(path)


def test_a_truncated_segmentation_is_refused(tmp_path, labels):
    path = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Tumor"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UnreadableFileError, match="incomplete"):
        read_mask(path)


def test_layers_are_no_image(tmp_path, two_layers):
    path = save(tmp_path / "a.seg.nrrd", two_layers, segment(0, "Tumor"))
    with pytest.raises(InvalidImageError, match="2 values per voxel"):
        read_image(path)


def test_a_segmentation_with_a_detached_header_is_read(tmp_path, labels):
    image = sitk.GetImageFromArray(labels)
    for name, value in (segment(0, "Tumor", 1) | segment(1, "Edema", 2)).items():
        image.SetMetaData(name, value)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nhdr"), True)
    np.testing.assert_array_equal(read_mask(f"{tmp_path / 'a.seg.nhdr'}#Edema").array, labels == 2)


def test_a_segment_whose_name_only_looks_alike_is_told(tmp_path, labels):
    file = save(tmp_path / "a.seg.nrrd", labels, segment(0, "Ju\u0308rgen"))
    with pytest.raises(InvalidMaskError, match="only looks alike, in another Unicode form"):
        read_mask(f"{file}#J\u00fcrgen")
    with pytest.raises(InvalidMaskError) as caught:
        read_mask(f"{file}#Jorgen")
    assert "alike" not in str(caught.value)
