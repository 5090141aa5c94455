"""Samples that a prediction keeps beside its maps: what is read back, and when a prediction without them serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohorts import disc_case

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.formats import read_image, write_image
from ObserverUncertaintyLib.formats.prediction_files import predicted_files
from ObserverUncertaintyLib.formats.prediction_samples import ROUNDING, read_samples, to_levels
from ObserverUncertaintyLib.images.grid import GridMismatchError
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.training.train import train

SETTINGS = PredictionSettings(samples=4)


class Heard(Progress):
    """Remembers what was predicted again, and stops where asked."""

    def __init__(self, stops: bool = False) -> None:
        self.again: list[str] = []
        self.stops = stops

    def warning(self, text: str) -> None:
        if "predicted again" in text:
            self.again.append(text)

    def check_cancelled(self) -> None:
        if self.stops:
            raise Cancelled("stopped")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(epochs=20, network=UNetSettings(depth=1, filters=4), learning_rate=5e-3, batch_size=2)
    train([disc_case(number, slices=3) for number in range(3)], folder, settings)
    return folder


def load(name: str) -> Case:
    return disc_case(int(name[-2:]) - 1, slices=3)


def saved(model: Path, folder: Path, save_samples: int, *, stops: bool = False, resume: bool = True) -> list[str]:
    """Predict a case into a folder, and return why it was predicted again."""
    heard = Heard(stops)
    predict_cases(
        model,
        ["case09"],
        load,
        folder,
        SETTINGS,
        device="cpu",
        save_samples=save_samples,
        resume=resume,
        progress=heard,
    )
    return heard.again


def report(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "case09" / "prediction.json").read_text(encoding="utf-8")))


def test_the_saved_samples_are_the_first_that_were_drawn_but_for_rounding(model: Path, tmp_path: Path) -> None:
    drawn: list[np.ndarray] = []
    predict(*load_model(model), load("case09"), SETTINGS, on_sample=drawn.append)
    saved(model, tmp_path, 3)
    samples = read_samples(tmp_path / "case09")
    assert samples.probability.shape == (3, *load("case09").grid.shape)
    assert samples.probability.dtype == np.float32
    assert np.abs(samples.probability - drawn[:3]).max() <= ROUNDING + 1e-7
    assert np.ptp(samples.probability, axis=0).max() > 0.2  # they differ from each other
    assert np.array_equal(samples.probability > 0.5, np.stack(drawn[:3]) > 0.5)
    assert samples.grid == read_image(tmp_path / "case09" / "probability.nii.gz").grid


def test_rounding_moves_no_probability_across_one_half() -> None:
    half = np.float32(0.5)
    near = np.array([np.nextafter(half, np.float32(0)), half, np.nextafter(half, np.float32(1))], np.float32)
    rounded = to_levels(np.array([*near, 0.0, 1.0], np.float32)) / np.float32(255)
    assert (rounded > 0.5).tolist() == [False, False, True, False, True]
    assert rounded[3:].tolist() == [0, 1]
    every = np.linspace(0, 1, 10001, dtype=np.float32)
    assert np.abs(to_levels(every) / 255 - every).max() <= ROUNDING + 1e-7


def test_another_program_opens_a_sample_at_its_place(model: Path, tmp_path: Path) -> None:
    saved(model, tmp_path, 1)
    image = sitk.ReadImage(str(tmp_path / "case09" / "samples" / "sample001.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image), read_samples(tmp_path / "case09").probability[0])
    assert image.GetSpacing() == pytest.approx(load("case09").grid.spacing)


def test_the_report_names_the_files_and_says_what_they_take(model: Path, tmp_path: Path) -> None:
    saved(model, tmp_path, 2)
    note = report(tmp_path)["saved_samples"]
    assert isinstance(note, dict)
    files = [tmp_path / "case09" / name for name in note["files"]]
    assert files == sorted((tmp_path / "case09" / "samples").iterdir())
    assert note["megabytes"] == pytest.approx(sum(file.stat().st_size for file in files) / 1e6, abs=1e-3)
    assert note["seconds"] >= 0
    assert set(files) < set(predicted_files(tmp_path / "case09"))


def test_a_prediction_serves_if_it_has_as_many_samples_as_are_asked_for(model: Path, tmp_path: Path) -> None:
    assert saved(model, tmp_path, 0) == []
    (told,) = saved(model, tmp_path, 2)
    assert told == "case09 is predicted again: 2 samples are to be saved, and it has 0"
    written = (tmp_path / "case09" / "prediction.json").stat().st_mtime_ns
    assert saved(model, tmp_path, 2) == saved(model, tmp_path, 1) == saved(model, tmp_path, 0) == []
    assert (tmp_path / "case09" / "prediction.json").stat().st_mtime_ns == written
    (told,) = saved(model, tmp_path, 3)
    assert told.endswith("3 samples are to be saved, and it has 2")
    assert len(read_samples(tmp_path / "case09").probability) == 3


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-50])])
def test_a_lost_or_damaged_sample_that_is_asked_for_is_predicted_anew(
    model: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    saved(model, tmp_path, 2)
    whole = read_samples(tmp_path / "case09").probability
    damage(tmp_path / "case09" / "samples" / "sample002.nii.gz")
    with pytest.raises(InputError, match="sample002"):
        read_samples(tmp_path / "case09")
    assert saved(model, tmp_path, 1) == []
    (told,) = saved(model, tmp_path, 2)
    assert told == "case09 is predicted again: sample002 is missing, empty or damaged"
    assert np.array_equal(read_samples(tmp_path / "case09").probability, whole)


def test_an_interrupted_prediction_leaves_no_sample_of_the_one_before(model: Path, tmp_path: Path) -> None:
    saved(model, tmp_path, 2)
    with pytest.raises(Cancelled):
        saved(model, tmp_path, 4, stops=True)
    assert [file for file in (tmp_path / "case09").rglob("*") if file.is_file()] == []


def test_fewer_samples_leave_none_of_the_former(model: Path, tmp_path: Path) -> None:
    saved(model, tmp_path, 3)
    (tmp_path / "case09" / "probability.nii.gz").unlink()
    saved(model, tmp_path, 1)
    assert [file.name for file in (tmp_path / "case09" / "samples").iterdir()] == ["sample001.nii.gz"]


@pytest.mark.parametrize("number", [5, -1])
def test_more_samples_than_are_drawn_cannot_be_saved(model: Path, tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError, match=f"{number} samples are to be saved, but 4 are drawn"):
        saved(model, tmp_path / "out", number)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="from 0 to 4"):
        predict(*load_model(model), load("case09"), SETTINGS, keep_samples=number)


def test_what_cannot_be_read_back_is_told(model: Path, tmp_path: Path) -> None:
    saved(model, tmp_path, 0)
    with pytest.raises(InputError, match=r"without saved samples.*have samples saved"):
        read_samples(tmp_path / "case09")
    saved(model, tmp_path, 2)
    sample = tmp_path / "case09" / "samples" / "sample002.nii.gz"
    other = disc_case(1, size=16, slices=3)
    write_image(sample, other.images[0], other.grid)
    with pytest.raises(GridMismatchError, match="sample002"):
        read_samples(tmp_path / "case09")
    (tmp_path / "case09" / "prediction.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="not known which samples were saved"):
        read_samples(tmp_path / "case09")
