"""Results as other programs leave them: MONAI's by its own writer, nnU-Net's and TotalSegmentator's like theirs.

nnU-Net 2.8 (`export_prediction_from_logits`) saves the probabilities of all classes as float16 or float32 in (class,
z, y, x) under "probabilities" with numpy, and the labels with SimpleITK; TotalSegmentator 2.18 saves masks and labels
with nibabel. Neither installs beside the tested torch, so their own code did not write these files.
"""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.special import softmax

from ObserverUncertaintyLib.formats import InvalidImageError, read_image, write_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.prediction.imported import ArrayAxes, SampleFiles, import_samples

SIZE = (7, 6, 5)
OBLIQUE = (0.0, 0.8, -0.6, 1.0, 0.0, 0.0, 0.0, -0.6, -0.8)


@pytest.fixture
def image(tmp_path):
    """A case's image, oblique, and its grid."""
    grid = Grid(SIZE, (1.0, 1.5, 2.5), (-10.0, 20.0, 30.0), OBLIQUE)
    write_image(tmp_path / "t1.nii.gz", np.random.default_rng(0).random(grid.shape) * 100, grid)
    return tmp_path / "t1.nii.gz"


def class_probabilities(seed: int) -> np.ndarray:
    """Of background and two structures, shape (class, k, j, i)."""
    return softmax(np.random.default_rng(seed).normal(0, 3, (3, *SIZE[::-1])), axis=0).astype(np.float32)


def test_nnunets_folds_are_samples(image, tmp_path):
    probabilities = [class_probabilities(seed) for seed in range(5)]
    for fold, each in enumerate(probabilities):
        np.savez_compressed(tmp_path / f"fold{fold}.npz", probabilities=each)
    files = tuple(str(tmp_path / f"fold{fold}.npz") for fold in range(5))
    found, grid, _report = import_samples(SampleFiles(files, str(image), channel=2), tool="nnU-Net")
    np.testing.assert_allclose(found.probability, np.mean(probabilities, axis=0)[2], atol=1e-6)
    assert grid == read_image(image).grid
    assert found.uncertainty.mutual_information.max() > 0.1


def test_nnunets_labels_of_several_folds_are_samples_too(image, tmp_path):
    source, masks, files = sitk.ReadImage(str(image)), [], []
    for fold in range(3):
        labels = class_probabilities(fold).argmax(axis=0).astype(np.uint8)
        written = sitk.GetImageFromArray(labels)
        written.CopyInformation(source)
        files.append(str(tmp_path / f"fold{fold}.nii.gz"))
        sitk.WriteImage(written, files[-1], True)
        masks.append(labels == 1)
    found = import_samples(SampleFiles(tuple(files), str(image), label_value=1))[0]
    np.testing.assert_allclose(found.probability, np.mean(masks, axis=0), atol=1e-6)


def test_totalsegmentators_masks_and_labels_keep_their_place(image, tmp_path):
    """Written by nibabel with the affine of the image, labels with the extension that names them."""
    affine = nibabel.load(image).affine
    labels = class_probabilities(0).argmax(axis=0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image((labels == 2).astype(np.uint8).T, affine), tmp_path / "brain.nii.gz")
    multilabel = nibabel.Nifti1Image(labels.T, affine)
    xml = b'<?xml version="1.0"?><CaretExtension><LabelTable><Label Key="2">brain</Label></LabelTable></CaretExtension>'
    multilabel.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml))
    nibabel.save(multilabel, tmp_path / "all.nii.gz")
    for file, value in ((tmp_path / "brain.nii.gz", None), (tmp_path / "all.nii.gz", 2)):
        found, _grid, _report = import_samples(SampleFiles((str(file),), str(image), label_value=value))
        np.testing.assert_array_equal(found.segmentation, labels == 2)


def test_totalsegmentators_own_grid_is_refused_and_not_stretched(image, tmp_path):
    """Its --save_probabilities are those of the image that it resampled for itself."""
    np.savez_compressed(tmp_path / "p.npz", probabilities=np.zeros((3, 4, 5, 6), np.float32))
    with pytest.raises(InvalidImageError, match=r"the array has the shape \(3, 4, 5, 6\); expected \(5, 6, 7\)"):
        import_samples(SampleFiles((str(tmp_path / "p.npz"),), str(image), channel=1))


def test_monais_saved_images_are_read_where_they_lie(image, tmp_path):
    from monai.data import MetaTensor
    from monai.transforms import LoadImage, SaveImage

    loaded = LoadImage(image_only=True, ensure_channel_first=True)(image)
    p = class_probabilities(0)[1]
    predicted = MetaTensor(torch.from_numpy(p.T.copy())[None], meta=loaded.meta)
    SaveImage(
        output_dir=tmp_path / "out", output_postfix="prob", separate_folder=False, resample=False, print_log=False
    )(predicted)
    found = import_samples(SampleFiles((str(tmp_path / "out" / "t1_prob.nii.gz"),), str(image)), tool="MONAI")[0]
    np.testing.assert_allclose(found.probability, p, atol=1e-6)


def test_monais_channels_in_one_file_are_classes(image, tmp_path):
    from monai.data import MetaTensor
    from monai.transforms import LoadImage, SaveImage

    loaded = LoadImage(image_only=True, ensure_channel_first=True)(image)
    classes = class_probabilities(0)
    predicted = MetaTensor(torch.from_numpy(classes.transpose(0, 3, 2, 1).copy()), meta=loaded.meta)
    SaveImage(output_dir=tmp_path, output_postfix="all", separate_folder=False, resample=False, print_log=False)(
        predicted
    )
    file = (str(tmp_path / "t1_all.nii.gz"),)
    found = import_samples(SampleFiles(file, str(image), channel=1))[0]
    np.testing.assert_allclose(found.probability, classes[1], atol=1e-6)
    with pytest.raises(InvalidImageError, match="add up to 1"):
        import_samples(SampleFiles(file, str(image)))


def test_monais_arrays_have_their_axes_in_the_other_order(image, tmp_path):
    p = class_probabilities(0)[1]
    np.save(tmp_path / "p.npy", p.T)
    found = import_samples(SampleFiles((str(tmp_path / "p.npy"),), str(image), array_axes=ArrayAxes.IJK))[0]
    np.testing.assert_allclose(found.probability, p, atol=1e-6)
