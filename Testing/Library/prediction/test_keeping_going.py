"""Many cases in a queue: those that cannot be predicted are left out, the others go on, and all is one task."""

from __future__ import annotations

import errno
import json
import tracemalloc
from pathlib import Path

import pytest
from cancelling import CancelAfter
from cohorts import disc_case, discs, write_discs
from cohorts_with_gaps import BAD, GOOD, write_cohort_with_gaps

from ObserverUncertaintyLib.base.errors import Cancelled, DeviceError, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest import ManifestError
from ObserverUncertaintyLib.formats.errors import UnwritableFileError
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import PredictionRun, predict_cases, refuse_predictions_over_inputs
from ObserverUncertaintyLib.training.train import train

SETTINGS = PredictionSettings(samples=2)


class Heard(Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.tasks: list[tuple[str, int, int]] = []
        self.done, self.already = 0, 0
        self.details: list[str] = []
        self.most = 0

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.tasks.append((task, steps, done))
        self.done = self.already = done

    def advance(self, steps: int = 1, detail: str = "") -> None:
        assert steps >= 0
        self.done += steps
        self.details.append(detail)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4))
    train(discs(2, slices=3, sequences=2), folder, settings, device="cpu")
    return folder


def predict(model: Path, cohort: Cohort, out: Path, progress: Progress | None = None, **options: bool) -> PredictionRun:
    return predict_cases(
        model, cohort.case_names, cohort.load_images, out, SETTINGS, device="cpu", progress=progress, **options
    )


def test_a_case_that_cannot_be_predicted_is_left_out_and_named(model: Path, tmp_path: Path) -> None:
    manifest = write_cohort_with_gaps(tmp_path / "cohort")
    with pytest.raises(ManifestError, match="case case03 has no image S2"):
        Cohort.open(manifest)
    cohort, heard, told = Cohort.open(manifest, incomplete=True), Heard(), []
    run = predict_cases(
        model,
        cohort.case_names,
        cohort.load_images,
        tmp_path / "out",
        SETTINGS,
        device="cpu",
        keep_going=True,
        progress=heard,
        on_case=lambda name, why: told.append((name, why, (tmp_path / "out" / name / "prediction.json").exists())),
    )
    assert run.cases == GOOD
    assert run.left_out.keys() == BAD.keys()
    for name, part in BAD.items():
        assert part in run.left_out[name]
        assert f"{name} is left out: {run.left_out[name]}" in heard.warnings
        assert not (tmp_path / "out" / name).exists()
    assert told == [(name, run.left_out.get(name, ""), name in GOOD) for name in cohort.case_names]
    # What is wrong with one case is not told of the one that was computed meanwhile.
    for name in GOOD:
        report = json.loads((tmp_path / "out" / name / "prediction.json").read_text(encoding="utf-8"))
        assert report["case"] == name
        assert not [text for text in report["warnings"] if "left out" in text]


def test_without_it_the_first_bad_case_stops_all(model: Path, tmp_path: Path) -> None:
    cohort = Cohort.open(write_cohort_with_gaps(tmp_path / "cohort"), incomplete=True)
    with pytest.raises(InputError, match="incomplete or damaged"):
        predict(model, cohort, tmp_path / "out")
    assert (tmp_path / "out" / "case01" / "prediction.json").exists()


def test_a_case_lacking_a_sequence_that_the_model_needs_is_left_out(model: Path, tmp_path: Path) -> None:
    def load(name: str) -> Case:
        return disc_case(int(name[-2:]) - 1, slices=3, sequences=1 if name == "case02" else 2)

    names = ["case01", "case02", "case03"]
    run = predict_cases(model, names, load, tmp_path / "out", SETTINGS, device="cpu", keep_going=True)
    assert run.cases == ("case01", "case03")
    assert "S2 is missing" in run.left_out["case02"]


