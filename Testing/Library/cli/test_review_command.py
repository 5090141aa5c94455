"""The command `review` on the files of a prediction: what it lists and writes, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from program import result, run
from scipy.special import expit

from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid

# Axial slices of 3 mm, the patient's left at the first column.
GRID = Grid((40, 36, 14), (1.0, 1.0, 3.0), (60.0, -20.0, 10.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
_k, _j, _i = np.indices(GRID.shape)
DISTANCE = np.sqrt((_j - 17.5) ** 2 + (_i - 19.5) ** 2 + (3 * (_k - 6.5)) ** 2)
PROBABILITY = expit(11.0 - DISTANCE).astype(np.float32)
EXPERT = DISTANCE < 14


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A ball that the model believes in, and doubts around its border."""
    folder = tmp_path / "predictions" / "case01"
    write_image(folder / "probability.nii.gz", PROBABILITY, GRID)
    write_json(folder / "prediction.json", {"case": "case01", "warnings": []})
    return folder


def expert_in(*slices: int) -> np.ndarray:
    mask = PROBABILITY > 0.5
    mask[list(slices)] = EXPERT[list(slices)]
    return mask


def test_cases_are_listed_the_worst_first_and_what_is_left_out_is_told(case: Path) -> None:
    folder = case.parent
    shutil.copytree(case, folder / "case02")
    write_image(folder / "case02" / "probability.nii.gz", np.sqrt(PROBABILITY) * 0.6, GRID)
    (folder / "case03").mkdir()
    done = run("review", "cases", folder, "--json")
    content = result(done)
    assert [each["case"] for each in content["cases"]] == ["case02", "case01"]
    assert content["cases"][0]["expected_dice"] < content["cases"][1]["expected_dice"] - 0.1
    assert "case03 is left out" in done.stderr
    assert "probability.nii.gz is not there" in content["left_out"]["case03"]
    assert run("review", "cases", folder, "--cases", "case01").stdout.splitlines()[2].split()[0] == "case01"


def test_places_and_slices_are_listed_and_written(case: Path, tmp_path: Path) -> None:
    content = result(run("review", "places", case, "--out", tmp_path / "places.nii.gz", "--json"))
    numbers = read_image(tmp_path / "places.nii.gz")
    assert numbers.grid == read_image(case / "probability.nii.gz").grid
    assert set(np.unique(numbers.array)) == set(range(len(content["places"]) + 1))
    for place in content["places"]:
        index = GRID.to_sitk(PROBABILITY).TransformPhysicalPointToIndex(place["position"])
        assert numbers.array[index[::-1]] == place["number"]
    # The middle of a ball that is as unsure on all sides: of two slices the first.
    assert content["next_slices"][0] in (6, 7)
    text = run("review", "places", case).stdout
    assert f"Slices to edit next, axial, numbered from 0: {content['next_slices'][0]}," in text


def test_a_contour_with_a_margin_is_that_of_simpleitk(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "target.nii.gz"
    content = result(run("review", "contour", case, "--level", "0.1", "--margin", "3", "--out", out, "--json"))
    outer = sitk.GetImageFromArray((PROBABILITY > 0.1).astype(np.uint8))
    outer.SetSpacing(GRID.spacing)
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(outer, squaredDistance=False, useImageSpacing=True))
    assert np.array_equal(read_mask(out).array, away <= 3 + 1e-4)
    assert content["volume_ml"] == pytest.approx(np.count_nonzero(away <= 3 + 1e-4) * 0.003)


def test_alternatives_are_written_from_the_narrowest_to_the_widest(case: Path, tmp_path: Path) -> None:
    content = result(run("review", "alternatives", case, "--out", tmp_path / "alternatives", "--json"))
    volumes = []
    for each in content["alternatives"]:
        mask = read_mask(each["file"]).array
        assert np.array_equal(mask, each["level"] < PROBABILITY)
        volumes.append(np.count_nonzero(mask))
    assert len(volumes) >= 2
    assert volumes == sorted(volumes)
    assert sum(each["weight"] for each in content["alternatives"]) == pytest.approx(1)


