"""Compressed files against the standard library, and what the standard's readers make of them."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.formats.gzip_blocks import compress_gzip


def compressed(content: bytes) -> bytes:
    target = io.BytesIO()
    compress_gzip(io.BytesIO(content), target)
    return target.getvalue()


@pytest.mark.parametrize("length", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 70 * 2**20])
def test_what_was_compressed_comes_back(length: int) -> None:
    content = np.random.default_rng(length).integers(0, 4, length, np.uint8).tobytes()
    made = compressed(content)
    assert gzip.decompress(made) == content
    assert len(made) <= 1.02 * len(zlib.compress(content, 3)) + 64


def test_it_is_one_member_whose_end_is_checked() -> None:
    made = compressed(b"cavity" * 10**6)
    reader = zlib.decompressobj(31)
    reader.decompress(made)
    assert (reader.eof, reader.unused_data) == (True, b"")
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(made[:-8] + bytes(4) + made[-4:])


def test_equal_contents_make_equal_files() -> None:
    content = bytes(range(256)) * 20_000
    assert compressed(content) == compressed(content)


def test_itk_reads_what_is_written(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(20, 160, 160)).astype(np.float32))
    sitk.WriteImage(image, tmp_path / "plain.nii")
    (tmp_path / "packed.nii.gz").write_bytes(compressed((tmp_path / "plain.nii").read_bytes()))
    read = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "packed.nii.gz"))
    assert np.array_equal(read, sitk.GetArrayFromImage(image))
