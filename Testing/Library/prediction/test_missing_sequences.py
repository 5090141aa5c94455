"""A model that was trained to do without some of its sequences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cohorts import disc_case, discs, write_discs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.model.description import ModelError, read_description
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.training.loop import TrainingRun
from ObserverUncertaintyLib.training.train import train

SETTINGS = TrainingSettings(
    epochs=2, network=UNetSettings(depth=1, filters=4), batch_size=2, may_be_missing=("S1", "S3")
)
SAMPLES = PredictionSettings(samples=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    train(discs(4, sequences=3), folder, SETTINGS, device="cpu")
    return folder


def test_training_leaves_out_from_none_to_all_of_them_each_number_as_often(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, SETTINGS, torch.device("cpu"), Progress())
    run.sequences = ("S1", "S2", "S3")
    left_out = run._sequences_left_out(6000, np.random.default_rng(0))
    assert left_out is not None
    counts = left_out.sum(dim=1).bincount() / 6000
    assert counts.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    # S2 never; each of the others in all slices that lose both and in half of those that lose one.
    assert (left_out.float().mean(dim=0)).tolist() == pytest.approx([0.5, 0, 0.5], abs=0.02)


def test_a_missing_sequence_is_predicted_as_the_mean_everywhere(folder: Path) -> None:
    """As if the network were given zeros there, and not as any other image."""
    network, description = load_model(folder)
    whole = disc_case(9, sequences=3)
    without = whole.with_sequences(["S2", "S3"])
    prediction = predict(network, description, without, SAMPLES)
    assert prediction.warnings[0].startswith("case10 has no S1: the model was trained to do without")

    prepared = description.preprocessing.prepare(whole).images
    seen: list[torch.Tensor] = []
    handle = network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    try:
        predict(network, description, without, SAMPLES)
    finally:
        handle.remove()
    if seen:  # a CPU runs a copy with other layers
        assert np.array_equal(seen[0].numpy()[:, 1:], prepared[: len(seen[0]), 1:])
        assert not seen[0][:, 0].any()
    assert not np.allclose(prediction.probability, predict(network, description, whole, SAMPLES).probability)
    # The order in which a case has its images is nothing to the model.
    swapped = whole.with_sequences(["S3", "S2"])
    assert np.array_equal(predict(network, description, swapped, SAMPLES).probability, prediction.probability)


def test_what_may_not_be_missing_is_refused(folder: Path) -> None:
    description = read_description(folder)
    assert description.may_be_missing == ("S1", "S3")
    case = disc_case(9, sequences=3).with_sequences(["S1", "S3"])
    with pytest.raises(ModelError, match=r"S1, S2, S3 \(of which S1, S3 may be missing\).*S2 is missing"):
        description.check_case(case)


@pytest.mark.parametrize(
    ("names", "said"),
    [(("S1", "T9"), "T9 may be missing, but the cases have S1, S2, S3 only"), (("S1", "S2", "S3"), "leaves nothing")],
)
def test_settings_that_cannot_be_are_refused_before_the_work(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        train(discs(2, sequences=3), tmp_path / "m", replace(SETTINGS, may_be_missing=names), device="cpu")
    assert not (tmp_path / "m").exists()


def test_a_description_in_which_all_may_be_missing_is_damaged(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for names in (["S1", "S2", "S3"], ["T9"]):
        (tmp_path / "model.json").write_text(json.dumps({**content, "may_be_missing": names}), encoding="utf-8")
        with pytest.raises(ModelError, match="is damaged"):
            read_description(tmp_path)
    del content["may_be_missing"]  # a model of an earlier version
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_description(tmp_path).may_be_missing == ()


def test_the_report_says_which_were_missing_and_a_case_that_got_one_is_predicted_again(
    folder: Path, tmp_path: Path
) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 1, sequences=3))
    out = tmp_path / "out"

    def predict_with(*sequences: str, named: tuple[str, ...] | None = None) -> dict[str, Any]:
        def load(name: str) -> Case:
            return replace(cohort.load_images(name).with_sequences(sequences), sequences=named or sequences)

        predict_cases(folder, cohort.case_names, load, out, SAMPLES, device="cpu", resume=True)
        report: dict[str, Any] = json.loads((out / "case01" / "prediction.json").read_text(encoding="utf-8"))
        return report

    first = predict_with("S2")
    assert (first["sequences"], first["missing_sequences"]) == (["S2"], ["S1", "S3"])
    assert any("has no S1, S3" in text for text in first["warnings"])
    again = predict_with("S1", "S2", "S3")
    assert (again["sequences"], again["missing_sequences"]) == (["S1", "S2", "S3"], [])
    assert again["made_from"] != first["made_from"]
    # The same images under other names are another case.
    both = predict_with("S1", "S2")
    renamed = predict_with("S1", "S2", named=("S3", "S2"))
    assert renamed["missing_sequences"] == ["S1"]
    assert renamed["mean_entropy"] != both["mean_entropy"]
