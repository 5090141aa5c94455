"""A finished study that an earlier version made: it is read, resumed and refused as one of now."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.simulation.shapes import ShapeSettings
from ObserverUncertaintyLib.studies.synthetic.settings import TRAINING, SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.study import run_synthetic

MADE = Path(__file__).parents[2] / "MadeBefore" / "library.zip"
SETTINGS = SyntheticSettings(
    seeds=(0,), shapes=ShapeSettings(width=32), train=4, test=3, samples=2, training=replace(TRAINING, epochs=1)
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    with zipfile.ZipFile(MADE) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("study/")])
    return tmp_path / "study"


def test_resuming_computes_nothing_anew_and_gives_the_same_tables(study: Path) -> None:
    tables = {path: path.read_text(encoding="utf-8") for path in study.glob("*.csv")}
    units = {path: path.stat().st_mtime_ns for name in ("result.json", "maps.npz") for path in study.rglob(name)}
    assert len(tables) == 4
    assert len(units) == 2 * 10
    for path in tables:
        path.unlink()
    result = run_synthetic(study, SETTINGS, device="cpu", resume=True)
    assert {path: path.read_text(encoding="utf-8") for path in study.glob("*.csv")} == tables
    # Had a unit been done again, its model and its files would be new.
    assert {path: path.stat().st_mtime_ns for path in units} == units
    assert not list(study.rglob("model"))
    assert len(result.summary) == 10


def test_other_settings_are_refused(study: Path) -> None:
    with pytest.raises(InputError, match=r"(?m)^  training\.epochs: it began with 1, now 2$"):
        run_synthetic(
            study, replace(SETTINGS, training=replace(SETTINGS.training, epochs=2)), device="cpu", resume=True
        )
    with pytest.raises(InputError, match=r"(?m)^  test: it began with 3, now 4$"):
        run_synthetic(study, replace(SETTINGS, test=4), device="cpu", resume=True)
