"""The commands that need raters' masks alone, fuse, disagreement and agreement, on real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohorts import disc_case, write_discs
from program import result, run

from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid


@pytest.fixture
def raters(tmp_path: Path) -> list[Path]:
    case = disc_case(0, slices=3)
    files = [tmp_path / f"{name}.nii.gz" for name in case.rater_names]
    for file, mask in zip(files, case.raters, strict=True):
        write_mask(file, mask, case.grid)
    return files


@pytest.mark.parametrize("method", ["majority", "staple", "union", "intersection", "mean"])
def test_fuse_writes_on_the_raters_grid(raters: list[Path], tmp_path: Path, method: str) -> None:
    out = tmp_path / "fused.nii.gz"
    report = result(run("fuse", *raters, "--method", method, "--out", out, "--json"))
    image, rater = sitk.ReadImage(str(out)), sitk.ReadImage(str(raters[0]))
    assert image.GetPixelID() == (sitk.sitkFloat32 if method == "mean" else sitk.sitkUInt8)
    assert image.GetSize() == rater.GetSize()
    assert image.GetSpacing() == pytest.approx(rater.GetSpacing())
    stack = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in raters])
    array = sitk.GetArrayFromImage(image)
    expected = {
        "majority": stack.sum(axis=0) > 1,
        "union": stack.any(axis=0),
        "intersection": stack.all(axis=0),
        "mean": stack.mean(axis=0).astype(np.float32),
    }
    if method in expected:
        assert np.array_equal(array, expected[method])
    assert report["method"] == method
    assert report["volume_ml"] == pytest.approx(array.sum(dtype=float) * 3 / 1000)
    names = [row["name"] for row in report["raters"]]
    assert names == ["rater1", "rater2", "rater3"]
    assert ("sensitivity" in report["raters"][0]) == (method == "staple")


def test_staple_may_take_the_whole_image_into_account(raters: list[Path], tmp_path: Path) -> None:
    rows = {}
    for region in ("box", "image"):
        out = tmp_path / f"{region}.nrrd"
        rows[region] = result(
            run("fuse", *raters, "--method", "staple", "--staple-region", region, "--out", out, "--json")
        )["raters"]
    # Background that nobody marked is background that every rater left out.
    gains = [wide["specificity"] - tight["specificity"] for wide, tight in zip(rows["image"], rows["box"], strict=True)]
    assert min(gains) >= 0
    assert max(gains) > 0


def test_a_segmentation_with_several_segments_is_several_raters(tmp_path: Path) -> None:
    case = disc_case(0, slices=3)
    layers = sitk.Compose([case.grid.to_sitk(mask) for mask in case.raters])
    for number in range(3):
        layers.SetMetaData(f"Segment{number}_ID", f"Segment_{number}")
        layers.SetMetaData(f"Segment{number}_Name", f"Dr {'ABC'[number]}")
        layers.SetMetaData(f"Segment{number}_LabelValue", "1")
        layers.SetMetaData(f"Segment{number}_Layer", str(number))
    file = tmp_path / "raters.seg.nrrd"
    sitk.WriteImage(layers, str(file))
    report = result(run("disagreement", file, "--out", tmp_path / "entropy.nrrd", "--json"))
    assert [row["name"] for row in report["raters"]] == ["Dr A", "Dr B", "Dr C"]
    entropy = read_image(tmp_path / "entropy.nrrd")
    assert entropy.array.max() == pytest.approx(0.9182958, abs=1e-6)
    two = run("disagreement", f"{file}#Dr A", f"{file}#Dr C", "--out", tmp_path / "two.nrrd", "--json")
    assert [row["name"] for row in result(two)["raters"]] == ["Dr A", "Dr C"]


def test_raters_on_another_grid_are_refused_or_resampled_and_reported(raters: list[Path], tmp_path: Path) -> None:
    mask = read_mask(raters[1])
    write_mask(raters[1], mask.array, Grid(mask.grid.size, (1.0, 1.0, 3.3)))
    out = tmp_path / "fused.nii.gz"
    text = run("fuse", *raters, "--method", "union", "--out", out, code=2).stderr
    assert "32 x 32 x 3 voxels of 1 x 1 x 3 mm" in text
    assert "32 x 32 x 3 voxels of 1 x 1 x 3.3 mm" in text
    assert not out.exists()
    done = run("fuse", *raters, "--method", "union", "--out", out, "--resample", "--json")
    assert "rater2 was resampled (nearest)" in result(done)["notes"][0]
    assert "rater2 was resampled" in done.stderr


def test_wrong_raters_are_named_with_exit_code_2(raters: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    assert (
        "missing.nii.gz" in run("fuse", "missing.nii.gz", raters[0], "--method", "union", "--out", out, code=2).stderr
    )
    assert "only one rater" in run("disagreement", raters[0], "--out", out, code=2).stderr
    assert "none" in run("fuse", *raters, "--method", "none", "--out", out, code=2).stderr
    labels = tmp_path / "labels.nii.gz"
    grid = read_mask(raters[0]).grid
    write_image(labels, np.arange(np.prod(grid.shape)).reshape(grid.shape) % 3, grid)
    assert "labels.nii.gz" in run("fuse", labels, raters[0], "--method", "union", "--out", out, code=2).stderr
    truncated = tmp_path / "truncated.nii.gz"
    truncated.write_bytes(raters[0].read_bytes()[:-30])
    assert "truncated.nii.gz" in run("fuse", truncated, raters[0], "--method", "union", "--out", out, code=2).stderr
    run("fuse", *raters, "--method", "unknown", "--out", out, code=2)
    assert ".txt" in run("fuse", *raters, "--method", "union", "--out", tmp_path / "a.txt", code=2).stderr
    assert not out.exists()


def test_an_empty_mask_is_accepted_warned_about_and_recorded(raters: list[Path], tmp_path: Path) -> None:
    mask = read_mask(raters[2])
    write_mask(raters[2], np.zeros_like(mask.array), mask.grid)
    done = run("fuse", *raters, "--method", "staple", "--out", tmp_path / "out.nii.gz", "--json")
    assert "rater3 drew nothing" in done.stderr
    assert "rater3 drew nothing" in result(done)["warnings"][0]


def test_an_existing_file_is_kept_unless_overwritten(raters: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    out.write_text("mine", encoding="utf-8")
    assert "exists already" in run("fuse", *raters, "--method", "union", "--out", out, code=2).stderr
    assert out.read_text(encoding="utf-8") == "mine"
    run("fuse", *raters, "--method", "union", "--out", out, "--overwrite")
    assert read_mask(out).array.any()


def test_agreement_is_that_of_a_cohort_or_of_one_case(raters: list[Path], tmp_path: Path) -> None:
    content = result(run("agreement", *raters, "--json"))
    assert list(content["raters"]) == ["rater1", "rater2", "rater3"]
    masks = [read_mask(file).array for file in raters]
    expected = 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum())
    assert content["pairs"]["rater1, rater2"]["dice"]["mean"] == pytest.approx(expected)
    manifest = write_discs(tmp_path / "cohort", 3, slices=3)
    done = run("agreement", manifest, "--cases", "case01,case03", "--out", tmp_path / "figures.json")
    assert "The mean of 3 raters has a reliability of " in done.stdout
    written = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [case["case"] for case in written["cases"]] == ["case01", "case03"]
    assert (tmp_path / "figures.csv").read_text(encoding="utf-8").startswith("case,first,second,dice,")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("{rater}",), "There is only one rater"),
        (("{rater}", "{rater}", "--cases", "case01"), "--cases chooses cases of a manifest"),
        (("{rater}", "{other}", "--out", "{text}"), "must end in .csv or .json"),
        (("{missing}",), "missing.toml"),
    ],
)
def test_agreement_of_what_cannot_be_compared_is_refused(
    raters: list[Path], tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    files = {"rater": raters[0], "other": raters[1], "text": tmp_path / "a.txt", "missing": tmp_path / "missing.toml"}
    assert text in run("agreement", *(each.format(**files) for each in arguments), code=2).stderr
