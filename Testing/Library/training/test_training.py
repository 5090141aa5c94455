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

import numpy as np
import pytest
import torch
from cancelling import CancelAfter
from cohorts import discs, write_discs
from safetensors.torch import load_file
from torch.nn import functional
from waiting import wait_for

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, UnwritableFileError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model.description import begun_training
from ObserverUncertaintyLib.model.preprocessing import Crop, Preprocessing
from ObserverUncertaintyLib.model.settings import Augmentation, Loss, Schedule, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie
from ObserverUncertaintyLib.training import loop
from ObserverUncertaintyLib.training.loop import TrainingError
from ObserverUncertaintyLib.training.slices import expectations, prepare_slices
from ObserverUncertaintyLib.training.step import scheduled_rate, training_loss
from ObserverUncertaintyLib.training.train import train

SMALL = TrainingSettings(epochs=3, network=UNetSettings(depth=1, filters=4))


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


class Listener(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.steps = self.done = 0
        self.texts: list[str] = []

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.task, self.steps, self.done = task, steps, done

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self.done, self.detail = self.done + steps, detail

    def message(self, text: str) -> None:
        self.texts.append(text)

    warning = message


def test_the_loss_falls_and_the_model_folder_is_complete(tmp_path: Path) -> None:
    result = train(
        discs(4),
        tmp_path / "model",
        replace(SMALL, network=UNetSettings(depth=1, filters=8), epochs=20, batch_size=1, learning_rate=1e-2),
        cohort_name="Discs",
        label="disc",
        simulated=True,
    )
    losses = result.description.training["losses"]
    assert losses[-1] < 0.6 * losses[0]
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]
    content = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert content["training"]["raters"] == ["rater1", "rater2", "rater3"]
    assert content["training"]["fusion"] == "none"
    assert content["training"]["cohort"] == "Discs"
    assert content["training"]["simulated"] is True
    assert content["label"] == "disc"
    assert "Research use only" in content["notice"]


def test_same_seed_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(discs(2), tmp_path / name, replace(SMALL, seed=seed))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


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


def test_a_folder_with_files_is_refused_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        train(discs(2), tmp_path, SMALL)
    train(discs(2), tmp_path, SMALL, overwrite=True)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


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


def test_cross_entropy_equals_the_closed_form_for_soft_targets() -> None:
    logits, target = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    p = torch.sigmoid(logits)
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    assert float(training_loss(logits, target, Loss.CROSS_ENTROPY)) == pytest.approx(float(expected), rel=1e-5)


def test_dice_loss_is_near_zero_for_a_perfect_prediction_and_the_sum_adds_both() -> None:
    target = (torch.rand(1, 1, 16, 16) > 0.5).float()
    logits = (target - 0.5) * 80
    assert float(training_loss(logits, target, Loss.DICE)) == pytest.approx(0, abs=1e-6)
    logits = torch.randn_like(target)
    parts = [float(training_loss(logits, target, loss)) for loss in (Loss.CROSS_ENTROPY, Loss.DICE, Loss.SUM)]
    assert parts[0] + parts[1] == pytest.approx(parts[2], rel=1e-5)
    assert parts[0] == pytest.approx(float(functional.binary_cross_entropy_with_logits(logits, target)))


def test_a_loss_that_is_no_number_ends_training_with_advice(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="learning rate"):
        train(discs(2), tmp_path, replace(SMALL, learning_rate=1e30, epochs=20))


def test_the_soft_mean_and_every_fusion_train(tmp_path: Path) -> None:
    for fusion in FusionMethod:
        result = train(discs(2), tmp_path / fusion, replace(SMALL, fusion=fusion, epochs=1))
        assert np.isfinite(result.description.training["losses"]).all()


def test_flip_augmentation_changes_the_weights_only_when_asked_for(tmp_path: Path) -> None:
    train(discs(2), tmp_path / "none", SMALL)
    train(discs(2), tmp_path / "flip", replace(SMALL, augmentation=Augmentation.FLIP))
    assert weights(tmp_path / "none") != weights(tmp_path / "flip")


def test_an_epoch_sees_as_many_background_slices_as_asked_for(tmp_path: Path) -> None:
    cases = [replace(case, raters=case.raters & (np.arange(6) == 2)[:, None, None]) for case in discs(4, slices=6)]
    steps = {}
    for ratio in (None, 0.0, 1.0, 2.5, 99.0):
        listener = Listener()
        settings = replace(SMALL, epochs=1, batch_size=1, background_slices=ratio)
        result = train(cases, tmp_path / str(ratio), settings, progress=listener)
        assert listener.done == listener.steps == result.description.training["steps"]
        steps[ratio] = listener.steps
    # Four slices with the structure, twenty without.
    assert steps == {None: 24, 0.0: 4, 1.0: 8, 2.5: 14, 99.0: 24}


