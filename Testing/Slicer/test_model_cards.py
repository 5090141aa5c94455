"""The card of a model, and the model that ships with the module."""

from __future__ import annotations

import json

import pytest

from ObserverUncertaintyLib.model.description import ModelError
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer.modelCards import readCard


def test_the_shipped_model_says_that_it_is_simulated_and_is_small():
    card = readCard(shipped_model())
    assert card.isSimulated
    assert card.lines()[0] == ("Notice", "Simulated data, not for patients.")
    assert card.sequences == ("T1", "T1c", "T2", "FLAIR")
    assert sum(file.stat().st_size for file in shipped_model().iterdir()) < 6_000_000


def test_the_card_tells_what_a_user_must_know():
    card = dict(readCard(shipped_model()).lines())
    assert card["Structure"] == "resection cavity"
    assert card["Expects"] == "in-plane 1.49 × 1.49 mm, slices 3.45 mm apart, brain only"
    assert "240 cases" in card["Training set"]
    assert "50 epochs" in card["Training set"]
    assert card["Fusion"].startswith("none")
    assert card["Network"] == "4 poolings, 12 filters, dropout 0.2"


def test_one_line_says_what_it_segments_and_needs_in_plain_words():
    summary = readCard(shipped_model()).summary()
    assert summary == "Segments: resection cavity. Needs: T1c. Better with: T1, T2, FLAIR."


def test_what_may_be_missing_is_told_apart_from_what_is_needed(tmp_path):
    content = json.loads((shipped_model() / "model.json").read_text(encoding="utf-8"))
    content["may_be_missing"] = ["T1", "FLAIR"]
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    card = readCard(tmp_path)
    assert card.needed == ("T1c", "T2")
    assert card.summary() == "Segments: resection cavity. Needs: T1c, T2. Better with: T1, FLAIR."
    assert dict(card.lines())["Sequences"] == "T1, T1c, T2, FLAIR; T1, FLAIR may be missing"


def test_a_model_of_other_data_has_no_notice(tmp_path):
    content = json.loads((shipped_model() / "model.json").read_text(encoding="utf-8"))
    content["training"]["simulated"] = False
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    card = readCard(tmp_path)
    assert not card.isSimulated
    assert "Notice" not in dict(card.lines())


def test_a_folder_without_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=f"{tmp_path.name} holds no model"):
        readCard(tmp_path)