def test_if_no_case_is_left_that_is_an_error_with_all_reasons(model: Path, tmp_path: Path) -> None:
    cohort = Cohort.open(write_cohort_with_gaps(tmp_path / "cohort"), list(BAD), incomplete=True)
    with pytest.raises(InputError, match="None of the cases could be predicted") as raised:
        predict(model, cohort, tmp_path / "out", keep_going=True)
    for name, part in BAD.items():
        assert name in str(raised.value)
        assert part in str(raised.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        DeviceError("cuda:0 ran out of memory."),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        MemoryError(),
        UnwritableFileError("the disk is full"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_is_wrong_with_the_machine_stops_it(model: Path, tmp_path: Path, error: Exception) -> None:
    def load(name: str) -> Case:
        if name == "case02":
            raise error
        return disc_case(int(name[-2:]) - 1, slices=3, sequences=2)

    with pytest.raises(type(error)):
        predict_cases(model, ["case01", "case02", "case03"], load, tmp_path, SETTINGS, device="cpu", keep_going=True)
    assert (tmp_path / "case01" / "prediction.json").exists()
    assert not (tmp_path / "case03").exists()


def test_what_nobody_foresaw_about_a_case_stops_no_other(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def load(name: str) -> Case:
        if name == "case02":
            raise ZeroDivisionError("float division by zero")
        return disc_case(int(name[-2:]) - 1, slices=3, sequences=2)

    names = ["case01", "case02", "case03"]
    run = predict_cases(model, names, load, tmp_path, SETTINGS, device="cpu", keep_going=True)
    assert run.left_out == {"case02": "this should not have happened: ZeroDivisionError: float division by zero"}
    assert "Traceback" in caplog.text


def test_all_cases_are_one_task_and_skipped_ones_count_as_done_before(model: Path, tmp_path: Path) -> None:
    cohort = Cohort.open(write_cohort_with_gaps(tmp_path / "cohort"), incomplete=True)
    heard = Heard()
    predict(model, cohort, tmp_path / "out", heard, keep_going=True)
    assert heard.tasks == [("predict", 600, done) for done in (0, 200, 300, 500)]
    assert heard.done == 600
    assert list(dict.fromkeys(heard.details)) == [f"{n} of 6: case0{n}" for n in range(1, 7)]
    again = Heard()
    predict(model, cohort, tmp_path / "out", again, keep_going=True, resume=True)
    assert (again.done, again.already) == (600, 600)


def test_cancelling_keeps_complete_cases_and_resuming_goes_on(model: Path, tmp_path: Path) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 4, slices=3, sequences=2))
    with pytest.raises(Cancelled):
        predict(model, cohort, tmp_path / "out", CancelAfter(3), keep_going=True)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("prediction.json")}
    assert 0 < len(before) < 4
    assert predict(model, cohort, tmp_path / "out", keep_going=True, resume=True).cases == cohort.case_names
    assert {file: file.stat().st_mtime_ns for file in before} == before
    # Cases that are complete already are asked about too: comparing them takes its time.
    with pytest.raises(Cancelled):
        predict(model, cohort, tmp_path / "out", CancelAfter(2), keep_going=True, resume=True)


def test_memory_does_not_grow_with_the_number_of_cases(model: Path, tmp_path: Path) -> None:
    held = []

    def load(name: str) -> Case:
        held.append(tracemalloc.get_traced_memory()[0])
        return disc_case(int(name[-2:]) - 1, size=96, slices=16, sequences=2)

    names = [f"case{n:02d}" for n in range(1, 9)]
    tracemalloc.start()
    try:
        predict_cases(model, names, load, tmp_path, PredictionSettings(1), device="cpu", keep_going=True)
    finally:
        tracemalloc.stop()
    one = 96 * 96 * 16 * 2 * 4
    assert max(held[4:]) - max(held[2:4]) < one, [each // 1000 for each in held]


def test_files_of_a_case_are_not_written_over(tmp_path: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 2)
    (tmp_path / "cohort" / "case02" / "S1.nii.gz").rename(tmp_path / "cohort" / "case02" / "probability.nii.gz")
    text = manifest.read_text(encoding="utf-8").replace("S1.nii.gz", "[Sp]*1*.nii.gz")
    manifest.write_text(text.replace("[Sp]*1*.nii.gz", "probability.nii.gz"), encoding="utf-8")
    (tmp_path / "cohort" / "case01" / "S1.nii.gz").rename(tmp_path / "cohort" / "case01" / "probability.nii.gz")
    with pytest.raises(InputError, match="would be overwritten"):
        refuse_predictions_over_inputs(tmp_path / "cohort", Cohort.open(manifest).files_by_case)
    refuse_predictions_over_inputs(tmp_path / "out", Cohort.open(manifest).files_by_case)