def test_the_last_bias_begins_at_the_share_of_foreground_that_an_epoch_sees(tmp_path: Path) -> None:
    cases = [replace(case, raters=case.raters & (np.arange(6) == 2)[:, None, None]) for case in discs(4, slices=6)]
    # So small a learning rate that the first step leaves the bias where it began.
    settings = replace(SMALL, epochs=1, learning_rate=1e-9, crop=Crop.NONE, prior_bias=True)
    for ratio, slices in ((None, 24), (1.0, 8)):
        train(cases, tmp_path / str(ratio), replace(settings, background_slices=ratio))
        share = np.mean([case.raters[:, 2] for case in cases]) * len(cases) / slices
        bias = load_file(tmp_path / str(ratio) / "weights.safetensors")["classifier.bias"]
        assert float(bias) == pytest.approx(np.log(share / (1 - share)), abs=1e-4)


def test_without_foreground_there_is_no_prior_to_begin_at(tmp_path: Path) -> None:
    empty = [replace(case, raters=np.zeros_like(case.raters)) for case in discs(2)]
    train(empty, tmp_path / "with", replace(SMALL, prior_bias=True))
    train(empty, tmp_path / "without", SMALL)
    assert weights(tmp_path / "with") == weights(tmp_path / "without")


def test_validation_loss_is_recorded_and_decides_nothing(tmp_path: Path) -> None:
    train(discs(2), tmp_path / "without", SMALL)
    result = train(discs(2), tmp_path / "with", SMALL, validation=discs(4)[2:])
    assert len(result.description.training["validation_losses"]) == 3
    assert weights(tmp_path / "with") == weights(tmp_path / "without")


def test_cases_with_other_sequences_are_refused(tmp_path: Path) -> None:
    cases = [*discs(1), *discs(2, sequences=2)[1:]]
    with pytest.raises(InputError, match=r"case02 has the sequences S1, S2, case01 has S1"):
        train(cases, tmp_path, SMALL)


def test_2d_beside_3d_and_a_case_without_raters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2-D are: case01"):
        train([*discs(1), *discs(2, slices=3)[1:]], tmp_path / "a", SMALL)
    (case,) = discs(1)
    with pytest.raises(InputError, match="case01 has no rater"):
        train([Case(case.name, case.grid, case.sequences, case.images)], tmp_path / "b", SMALL)


def test_a_single_rater_without_fusion_is_warned_about(tmp_path: Path) -> None:
    listener = Listener()
    train(discs(2, raters=1), tmp_path, replace(SMALL, epochs=1), progress=listener)
    assert "no disagreement to learn" in listener.texts[0]


def test_no_case_name_or_path_is_kept_in_the_model(tmp_path: Path) -> None:
    cases = [replace(case, name=f"patient-{n}") for n, case in enumerate(discs(2))]
    train(cases, tmp_path, SMALL)
    text = (tmp_path / "model.json").read_text(encoding="utf-8")
    assert "patient-" not in text
    assert str(tmp_path) not in text


def test_slices_of_several_sizes_are_widened_around_their_content() -> None:
    small, large = discs(1, size=24)[0], discs(2, size=32)[1]
    slices, preprocessing = prepare_slices(
        [small, large], Preprocessing(crop=Crop.NONE), 3, FusionMethod.NONE, Tie.BACKGROUND
    )
    assert slices.images.shape == (2, 1, 32, 32)
    assert preprocessing.minimum_size == (32, 32)
    inner = slices.labels[0, :, 4:28, 4:28].numpy().astype(bool)
    assert np.array_equal(inner, small.raters[:, 0])
    assert slices.labels[0].sum() == small.raters.sum()
    assert slices.label_counts.tolist() == [3, 3]


def test_prediction_sees_a_case_exactly_as_training_did(tmp_path: Path) -> None:
    small, large = discs(1, size=24)[0], discs(2, size=33)[1]
    settings = replace(SMALL, crop=Crop.NONE, network=UNetSettings(depth=2, filters=4))
    preprocessing = train([small, large], tmp_path, settings).description.preprocessing
    slices, _ = prepare_slices([small, large], Preprocessing(crop=Crop.NONE), 2, FusionMethod.NONE, Tie.BACKGROUND)
    assert preprocessing.minimum_size == (36, 36), "33 rounded up to what two poolings divide"
    seen = replace(preprocessing, spacing=None).prepare(small).images
    assert np.array_equal(seen, slices.images[:1].numpy())


def test_a_missing_rater_is_never_drawn_as_an_empty_mask() -> None:
    two, three = discs(1, raters=2)[0], discs(2)[1]
    slices, _ = prepare_slices([two, three], Preprocessing(crop=Crop.NONE), 2, FusionMethod.NONE, Tie.BACKGROUND)
    assert slices.label_counts.tolist() == [2, 3]


def test_expectations_are_the_medians_of_the_cases() -> None:
    cases = discs(3, slices=4)
    expected = expectations(cases, TrainingSettings().slice_axis, skull_stripped=True)
    assert (expected.dimension, expected.in_plane_spacing, expected.slice_distance) == (3, (1.0, 1.0), 3.0)


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


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    assert [scheduled_rate(0.2, Schedule.CONSTANT, step, 4) for step in range(4)] == [0.2] * 4
    # cos of 0, 60 and 90 degrees is 1, one half and 0.
    assert scheduled_rate(0.2, Schedule.COSINE, 0, 6) == 0.2
    assert scheduled_rate(0.2, Schedule.COSINE, 2, 6) == pytest.approx(0.15)
    assert scheduled_rate(0.2, Schedule.COSINE, 3, 6) == pytest.approx(0.1)


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
