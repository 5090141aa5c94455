from __future__ import annotations

import csv
from pathlib import Path

import pytest
from matplotlib.image import imread

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.demo import DemoSettings, run_demo

TINY = DemoSettings(training_cases=1, test_cases=2, epochs=1, depth=1, samples=2)


def test_the_demo_goes_from_nothing_to_table_and_picture_and_resumes(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "demo", TINY, device="cpu")
    assert list(result.evaluations) == [FusionMethod.NONE, FusionMethod.MAJORITY]
    for fusion in ("none", "majority"):
        for part in ("models/{}/model.json", "predictions/{}/case03/segmentation.nii.gz", "scores/{}.csv"):
            assert (tmp_path / "demo" / part.format(fusion)).exists()
    rows = list(csv.DictReader((tmp_path / "demo" / "table.csv").open(encoding="utf-8")))
    assert [(row["fusion"], row["wme_n"]) for row in rows] == [("none", "2"), ("majority", "2")]
    assert "Research use only" in (tmp_path / "demo" / "table.txt").read_text(encoding="utf-8")
    picture = imread(result.figure)
    assert min(picture.shape[:2]) > 400

    weights = tmp_path / "demo" / "models" / "none" / "weights.safetensors"
    trained = weights.stat().st_mtime_ns
    (tmp_path / "demo" / "comparison.png").unlink()
    again = run_demo(tmp_path / "demo", TINY, device="cpu", resume=True)
    assert again.figure.exists()
    assert weights.stat().st_mtime_ns == trained
    assert again.table == result.table
    with pytest.raises(InputError, match="not empty"):
        run_demo(tmp_path / "demo", TINY, device="cpu")
