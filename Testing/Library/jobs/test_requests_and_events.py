from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import (
    BrainExtractionRequest,
    JobProgress,
    PredictCohortRequest,
    PredictRequest,
    ProbeRequest,
    RegisterRequest,
    Request,
    SimulateRequest,
    TrainRequest,
)
from ObserverUncertaintyLib.jobs.environment import worker_environment
from ObserverUncertaintyLib.jobs.events import EventReader, EventWriter
from ObserverUncertaintyLib.jobs.requests import request_from_json, request_to_json
from ObserverUncertaintyLib.model.settings import DropoutMasks, Loss, TrainingSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod

SETTINGS = TrainingSettings(FusionMethod.STAPLE, loss=Loss.SUM, spacing=(1.0, 0.5), background_slices=2.0)


@pytest.mark.parametrize(
    "request_",
    [
        PredictRequest({"T1": "/ü b/t1.nrrd"}, "/model", skull_stripped=True),
        PredictRequest({"T1": "/t1.nrrd"}, "/model", dropout_masks=DropoutMasks.BALANCED),
        PredictCohortRequest("/c.toml", "/model", "/out", 5, dropout_masks=DropoutMasks.BALANCED, resume=True),
        TrainRequest("/c.toml", "/model", SETTINGS, ("a", "b"), "cuda:1", resume=True),
        TrainRequest("/c.toml", "/model"),
        RegisterRequest({"T1": "/a", "T2": "/b"}, "T1"),
        BrainExtractionRequest({"T1": "/a", "T2": "/b"}, "T1", "strip -i {input} -m {mask}"),
        SimulateRequest(3, 7),
        ProbeRequest(),
    ],
)
def test_a_request_comes_back_from_json(request_: Request) -> None:
    back = request_from_json(json.loads(json.dumps(request_to_json(request_))))
    assert back == request_
    if isinstance(back, TrainRequest):
        assert isinstance(back.settings.fusion, FusionMethod)


def test_relative_paths_count_from_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = PredictRequest({"T1": "t1.nrrd"}, "model").resolved()
    assert (request.images["T1"], request.model) == (str(tmp_path / "t1.nrrd"), str(tmp_path / "model"))


def test_requests_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="none is given"):
        PredictRequest({}, "model")
    with pytest.raises(InputError, match="samples is 0"):
        PredictRequest({"T1": "a"}, "model", samples=0)
    with pytest.raises(InputError, match="T3 is none of the images: T1, T2"):
        RegisterRequest({"T1": "a", "T2": "b"}, "T3")
    with pytest.raises(InputError, match="nothing to register"):
        RegisterRequest({"T1": "a"}, "T1")
    with pytest.raises(InputError, match="index is -1"):
        SimulateRequest(-1)


def test_another_python_does_not_inherit_what_was_set_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "/slicer")
    before = dict(os.environ)
    own = worker_environment(sys.executable, {})
    slicers = worker_environment("/opt/Slicer/bin/PythonSlicer", {})
    other = worker_environment("/usr/bin/other-python", {"LD_LIBRARY_PATH": "/mine", "PYTHONUTF8": "0"})
    library = str(Path(__file__).parents[3])
    assert dict(os.environ) == before
    assert own["PYTHONPATH"] == slicers["PYTHONPATH"] == f"{library}{os.pathsep}/slicer"
    assert own["PYTHONHOME"] == slicers["PYTHONHOME"] == "/slicer"
    assert (other["PYTHONPATH"], "PYTHONHOME" in other) == (library, False)
    assert (other["LD_LIBRARY_PATH"], other["PYTHONUTF8"], own["PYTHONUTF8"]) == ("/mine", "0", "1")
    assert own["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_the_time_left_follows_from_this_runs_own_steps() -> None:
    now = time.time()
    resumed = JobProgress("train", done=60, total=100, already=50, seconds=20.0, told=now)
    assert resumed.seconds_left == pytest.approx(80, abs=0.5)
    assert JobProgress("train", done=60, total=100, already=50, seconds=20.0, told=now - 30).seconds_left == (
        pytest.approx(50, abs=0.5)
    )
    assert JobProgress("train", done=50, total=100, already=50, told=now).seconds_left is None
    assert JobProgress().fraction == 0


def test_an_absent_file_has_no_events_and_an_endless_line_is_given_up(tmp_path: Path) -> None:
    reader = EventReader(tmp_path / "events.jsonl")
    assert reader.read() == []
    (tmp_path / "events.jsonl").write_bytes(b"x" * (3 << 20))
    assert reader.read() == []
    assert len(reader.garbage) == 1
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.write("message", text="line\nbreak ü")
    writer.write("message", text="next")
    assert [event.data["text"] for event in reader.read()] == ["line\nbreak ü", "next"]
