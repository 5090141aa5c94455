"""Training that goes on after an interruption, and what it refuses to go on with."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cancelling import CancelAfter
from cohorts import discs, write_discs
from small_training import SMALL, Listener, weights
from waiting import wait_for

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, UnwritableFileError
from ObserverUncertaintyLib.model.description import begun_training
from ObserverUncertaintyLib.model.settings import Schedule
from ObserverUncertaintyLib.training import loop
from ObserverUncertaintyLib.training.train import train


def test_training_killed_in_the_middle_resumes_to_the_same_weights(tmp_path: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 4)
    command = [
        *(sys.executable, "-m", "ObserverUncertaintyLib.cli", "train", str(manifest), "--fusion", "none"),
        *("--epochs", "40", "--depth", "1", "--filters", "4", "--device", "cpu"),
    ]
    killed = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "killed" / "checkpoint" / "state.pt").exists, "a checkpoint")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "model.json").exists(), "it was not killed in the middle"
    subprocess.run([*command, "--out", str(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert not (tmp_path / "killed" / "checkpoint").exists()


def test_cancelled_training_keeps_its_checkpoint_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    cases = discs(6)
    with pytest.raises(Cancelled):
        train(cases, tmp_path / "cancelled", SMALL, progress=CancelAfter(3))
    assert (tmp_path / "cancelled" / "checkpoint" / "state.pt").exists()
    begun = begun_training(tmp_path / "cancelled")
    assert begun is not None
    assert (begun["epochs"], len(begun["cases"])) == (SMALL.epochs, 6)
    listener = Listener()
    train(cases, tmp_path / "cancelled", SMALL, resume=True, progress=listener)
    assert (listener.done, listener.steps) == (6, 6)
    train(cases, tmp_path / "whole", SMALL)
    assert weights(tmp_path / "cancelled") == weights(tmp_path / "whole")


def test_checkpoints_that_take_long_are_made_seldom_and_still_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ObserverUncertaintyLib.training.checkpoint._QUICK", 0.0)
    monkeypatch.setattr("ObserverUncertaintyLib.training.checkpoint._SHARE", 1e-9)
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path / "cancelled", SMALL, progress=CancelAfter(5))
    state = torch.load(tmp_path / "cancelled" / "checkpoint" / "state.pt", weights_only=True)
    assert len(state["losses"]) == 1, "of the two epochs that were complete"
    train(discs(6), tmp_path / "cancelled", SMALL, resume=True)
    train(discs(6), tmp_path / "whole", SMALL)
    assert weights(tmp_path / "cancelled") == weights(tmp_path / "whole")


def test_a_training_stopped_in_its_first_epoch_says_that_it_begins_again(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path, SMALL, progress=CancelAfter(1))
    listener = Listener()
    train(discs(6), tmp_path, SMALL, resume=True, progress=listener)
    assert any("training begins at the first one" in text for text in listener.texts)


def test_resuming_with_other_settings_is_refused_and_names_them(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path, SMALL, progress=CancelAfter(3))
    with pytest.raises(InputError, match=r"learning_rate: it began with 0.001, now 0.01"):
        train(discs(6), tmp_path, replace(SMALL, learning_rate=1e-2), resume=True)
    with pytest.raises(InputError, match="cases: it began"):
        train(discs(5), tmp_path, SMALL, resume=True)


def test_resuming_a_finished_training_says_so_and_changes_nothing(tmp_path: Path) -> None:
    train(discs(2), tmp_path, SMALL)
    before = weights(tmp_path)
    listener = Listener()
    train(discs(2), tmp_path, SMALL, resume=True, progress=listener)
    assert "trained already" in listener.texts[0]
    assert weights(tmp_path) == before
    with pytest.raises(InputError, match="epochs: it began with 3, now 4"):
        train(discs(2), tmp_path, replace(SMALL, epochs=4), resume=True)


def test_a_broken_checkpoint_write_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = torch.save
    calls = []

    def fails_the_second_time(state: object, path: Path) -> None:
        calls.append(path)
        saved(state, path)
        if len(calls) == 2:
            raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fails_the_second_time)
    with pytest.raises(UnwritableFileError, match=r"state\.pt: the file cannot be written: no space"):
        train(discs(2), tmp_path, SMALL)
    files = sorted(file.name for file in (tmp_path / "checkpoint").iterdir())
    assert files == ["settings.json", "state.pt"]
    assert len(torch.load(tmp_path / "checkpoint" / "state.pt", weights_only=True)["losses"]) == 1


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A training of which one epoch is complete."""
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path / "model", SMALL, progress=CancelAfter(3))
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["state.pt", "settings.json"])
@pytest.mark.parametrize("damage", [half, lambda _: b"", lambda _: b"\x00" * 4096, lambda _: b"[1, 2]"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(
    interrupted: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    file = interrupted / "checkpoint" / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=rf"{re.escape(name)}.*egin again"):
        train(discs(6), interrupted, SMALL, resume=True)
    train(discs(6), interrupted, SMALL, overwrite=True)


def test_a_checkpoint_of_another_training_is_refused(interrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path / "other", replace(SMALL, seed=1), progress=CancelAfter(3))
    shutil.copy(tmp_path / "other" / "checkpoint" / "state.pt", interrupted / "checkpoint")
    with pytest.raises(InputError, match=r"state\.pt is of another training"):
        train(discs(6), interrupted, SMALL, resume=True)


def test_a_state_that_does_not_fit_is_named(interrupted: Path) -> None:
    file = interrupted / "checkpoint" / "state.pt"
    state = torch.load(file, weights_only=True)
    torch.save({**state, "network": {}}, file)
    with pytest.raises(InputError, match=r"state\.pt: the checkpoint is incomplete"):
        train(discs(6), interrupted, SMALL, resume=True)


def test_a_state_without_its_settings_is_never_taken_up(interrupted: Path, tmp_path: Path) -> None:
    (interrupted / "checkpoint" / "settings.json").unlink()
    other = replace(SMALL, seed=1)
    train(discs(6), interrupted, other, resume=True)
    train(discs(6), tmp_path / "whole", other)
    assert weights(interrupted) == weights(tmp_path / "whole")


def test_a_resumed_training_goes_on_where_its_schedule_was(tmp_path: Path) -> None:
    cosine = replace(SMALL, schedule=Schedule.COSINE, batch_size=1)
    for name, settings in (("constant", replace(cosine, schedule=Schedule.CONSTANT)), ("whole", cosine)):
        train(discs(8), tmp_path / name, settings)
    assert weights(tmp_path / "constant") != weights(tmp_path / "whole")
    with pytest.raises(Cancelled):
        train(discs(8), tmp_path / "cut", cosine, progress=CancelAfter(17))  # in the third epoch
    train(discs(8), tmp_path / "cut", cosine, resume=True)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_resumed_training_takes_up_the_number_of_threads(
    interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU rounds otherwise with another number; what the user says in the environment stays."""
    before = torch.get_num_threads()
    file = interrupted / "checkpoint" / "state.pt"
    state = torch.load(file, weights_only=True)
    assert state["threads"] == before
    torch.save({**state, "threads": before + 1}, file)
    users = shutil.copytree(interrupted, tmp_path / "users")
    monkeypatch.setattr(loop, "cores", lambda: before + 4)
    seen = []
    for folder, variables in ((users, {"OMP_NUM_THREADS": str(before)}), (interrupted, {})):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            train(discs(6), folder, SMALL, resume=True)
            seen.append(torch.get_num_threads())
        finally:
            torch.set_num_threads(before)
    assert seen == [before, before + 1]


def test_a_training_of_an_earlier_version_did_what_settings_that_came_later_do_by_default(
    interrupted: Path, tmp_path: Path
) -> None:
    settings = interrupted / "checkpoint" / "settings.json"
    record = json.loads(settings.read_text(encoding="utf-8"))
    for key in ("schedule", "prior_bias"):
        del record[key]
    settings.write_text(json.dumps(record), encoding="utf-8")
    state = torch.load(interrupted / "checkpoint" / "state.pt", weights_only=True)
    del state["settings_digest"]
    torch.save(state, interrupted / "checkpoint" / "state.pt")
    with pytest.raises(InputError, match="schedule: it began with 'constant', now 'cosine'"):
        train(discs(6), interrupted, replace(SMALL, schedule=Schedule.COSINE), resume=True)
    train(discs(6), interrupted, SMALL, resume=True)
    train(discs(6), tmp_path / "whole", SMALL)
    assert weights(interrupted) == weights(tmp_path / "whole")


def test_the_cases_that_changed_are_named(interrupted: Path) -> None:
    cases = list(discs(6))
    raters = cases[1].raters.copy()
    raters[0] = False
    cases[1] = replace(cases[1], raters=raters)
    cases[4] = replace(cases[4], grid=replace(cases[4].grid, spacing=(1.0, 1.0, 5.0)))
    with pytest.raises(InputError, match=r"of its 6 cases, the images or masks of case02, case05 are not"):
        train(cases, interrupted, SMALL, resume=True)


def test_a_checkpoint_of_an_earlier_version_goes_on_with_a_warning(interrupted: Path, tmp_path: Path) -> None:
    settings, file = (interrupted / "checkpoint" / name for name in ("settings.json", "state.pt"))
    record = json.loads(settings.read_text(encoding="utf-8"))
    for key in ("grids", "sequences", "skull_stripped"):
        del record[key]
    settings.write_text(json.dumps(record), encoding="utf-8")
    state = torch.load(file, weights_only=True)
    del state["settings_digest"]
    torch.save(state, file)
    listener = Listener()
    train(discs(6), interrupted, SMALL, resume=True, progress=listener)
    assert any("kept no fingerprint of grids, sequences, skull_stripped" in text for text in listener.texts)
    train(discs(6), tmp_path / "whole", SMALL)
    assert weights(interrupted) == weights(tmp_path / "whole")


def test_a_finished_training_without_its_own_weights_is_not_called_finished(tmp_path: Path) -> None:
    train(discs(2), tmp_path, SMALL)
    file = tmp_path / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(half(whole))
    with pytest.raises(InputError, match=r"weights\.safetensors holds other weights"):
        train(discs(2), tmp_path, SMALL, resume=True)
    file.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors cannot be read"):
        train(discs(2), tmp_path, SMALL, resume=True)
    # An earlier version kept no fingerprint of them.
    file.write_bytes(whole)
    content = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    del content["weights_digest"]
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    listener = Listener()
    train(discs(2), tmp_path, SMALL, resume=True, progress=listener)
    assert any("carries no fingerprint of the weights" in text for text in listener.texts)
