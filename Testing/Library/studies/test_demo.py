from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.demo.demo import run_demo
from ObserverUncertaintyLib.studies.demo.first_look import FirstLook, first_look
from ObserverUncertaintyLib.studies.demo.settings import DemoSettings

TINY = DemoSettings(training_cases=1, test_cases=2, epochs=1, depth=1, filters=4, samples=1)


def test_the_demo_goes_from_nothing_to_tables_and_pictures_and_resumes(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    looks: list[tuple[FirstLook, bool]] = []
    result = run_demo(
        demo, TINY, device="cpu", on_first_look=lambda look: looks.append((look, (demo / "cohort").exists()))
    )
    assert looks == [(result.first_look, False)]  # there before the long part begins
    assert list(result.evaluations) == [FusionMethod.NONE, FusionMethod.MAJORITY]
    for fusion in ("none", "majority"):
        for part in ("models/{}/model.json", "predictions/{}/case03/segmentation.nii.gz", "scores/{}.csv"):
            assert (demo / part.format(fusion)).exists()
    rows = list(csv.DictReader((demo / "comparison.csv").open(encoding="utf-8")))
    assert [(row["fusion"], row["wme_n"]) for row in rows] == [("none", "2"), ("majority", "2")]
    assert all(0 < float(row["ece_roi_pooled"]) < 1 for row in rows)
    assert "ECE around the contours" in result.table
    assert "Research use only" in (demo / "comparison.txt").read_text(encoding="utf-8")
    for picture in (result.figure, result.first_look.figure):
        assert min(imread(picture).shape[:2]) > 400

    weights = demo / "models" / "none" / "weights.safetensors"
    trained = weights.stat().st_mtime_ns
    (demo / "comparison.png").unlink()
    again = run_demo(demo, TINY, device="cpu", resume=True)
    assert again.figure.exists()
    assert weights.stat().st_mtime_ns == trained
    assert (again.table, again.first_look) == (result.table, result.first_look)
    with pytest.raises(InputError, match="not empty"):
        run_demo(demo, TINY, device="cpu")


def test_the_first_look_says_what_its_files_say(tmp_path: Path) -> None:
    """Volumes and Dice by SimpleITK, from the masks that lie there."""
    demo = tmp_path / "demo"
    first_look(demo, 1, 0, device="cpu", resume=True, overwrite=False, progress=Progress())

    case = demo / "first_look" / "cohort" / "case01"
    masks = {name: sitk.ReadImage(str(case / f"{name}.nii.gz")) for name in ("rater_2y", "rater_4y", "rater_6y")}
    masks["shipped model"] = sitk.ReadImage(str(demo / "first_look" / "prediction" / "case01" / "segmentation.nii.gz"))
    votes = sum(sitk.GetArrayFromImage(masks[name]).astype(int) for name in masks if name != "shipped model")
    majority = sitk.GetImageFromArray((votes >= 2).astype(np.uint8))
    majority.CopyInformation(masks["rater_2y"])
    rows = list(csv.DictReader((demo / "first_look.csv").open(encoding="utf-8")))
    assert [row["contour"] for row in rows] == list(masks)
    for row, mask in zip(rows, masks.values(), strict=True):
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(sitk.Cast(mask, sitk.sitkUInt8))
        overlap = sitk.LabelOverlapMeasuresImageFilter()
        overlap.Execute(sitk.Cast(mask, sitk.sitkUInt8), majority)
        assert float(row["volume_ml"]) == pytest.approx(shape.GetPhysicalSize(1) / 1000, rel=1e-3)
        assert float(row["dice_majority"]) == pytest.approx(overlap.GetDiceCoefficient(), abs=1e-6)
        assert f"{float(row['volume_ml']):.1f}" in (demo / "first_look.txt").read_text(encoding="utf-8")
