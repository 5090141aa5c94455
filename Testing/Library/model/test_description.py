from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cohorts import discs

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.description import ModelDescription, ModelError, begun_training, read_description
from ObserverUncertaintyLib.model.preprocessing import SliceAxis
from ObserverUncertaintyLib.model.settings import DropoutKind, FeatureNorm, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.training.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(
        epochs=1,
        network=UNetSettings(
            depth=1, filters=4, dropout=0.3, dropout_kind=DropoutKind.CHANNEL, feature_norm=FeatureNorm.INSTANCE
        ),
        slice_axis=SliceAxis.CORONAL,
    )
    train(discs(2, slices=4, size=16, sequences=2), folder, settings, skull_stripped=True)
    return folder


def test_description_survives_the_file(model: Path) -> None:
    description = read_description(model)
    assert ModelDescription.from_json(json.loads(json.dumps(description.to_json()))) == description
    assert description.preprocessing.slice_axis is SliceAxis.CORONAL
    assert description.architecture.dropout_kind is DropoutKind.CHANNEL
    assert description.sequences == ("S1", "S2")
    assert description.expects.skull_stripped is True


def test_loaded_network_is_the_one_that_was_described(model: Path) -> None:
    network, description = load_model(model)
    assert not network.training
    assert network.settings == description.architecture
    assert network(torch.zeros(1, 2, 16, 16)).shape == (1, 1, 16, 16)


def test_description_is_read_without_torch_or_safetensors(model: Path) -> None:
    code = (
        "import sys; from ObserverUncertaintyLib.model.description import read_description; "
        f"read_description({str(model)!r}); print([m for m in ('torch', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


def test_folder_without_a_model_and_an_unfinished_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Give the folder of a trained model"):
        read_description(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(ModelError, match="not finished"):
        read_description(tmp_path)


def test_what_a_training_began_with_is_read_whether_it_is_finished_or_not(model: Path, tmp_path: Path) -> None:
    assert begun_training(tmp_path) is None
    assert begun_training(model) == read_description(model).training
    (tmp_path / "checkpoint").mkdir()
    settings = tmp_path / "checkpoint" / "settings.json"
    settings.write_text('{"epochs": 7}', encoding="utf-8")
    assert begun_training(tmp_path) == {"epochs": 7}
    settings.write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="Begin again"):
        begun_training(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not json", "cannot be read"),
        ("[]", "describes no model"),
        ('{"format": "other"}', "describes no model"),
        ('{"format": "observer-uncertainty model", "format_version": 99}', "format version 99"),
        ('{"format": "observer-uncertainty model", "format_version": 1}', "damaged"),
    ],
)
def test_wrong_descriptions_are_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "model.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=expected) as raised:
        read_description(tmp_path)
    assert "model.json" in str(raised.value)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda _: b"", lambda _: b"\x80\x04pickle"])
def test_damaged_weights_are_refused_and_never_run(model: Path, tmp_path: Path, damage: object) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = (model / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(damage(data))  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"weights\.safetensors"):
        load_model(tmp_path)


def test_weights_of_another_architecture_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes((model / "weights.safetensors").read_bytes())
    content = json.loads((model / "model.json").read_text(encoding="utf-8"))
    content["architecture"]["filters"] = 8
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match="no weights for the network"):
        load_model(tmp_path)


def case_of(description: ModelDescription, spacing: tuple[float, float, float]) -> Case:
    grid = Grid((8, 8, 8), spacing)
    return Case("new", grid, description.sequences, np.ones((2, 8, 8, 8), np.float32))


def test_a_missing_sequence_is_refused_by_name(model: Path) -> None:
    description = read_description(model)
    case = replace(case_of(description, (1.0, 3.0, 1.0)), sequences=("S1", "other"))
    with pytest.raises(ModelError, match=r"S2 is missing"):
        description.check_case(case)


def test_spacing_far_from_training_is_warned_about_and_farther_refused(model: Path) -> None:
    # Trained on coronal slices of 1 x 3 mm pixels (left, superior), 1 mm apart (posterior).
    description = read_description(model)
    assert description.expects.in_plane_spacing == (3.0, 1.0)
    assert description.check_case(case_of(description, (1.0, 1.0, 3.0))) == []
    (warning,) = description.check_case(case_of(description, (2.0, 1.0, 3.0)))
    assert "in-plane spacing of 3 x 2 mm, the training images 3 x 1 mm" in warning
    (warning,) = description.check_case(case_of(description, (1.0, 5.0, 3.0)))
    assert "slices 5 mm apart" in warning
    with pytest.raises(ModelError, match="too far apart"):
        description.check_case(case_of(description, (5.0, 1.0, 3.0)))


def test_other_skull_stripping_and_dimension_are_warned_about(model: Path) -> None:
    description = read_description(model)
    (warning,) = description.check_case(case_of(description, (1.0, 1.0, 3.0)), skull_stripped=False)
    assert "whole head" in warning
    flat = Case("flat", Grid((8, 8, 1), (1.0, 3.0, 1.0), dimension=2), ("S1", "S2"), np.ones((2, 1, 8, 8), np.float32))
    (warning,) = description.check_case(flat)
    assert "2-D" in warning
