"""What any other program predicted becomes a prediction: maps and scores as if the samples were ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.formats import InvalidImageError, read_image, write_image, write_mask
from ObserverUncertaintyLib.formats.prediction_samples import read_samples
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError
from ObserverUncertaintyLib.prediction.imported import ArrayAxes, SampleFiles, import_samples
from ObserverUncertaintyLib.prediction.maps import save_prediction
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.review.cases import cases_to_review
from ObserverUncertaintyLib.review.places import places_to_review
from ObserverUncertaintyLib.review.predicted import read_predicted

GRID = Grid((6, 5, 4), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
SAMPLES = np.random.default_rng(0).random((3, *GRID.shape)).astype(np.float32)
MASKS = SAMPLES > 0.5


@pytest.fixture
def geometry(tmp_path: Path) -> str:
    write_image(tmp_path / "t1.nii.gz", SAMPLES[0] * 100, GRID)
    return str(tmp_path / "t1.nii.gz")


def written(folder: Path, samples: Any, extension: str = ".nii.gz") -> tuple[str, ...]:
    """One file a sample."""
    files = [folder / f"sample{n}{extension}" for n in range(len(samples))]
    for file, sample in zip(files, samples, strict=True):
        (write_mask if sample.dtype == bool else write_image)(file, sample, GRID)
    return tuple(map(str, files))


def uncertainty_of(samples: Any) -> MonteCarloSums:
    sums = MonteCarloSums(GRID.shape)
    for sample in samples:
        sums.add(sample)
    return sums


def require_prediction_of(samples: Any, source: SampleFiles) -> None:
    """The maps are those of these samples."""
    prediction, grid, report = import_samples(source)
    expected = uncertainty_of(samples)
    np.testing.assert_allclose(prediction.probability, expected.mean_probability(), atol=1e-6)
    for name, values in vars(expected.uncertainty()).items():
        np.testing.assert_allclose(getattr(prediction.uncertainty, name), values, atol=1e-6)
    assert grid == GRID
    assert report["samples"] == prediction.samples == len(samples)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_several_probability_maps_are_samples(extension, tmp_path):
    require_prediction_of(SAMPLES, SampleFiles(written(tmp_path, SAMPLES, extension)))


def test_masks_are_samples_that_are_sure(tmp_path):
    source = SampleFiles(written(tmp_path, MASKS))
    require_prediction_of(MASKS, source)
    assert not import_samples(source)[0].uncertainty.expected.any()


def test_masks_with_255_and_those_of_a_slicer_segmentation_are_masks_too(tmp_path):
    import SimpleITK as sitk

    image = GRID.to_sitk((MASKS[0] * 255).astype(np.uint8))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    labelled = GRID.to_sitk(MASKS[1].astype(np.uint8))
    for key, value in {"Segment0_ID": "S1", "Segment0_Name": "cavity", "Segment0_LabelValue": "1"}.items():
        labelled.SetMetaData(key, value)
    sitk.WriteImage(labelled, str(tmp_path / "b.seg.nrrd"))
    require_prediction_of(MASKS[:2], SampleFiles((str(tmp_path / "a.nrrd"), f"{tmp_path / 'b.seg.nrrd'}#cavity")))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_an_array_has_the_geometry_of_the_image_that_is_named(name, tmp_path, geometry):
    for array, samples in ((SAMPLES, SAMPLES), (SAMPLES[0], SAMPLES[:1]), (MASKS, MASKS)):
        (np.save if name.endswith("npy") else np.savez)(tmp_path / name, array)
        require_prediction_of(samples, SampleFiles((str(tmp_path / name),), geometry))


def test_the_axes_of_an_array_may_be_in_the_other_order(tmp_path, geometry):
    np.save(tmp_path / "a.npy", np.moveaxis(SAMPLES, (1, 2, 3), (3, 2, 1)))
    require_prediction_of(SAMPLES, SampleFiles((str(tmp_path / "a.npy"),), geometry, array_axes=ArrayAxes.IJK))
    with pytest.raises(InvalidImageError, match=r"shape \(3, 6, 5, 4\).*other order"):
        import_samples(SampleFiles((str(tmp_path / "a.npy"),), geometry))


def test_the_foregrounds_channel_is_taken_of_the_probabilities_of_classes(tmp_path, geometry):
    classes = np.stack([1 - SAMPLES, SAMPLES], axis=1)  # sample, class
    np.savez(tmp_path / "one.npz", probabilities=classes[0].astype(np.float16))
    np.save(tmp_path / "all.npy", classes)
    found = import_samples(SampleFiles((str(tmp_path / "one.npz"),), geometry, channel=1))[0]
    np.testing.assert_allclose(found.probability, SAMPLES[0], atol=1e-3)
    require_prediction_of(SAMPLES, SampleFiles((str(tmp_path / "all.npy"),), geometry, channel=1))
    with pytest.raises(InvalidImageError, match="add up to 1 in every voxel"):
        import_samples(SampleFiles((str(tmp_path / "one.npz"),), geometry))
    with pytest.raises(InvalidImageError, match=r"channel 2 was asked for, and it has 2"):
        import_samples(SampleFiles((str(tmp_path / "one.npz"),), geometry, channel=2))


def test_the_structure_is_one_label_of_a_label_map(tmp_path):
    import SimpleITK as sitk

    labels = (MASKS[0] * 3 + MASKS[1] * 1).astype(np.uint8)
    sitk.WriteImage(GRID.to_sitk(labels), str(tmp_path / "a.nii.gz"))
    file = (str(tmp_path / "a.nii.gz"),)
    require_prediction_of((labels == 3)[None], SampleFiles(file, label_value=3))
    with pytest.raises(InvalidImageError, match=r"label map \(0, 1, 3, 4\), name the foreground's label"):
        import_samples(SampleFiles(file))


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (SAMPLES[0] * 100, "per cent"),
        (SAMPLES[0] - 2, "sigmoid or softmax"),
        (np.where(MASKS[0], np.nan, SAMPLES[0]), "NaN or infinite"),
        ((SAMPLES[0] * 255).astype(np.uint8), "255ths"),
    ],
)
def test_what_is_no_probability_is_refused_with_what_to_do(values, advice, tmp_path, geometry):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InvalidImageError, match=rf"a\.npy: .*{advice}"):
        import_samples(SampleFiles((str(tmp_path / "a.npy"),), geometry))


def test_rounding_beyond_0_and_1_is_cut_and_not_refused(tmp_path, geometry):
    np.save(tmp_path / "a.npy", (SAMPLES[0] * 1.001 - 0.0004).astype(np.float32))
    found = import_samples(SampleFiles((str(tmp_path / "a.npy"),), geometry))[0].probability
    assert found.min() >= 0
    assert found.max() <= 1


def test_samples_that_lie_elsewhere_are_refused_by_the_name_of_the_file(tmp_path, geometry):
    files = written(tmp_path, SAMPLES)
    write_image(files[1], SAMPLES[1], Grid(GRID.size, GRID.spacing, (4.0, 5.0, 7.0)))
    with pytest.raises(GridMismatchError, match=r"sample1\.nii\.gz lies on another voxel grid than .*sample0"):
        import_samples(SampleFiles(files))
    with pytest.raises(GridMismatchError, match=r"than .*t1\.nii\.gz"):
        import_samples(SampleFiles(files[1:2], geometry))


def test_an_array_without_geometry_and_no_file_at_all_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", SAMPLES)
    with pytest.raises(InputError, match="Name an image with the same voxels"):
        import_samples(SampleFiles((str(tmp_path / "a.npy"),)))
    with pytest.raises(InputError, match="No file"):
        SampleFiles(())
    with pytest.raises(InputError, match="numbered from 0"):
        SampleFiles(("a",), channel=-1)


def test_what_a_single_sample_cannot_tell_is_said(tmp_path):
    (one,) = written(tmp_path, SAMPLES[:1])
    _prediction, _grid, report = import_samples(SampleFiles((one,)), tool="nnU-Net")
    assert any("mutual information is 0" in note for note in report["notes"])
    assert any("nnU-Net, imported as 1 probability map" in note for note in report["notes"])
    (mask,) = written(tmp_path, MASKS[:1])
    assert any(
        "says nothing of its uncertainty" in text for text in import_samples(SampleFiles((mask,)))[2]["warnings"]
    )


def test_samples_that_are_kept_are_the_first_and_no_more_than_there_are(tmp_path):
    files = written(tmp_path, SAMPLES)
    prediction, grid, report = import_samples(SampleFiles(files), keep_samples=2)
    save_prediction(tmp_path / "out", grid, prediction, report)
    np.testing.assert_allclose(read_samples(tmp_path / "out").probability, SAMPLES[:2], atol=1 / 500)
    with pytest.raises(InputError, match="4 samples are to be saved, but there are 3"):
        import_samples(SampleFiles(files), keep_samples=4)


def test_it_can_be_cancelled_between_samples(tmp_path):
    class Stops(Progress):
        def check_cancelled(self) -> None:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        import_samples(SampleFiles(written(tmp_path, SAMPLES)), progress=Stops())


def test_evaluate_and_review_take_it_for_one_of_ours(tmp_path):
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 2, slices=3))
    for index, name in enumerate(cohort.case_names):
        case = disc_case(index, slices=3)
        files = [tmp_path / f"{name}-{n}.nii.gz" for n in range(3)]
        for file, mask in zip(files, case.raters, strict=True):
            write_image(file, mask * 0.9 + 0.05, case.grid)
        prediction, grid, report = import_samples(
            SampleFiles(tuple(map(str, files))), name, tool="MONAI", keep_samples=3
        )
        save_prediction(tmp_path / "out" / name, grid, prediction, report)
    evaluation = evaluate(tmp_path / "out", cohort)
    assert not evaluation.warnings
    assert evaluation.summary["dice_majority"]["mean"] == 1
    assert evaluation.summary["ged"]["mean"] == pytest.approx(0, abs=1e-9)
    listed = cases_to_review(tmp_path / "out")
    assert {case.case for case in listed.cases} == set(cohort.case_names)
    assert not any(case.is_computed_now for case in listed.cases)
    maps = read_predicted(tmp_path / "out" / "case01")
    assert places_to_review(maps.probability, maps.grid, maps.expected_entropy, maps.level).places
    report = json.loads((tmp_path / "out" / "case01" / "prediction.json").read_text(encoding="utf-8"))
    assert report["tool"] == "MONAI"
    assert str(tmp_path) not in json.dumps(report)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    import tracemalloc

    grid, peaks = Grid((64, 64, 32)), []
    files = tuple(str(tmp_path / f"{number}.nii.gz") for number in range(12))
    for file in files:
        write_image(Path(file), np.random.default_rng(0).random(grid.shape).astype(np.float32), grid)
    for count in (2, 12):
        tracemalloc.start()
        import_samples(SampleFiles(files[:count]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def test_the_maps_are_read_back_as_they_were_computed(tmp_path):
    prediction, grid, report = import_samples(SampleFiles(written(tmp_path, SAMPLES)))
    files = save_prediction(tmp_path / "out", grid, prediction, report)
    np.testing.assert_allclose(read_image(files["probability"]).array, prediction.probability, atol=1e-6)
    np.testing.assert_allclose(
        read_image(files["mutual_information"]).array, prediction.uncertainty.mutual_information, atol=1e-6
    )


def test_a_file_named_twice_would_count_twice_and_is_refused(tmp_path):
    (file,) = written(tmp_path, SAMPLES[:1])
    (tmp_path / "link.nii.gz").symlink_to(file)
    with pytest.raises(InputError, match=r"link\.nii\.gz is the same as .*sample0"):
        import_samples(SampleFiles((file, str(tmp_path / "link.nii.gz"))))


def test_classes_in_a_file_each_are_no_samples(tmp_path):
    with pytest.raises(InvalidImageError, match="these maps add up to 1"):
        import_samples(SampleFiles(written(tmp_path, np.stack([SAMPLES[0], 1 - SAMPLES[0]]))))


def test_masks_of_different_values_may_be_of_different_structures(tmp_path):
    import SimpleITK as sitk

    files = [tmp_path / f"{value}.nrrd" for value in (1, 2)]
    for file, value in zip(files, (1, 2), strict=True):
        sitk.WriteImage(GRID.to_sitk((MASKS[0] * value).astype(np.uint8)), str(file))
    with pytest.raises(InvalidImageError, match="different values"):
        import_samples(SampleFiles(tuple(map(str, files))))


def test_a_label_is_asked_of_label_maps_only(tmp_path, geometry):
    (probability,) = written(tmp_path, SAMPLES[:1])
    with pytest.raises(InvalidImageError, match="label 1 was asked for, but its values go from"):
        import_samples(SampleFiles((probability,), label_value=1))
    np.save(tmp_path / "mask.npy", MASKS[0])
    with pytest.raises(InvalidImageError, match="label 2 was asked for, but it is a mask"):
        import_samples(SampleFiles((str(tmp_path / "mask.npy"),), geometry, label_value=2))
    with pytest.raises(InputError, match="exclude each other"):
        SampleFiles((probability,), channel=1, label_value=1)


def test_complex_numbers_two_axes_of_volumes_and_no_volume_are_refused(tmp_path, geometry):
    import nibabel
    import SimpleITK as sitk

    sitk.WriteImage(GRID.to_sitk(SAMPLES[0].astype(np.complex64)), str(tmp_path / "complex.nrrd"))
    with pytest.raises(InvalidImageError, match="complex numbers"):
        import_samples(SampleFiles((str(tmp_path / "complex.nrrd"),)))
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4, 3, 2), np.float32), np.eye(4)), tmp_path / "five.nii.gz")
    with pytest.raises(InvalidImageError, match="6 volumes along several axes"):
        import_samples(SampleFiles((str(tmp_path / "five.nii.gz"),), channel=1))
    np.save(tmp_path / "none.npy", np.zeros((0, *GRID.shape), np.float32))
    with pytest.raises(InputError, match=r"none\.npy: there is no sample"):
        import_samples(SampleFiles((str(tmp_path / "none.npy"),), geometry))


def test_what_follows_a_hash_is_never_passed_over(tmp_path, geometry):
    (file,) = written(tmp_path, SAMPLES[:1])
    for source in (SampleFiles((f"{file}#x",)), SampleFiles((file,), f"{geometry}#x")):
        with pytest.raises(InputError, match="'#x' would pick"):
            import_samples(source)


def test_files_are_fingerprinted_also_where_a_part_of_them_is_named(tmp_path, geometry):
    np.savez(tmp_path / "a.npz", a=SAMPLES[0], b=SAMPLES[1])
    files = tuple(f"{tmp_path / 'a.npz'}#{name}" for name in "ab")
    assert len(import_samples(SampleFiles(files, geometry))[2]["made_from"]["files"]) == 2


def test_what_a_header_leaves_open_is_told_without_the_name_of_the_file(tmp_path):
    (file,) = written(tmp_path, SAMPLES[:1], ".nrrd")
    content = Path(file).read_bytes()
    start, end = content.index(b"space directions:"), content.index(b"\n", content.index(b"space directions:"))
    Path(file).write_bytes(content[:start] + content[end + 1 :])
    (warning,) = import_samples(SampleFiles((file,)), "anna")[2]["warnings"]
    assert warning.startswith("anna: the file's header gives no voxel size")
