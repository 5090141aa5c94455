"""Training that starts from a model's weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cancelling import CancelAfter
from cohorts import disc_case, discs
from small_training import SMALL, weights

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.preprocessing import Crop, IntensityNorm, SliceAxis
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.training.train import train

# So small that Adam cannot move a weight by more than this in a step.
STILL = replace(SMALL, epochs=1, learning_rate=1e-9)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "model"
    train(discs(4), folder, replace(SMALL, epochs=40, learning_rate=1e-2), simulated=True)
    return folder


def test_the_first_weights_are_those_of_the_model(model: Path, tmp_path: Path) -> None:
    before = weights(model), (model / "model.json").read_bytes()
    train(discs(4), tmp_path / "on", replace(STILL, seed=5), start_from=model)
    train(discs(4), tmp_path / "new", replace(STILL, seed=5))
    start, on, new = (
        dict(load_model(each)[0].named_parameters()) for each in (model, tmp_path / "on", tmp_path / "new")
    )
    assert all(torch.allclose(on[name], start[name], atol=1e-7) for name in start)
    assert not all(torch.allclose(new[name], start[name], atol=1e-2) for name in start)
    assert (weights(model), (model / "model.json").read_bytes()) == before, "the model is only read"


def test_training_on_begins_near_where_the_model_ended(model: Path, tmp_path: Path) -> None:
    before = read_description(model).training["losses"]
    losses = train(discs(4), tmp_path / "on", SMALL, start_from=model).description.training["losses"]
    assert losses[0] == pytest.approx(before[-1], abs=0.2 * (before[0] - before[-1]))


def test_the_model_keeps_what_it_started_from(model: Path, tmp_path: Path) -> None:
    start = read_description(model)
    new = disc_case(7)
    training = train([new], tmp_path / "on", STILL, start_from=model).description.training
    assert training["start_from"] == start.weights_digest
    assert training["case_images"] == [new.image_digest, *start.training["case_images"]]
    assert training["simulated"], "the weights learned from simulated cases first"
    again = train([new, disc_case(0)], tmp_path / "again", STILL, start_from=tmp_path / "on").description.training
    assert sorted(again["case_images"]) == sorted({*training["case_images"], disc_case(0).image_digest})
    assert start.training["start_from"] is None


def test_a_slice_is_as_wide_as_for_the_model_or_wider(model: Path, tmp_path: Path) -> None:
    rows, columns = read_description(model).preprocessing.minimum_size or (0, 0)
    small = train(discs(2, size=24), tmp_path / "small", STILL, start_from=model).description.preprocessing
    large = train(discs(2, size=48), tmp_path / "large", STILL, start_from=model).description.preprocessing
    assert small.minimum_size == (rows, columns)
    assert large.minimum_size is not None
    assert large.minimum_size > (rows, columns)


def test_few_cases_keep_what_the_model_knows_of_its_images(tmp_path: Path) -> None:
    cases = discs(9, slices=4)
    train(cases[:8], tmp_path / "model", STILL)
    looks = read_description(tmp_path / "model").expects.looks
    assert looks is not None
    train(cases[8:], tmp_path / "on", STILL, start_from=tmp_path / "model")
    assert read_description(tmp_path / "on").expects.looks == looks


def test_training_on_resumes_to_the_same_weights_from_the_same_model_only(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path / "cancelled", SMALL, start_from=model, progress=CancelAfter(3))
    with pytest.raises(InputError, match=r"start_from: it began with '\w{32}', now None"):
        train(discs(6), tmp_path / "cancelled", SMALL, resume=True)
    train(discs(6), tmp_path / "cancelled", SMALL, start_from=model, resume=True)
    train(discs(6), tmp_path / "whole", SMALL, start_from=model)
    assert weights(tmp_path / "cancelled") == weights(tmp_path / "whole")
    with pytest.raises(InputError, match=r"start_from: it began with '\w{32}', now '\w{32}'"):
        train(discs(6), tmp_path / "whole", SMALL, start_from=tmp_path / "cancelled", resume=True)


def test_a_training_of_an_earlier_version_started_from_no_model(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train(discs(6), tmp_path, SMALL, progress=CancelAfter(3))
    settings = tmp_path / "checkpoint" / "settings.json"
    content = json.loads(settings.read_text(encoding="utf-8"))
    assert content.pop("start_from", "none") is None
    settings.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "checkpoint" / "state.pt").unlink()
    with pytest.raises(InputError, match=r"start_from: it began with None, now '\w{32}'"):
        train(discs(6), tmp_path, SMALL, start_from=model, resume=True)
    train(discs(6), tmp_path, SMALL, resume=True)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (replace(SMALL, network=UNetSettings(depth=2, filters=4)), "depth: the model has 1, the training 2"),
        (replace(SMALL, network=UNetSettings(depth=1, filters=8)), "filters: the model has 4, the training 8"),
        (replace(SMALL, network=replace(SMALL.network, dropout=0.5)), "dropout: the model has 0.2, the training 0.5"),
        (replace(SMALL, crop=Crop.NONE), "crop: the model has foreground, the training none"),
        (
            replace(SMALL, intensity_norm=IntensityNorm.IMAGE),
            "intensity_norm: the model has zscore, the training image",
        ),
        (replace(SMALL, slice_axis=SliceAxis.CORONAL), "slice_axis: the model has axial, the training coronal"),
        (replace(SMALL, spacing=(2.0, 1.0)), r"spacing: the model has 1.0, 1.0, the training 2.0, 1.0"),
        (replace(SMALL, prior_bias=True), "the last bias is that of this model"),
    ],
)
def test_another_network_or_preprocessing_is_refused_by_name(
    model: Path, tmp_path: Path, settings: TrainingSettings, text: str
) -> None:
    with pytest.raises(InputError, match=text):
        train(discs(2), tmp_path / "on", settings, start_from=model)
    assert not (tmp_path / "on").exists()


@pytest.mark.parametrize(
    ("case", "text"),
    [
        (disc_case(0, sequences=2), "sequences: the model has S1, the training S1, S2"),
        (replace(disc_case(0), sequences=("T1",)), "sequences: the model has S1, the training T1"),
    ],
)
def test_other_sequences_are_refused_by_name(model: Path, tmp_path: Path, case: Case, text: str) -> None:
    with pytest.raises(InputError, match=text):
        train([case], tmp_path / "on", SMALL, start_from=model)


def test_the_spacing_of_the_model_is_taken_where_none_is_asked_for(model: Path, tmp_path: Path) -> None:
    case = disc_case(0)
    coarse = replace(case, grid=replace(case.grid, spacing=(1.2, 1.2, 3.0)))
    trained = train([coarse], tmp_path / "on", STILL, start_from=model).description
    assert (trained.preprocessing.spacing, trained.expects.in_plane_spacing) == ((1.0, 1.0), (1.2, 1.2))


def test_a_model_is_never_written_over_by_what_starts_from_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model that training starts from"):
        train(discs(2), model, SMALL, start_from=model, overwrite=True)
    (tmp_path / "link").symlink_to(model)
    with pytest.raises(InputError, match="the model that training starts from"):
        train(discs(2), tmp_path / "link", SMALL, start_from=model, overwrite=True)
    assert (model / "weights.safetensors").is_file()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no model"):
        train(discs(2), tmp_path / "on", SMALL, start_from=tmp_path)