def test_alternatives_that_are_written_over_leave_none_of_the_former(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "alternatives"
    run("review", "alternatives", case, "--out", out)
    (out / "alternative.txt").write_text("mine", encoding="utf-8")
    write_image(case / "probability.nii.gz", np.round(PROBABILITY), GRID)
    assert "Give another folder, or overwrite." in run("review", "alternatives", case, "--out", out, code=2).stderr
    run("review", "alternatives", case, "--out", out, "--overwrite")
    assert sorted(file.name for file in out.iterdir()) == ["alternative.txt", "alternative1.nii.gz"]


def test_a_corrected_slice_is_carried_on(case: Path, tmp_path: Path) -> None:
    corrected, out = tmp_path / "mine.nii.gz", tmp_path / "out.nii.gz"
    write_mask(corrected, expert_in(6), GRID)
    arguments = ("review", "propagate", case, "--corrected", corrected, "--out", out)
    content = result(run(*arguments, "--slices", "6", "--json"))
    found = read_mask(out).array
    assert np.array_equal(found[6], EXPERT[6])
    wrong = [np.count_nonzero(mask[7] != EXPERT[7]) for mask in (PROBABILITY > 0.5, found)]
    assert wrong[1] < wrong[0] / 2
    assert content["followed_ml"] == pytest.approx(
        np.count_nonzero(np.delete(found != (PROBABILITY > 0.5), 6, axis=0)) * 0.003
    )
    assert 6 not in content["next_slices"]
    # Without slices what was added counts as drawn, and no more.
    run(*arguments, "--overwrite")
    assert np.array_equal(read_mask(out).array[6], EXPERT[6])


def test_slices_are_counted_as_they_lie_in_the_file_and_ranges_are_too(tmp_path: Path) -> None:
    """Of sagittal slices: what `places` names can be given to `propagate`."""
    sagittal = Grid(GRID.size, GRID.spacing, direction=(0, 0, 1, 1, 0, 0, 0, 1, 0))
    case, corrected, out = tmp_path / "case", tmp_path / "mine.nii.gz", tmp_path / "out.nii.gz"
    write_image(case / "probability.nii.gz", PROBABILITY, sagittal)
    write_mask(corrected, expert_in(5, 6, 7), sagittal)
    assert "Slices to edit next, sagittal, numbered from 0: " in run("review", "places", case).stdout
    done = run("review", "propagate", case, "--corrected", corrected, "--slices", "5-7", "--out", out)
    assert "Slices to edit next, sagittal" in done.stdout
    assert np.array_equal(read_mask(out).array[5:8], EXPERT[5:8])
    run("review", "propagate", case, "--corrected", corrected, "--direction", "sagittal", "--out", out, "--overwrite")
    assert read_mask(out).array.any()


def test_a_doubtful_header_and_an_empty_mask_are_told(tmp_path: Path) -> None:
    metres = Grid(GRID.size, tuple(each / 1000 for each in GRID.spacing))
    case, corrected = tmp_path / "case", tmp_path / "mine.nii.gz"
    write_image(case / "probability.nii.gz", PROBABILITY, metres)
    write_mask(corrected, np.zeros_like(EXPERT), metres)
    done = run("review", "contour", case, "--out", tmp_path / "contour.nii.gz", "--json")
    assert f"warning: {case / 'probability.nii.gz'}: " in done.stderr
    assert result(done)["warnings"]
    done = run("review", "propagate", case, "--corrected", corrected, "--slices", "6", "--out", tmp_path / "out.nii.gz")
    assert f"warning: {corrected} is empty" in done.stderr


def test_what_was_drawn_in_other_slices_than_those_named_is_kept(case: Path, tmp_path: Path) -> None:
    corrected, out = tmp_path / "mine.nii.gz", tmp_path / "out.nii.gz"
    by_hand = expert_in(6)
    by_hand[9, 2:5, 2:5] = True  # where the model is sure that there is nothing
    write_mask(corrected, by_hand, GRID)
    run("review", "propagate", case, "--corrected", corrected, "--slices", "6", "--out", out)
    assert read_mask(out).array[9, 2:5, 2:5].all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("places", "{predictions}"), "expected the folder of one predicted case"),
        (("contour", "{case}", "--level", "90", "--out", "{out}"), "between 0 and 1"),
        (("propagate", "{case}", "--corrected", "{same}", "--out", "{out}"), "does not differ from the start"),
        (("propagate", "{case}", "--corrected", "{same}", "--slices", "14", "--out", "{out}"), "from 0 to 13"),
        (("propagate", "{case}", "--corrected", "{same}", "--slices", "all", "--out", "{out}"), "such as 31,40"),
        (("propagate", "{case}", "--corrected", "{other}", "--slices", "3", "--out", "{out}"), "on the grid"),
        (("propagate", "{case}", "--corrected", "{same}", "--slices", "8-6", "--out", "{out}"), 'names "8-6"'),
        (("propagate", "{case}", "--corrected", "{same}", "--slices", "3", "--out", "{same}"), "same.nii.gz"),
        (
            ("propagate", "{case}", "--corrected", "{same}#x", "--slices", "3", "--overwrite", "--out", "{same}"),
            "An input is never written over",
        ),
        (("contour", "{case}", "--overwrite", "--out", "{case}/probability.nii.gz"), "An input is never written over"),
        (("contour", "{case}", "--overwrite", "--out", "{sample}"), "An input is never written over"),
        (("alternatives", "{predictions}", "--out", "{out}"), "expected the folder of one predicted case"),
        (("cases", "{out}"), "is no folder"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(
    case: Path, tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    files = {
        "case": case,
        "predictions": case.parent,
        "same": tmp_path / "same.nii.gz",
        "other": tmp_path / "other.nii.gz",
        "out": tmp_path / "out.nii.gz",
        "sample": case / "samples" / "sample001.nii.gz",
    }
    write_image(files["sample"], PROBABILITY, GRID)
    write_mask(files["same"], expert_in(), GRID)
    write_mask(files["other"], expert_in(), Grid(GRID.size, GRID.spacing))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    done = run("review", *(each.format(**files) for each in arguments), code=2)
    assert text in done.stderr
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
