"""Training: what it learns, sees, keeps and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cohorts import discs
from safetensors.torch import load_file
from small_training import SMALL, Listener, weights
from torch.nn import functional

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.preprocessing import Crop, Preprocessing
from ObserverUncertaintyLib.model.settings import Augmentation, Loss, Schedule, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie
from ObserverUncertaintyLib.training.loop import TrainingError
from ObserverUncertaintyLib.training.slices import expectations, prepare_slices
from ObserverUncertaintyLib.training.step import scheduled_rate, training_loss
from ObserverUncertaintyLib.training.train import train


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
    modes = {file.stat().st_mode for file in (tmp_path / "model").iterdir()}
    assert len(modes) == 1, "who may read the description may read the weights"
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


def test_a_folder_with_files_is_refused_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        train(discs(2), tmp_path, SMALL)
    train(discs(2), tmp_path, SMALL, overwrite=True)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


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


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    assert [scheduled_rate(0.2, Schedule.CONSTANT, step, 4) for step in range(4)] == [0.2] * 4
    # cos of 0, 60 and 90 degrees is 1, one half and 0.
    assert scheduled_rate(0.2, Schedule.COSINE, 0, 6) == 0.2
    assert scheduled_rate(0.2, Schedule.COSINE, 2, 6) == pytest.approx(0.15)
    assert scheduled_rate(0.2, Schedule.COSINE, 3, 6) == pytest.approx(0.1)
