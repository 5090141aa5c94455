"""Learning from corrections: from reviews to a new model beside the old one, and to what was gained and lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cancelling import CancelAfter
from cohorts import write_discs
from reviewing import save_review

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.learning import Learned, learn_from_reviews
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import (
    Augmentation,
    LearningSettings,
    Schedule,
    TrainingSettings,
    UNetSettings,
)
from ObserverUncertaintyLib.raters.fusion import FusionMethod, majority
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.training.train import train

SMALL = TrainingSettings(epochs=3, network=UNetSettings(depth=1, filters=4))
BRIEF = LearningSettings(epochs=2, samples=5)
TRAINED_ON = ("case01", "case02", "case03")
REVIEW = "reviewed by Dr. A"

Learn = Callable[..., Learned]


class Listener(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    warning = message


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 8, slices=3)


@pytest.fixture(scope="module")
def model(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    cases = Cohort.open(manifest, TRAINED_ON).load_all()
    settings = replace(SMALL, prior_bias=True, augmentation=Augmentation.FLIP)
    train(cases, folder, settings, label="disc")
    return folder


@pytest.fixture
def reviews(manifest: Path, model: Path, tmp_path: Path) -> Path:
    """Two cases that a reviewer drew as they are, one of which the model was trained on."""
    fingerprint = read_description(model).weights_digest
    for name in ("case01", "case04"):
        case = Cohort.open(manifest).load(name)
        assert case.truth is not None
        save_review(tmp_path / "reviews" / name / "a.nrrd", case.truth, case.grid, Model=fingerprint)
    return tmp_path / "reviews"


@pytest.fixture
def learn(manifest: Path, model: Path, reviews: Path, tmp_path: Path) -> Learn:
    def call(settings: LearningSettings = BRIEF, out: str = "out", **more: Any) -> Learned:
        given: dict[str, Any] = {"manifest": manifest, "reviews": reviews, "model": model, "folder": tmp_path / out}
        return learn_from_reviews(settings=settings, device="cpu", **(given | more))

    return call


def test_the_new_model_learned_what_was_corrected_and_the_old_one_is_as_it_was(
    learn: Learn, model: Path, tmp_path: Path
) -> None:
    before = {file.name: file.read_bytes() for file in model.iterdir()}
    learned = learn(LearningSettings(epochs=20, learning_rate=1e-2, samples=5))
    comparison = learned.comparison
    assert comparison.gain > 0.3, "the old model had hardly begun to learn"
    assert comparison.loss < -0.3
    assert {file.name: file.read_bytes() for file in model.iterdir()} == before
    assert [each.case for each in comparison.corrected] == ["case01", "case04"]
    assert [each.case for each in comparison.others] == list(learned.held_out)
    cohort = Cohort.open(tmp_path / "out" / "cohort" / "cohort.toml")
    for each in comparison.cases:
        case = cohort.load(each.case)
        drawn = case.raters[case.rater_names.index(REVIEW)] if each.corrected else majority(case.raters)
        for which, scores in (("before", each.before), ("after", each.after)):
            found = read_mask(tmp_path / "out" / "predictions" / which / each.case / "segmentation.nii.gz").array
            assert scores.dice == pytest.approx(dice(found, drawn))
    content = json.loads(learned.comparison_file.read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(comparison.to_json()))
    assert learned.comparison_file == tmp_path / "out" / "comparison.json"


def test_the_new_model_says_what_it_was_made_from(learn: Learn, model: Path) -> None:
    learned, old = learn(), read_description(model)
    new = read_description(learned.model)
    assert new.training["start_from"] == old.weights_digest
    assert new.training["raters"] == ["rater1", "rater2", "rater3", REVIEW]
    assert len(new.training["cases"]) == 8 - len(learned.held_out)
    assert (new.training["epochs"], new.training["learning_rate"]) == (2, BRIEF.learning_rate)
    assert (new.training["schedule"], new.training["prior_bias"]) == (Schedule.CONSTANT, False)
    kept = ("fusion", "batch_size", "augmentation", "loss", "depth", "filters", "slice_axis", "crop", "label")
    assert {key: new.training[key] for key in kept} == {key: old.training[key] for key in kept}
    assert replace(new.preprocessing, minimum_size=None) == replace(old.preprocessing, minimum_size=None)
    assert new.training["simulated"] is True


def test_a_quarter_of_the_others_is_held_out_and_first_what_no_model_was_trained_on(
    learn: Learn, manifest: Path
) -> None:
    learned = learn()
    assert len(learned.held_out) == round(6 / 4)
    assert set(learned.held_out) <= {"case05", "case06", "case07", "case08"}
    digests = read_description(learned.model).training["case_images"]
    held_out = Cohort.open(manifest, learned.held_out).load_all()
    assert not {case.image_digest for case in held_out} & set(digests)
    assert "The old model was trained on none of them." in learned.comparison.sentence()


def test_cases_to_hold_out_may_be_named(learn: Learn) -> None:
    learned = learn(replace(BRIEF, held_out=("case03", "case08")))
    assert learned.held_out == ("case03", "case08")
    known = {each.case: each.in_old_training for each in learned.comparison.cases}
    assert known == {"case01": True, "case04": False, "case03": True, "case08": False}
    assert "The old model was trained on 1 of them, which is in its favour." in learned.comparison.sentence()


def test_with_nothing_held_out_the_others_are_judged_although_they_are_trained_on(learn: Learn) -> None:
    learned = learn(replace(BRIEF, held_out=()))
    assert learned.held_out == ()
    assert len(learned.comparison.others) == 6
    assert all(each.trained_on for each in learned.comparison.cases)
    assert "6 of which it was trained on too" in learned.comparison.sentence()


@pytest.mark.parametrize(
    ("name", "text"),
    [("case09", "no such case: case09"), ("case01", "case01 was corrected"), ("case08", "case08 has no rater")],
)
def test_what_cannot_be_held_out_is_refused_by_name(
    learn: Learn, manifest: Path, tmp_path: Path, name: str, text: str
) -> None:
    copy = Path(shutil.copytree(manifest.parent, tmp_path / "copy")) / "cohort.toml"
    for rater in (1, 2, 3):
        (copy.parent / "case08" / f"rater{rater}.nii.gz").unlink()
    with pytest.raises(InputError, match=text):
        learn(replace(BRIEF, held_out=(name,)), manifest=copy)


def test_cases_that_nobody_drew_in_are_left_out_and_a_review_may_be_the_only_contour(
    learn: Learn, manifest: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(manifest.parent, tmp_path / "copy")) / "cohort.toml"
    for name in ("case04", "case08"):
        for rater in (1, 2, 3):
            (copy.parent / name / f"rater{rater}.nii.gz").unlink()
    learned = learn(manifest=copy)
    assert [each.case for each in learned.comparison.corrected] == ["case01", "case04"]
    assert "case08" not in [each.case for each in learned.comparison.cases]
    assert "left out, since nobody drew in them: case08" in learned.comparison.notes


def with_cases(manifest: Path, cases: list[str]) -> Path:
    """A manifest of some of the cases."""
    text = manifest.read_text(encoding="utf-8")
    all_of_them = json.dumps([f"case{n:02d}" for n in range(1, 9)])
    assert all_of_them in text
    few = manifest.with_name(f"{len(cases)}.toml")
    few.write_text(text.replace(all_of_them, json.dumps(cases)), encoding="utf-8")
    return few


def test_a_cohort_of_corrected_cases_alone_says_that_nothing_is_known_of_others(learn: Learn, manifest: Path) -> None:
    learned = learn(manifest=with_cases(manifest, ["case01", "case04"]))
    assert learned.held_out == ()
    assert "what was lost elsewhere is not known" in learned.comparison.sentence()


def test_what_the_user_should_know_is_told(learn: Learn, manifest: Path, reviews: Path, tmp_path: Path) -> None:
    case = Cohort.open(manifest).load("case04")
    save_review(reviews / "case04" / "old.nrrd", case.raters[0], case.grid, corrected="2020-01-01T00:00:00")
    save_review(reviews / "case05" / "a.nrrd", case.raters[0], case.grid, "ben", Model="another")
    cases = Cohort.open(manifest, TRAINED_ON).load_all()
    train(cases, tmp_path / "fused", replace(SMALL, fusion=FusionMethod.MAJORITY), label="ball")
    listener = Listener()
    learned = learn(model=tmp_path / "fused", progress=listener)
    assert learned.comparison.notes == (
        "case04/old.nrrd does not count: Dr. A reviewed case04 again later, in a.nrrd",
        "3 of 3 reviews are not of this model's segmentation, but of another model's or another contour: "
        "case01 by Dr. A, case04 by Dr. A, case05 by ben",
        "the model learns from all raters of a case fused by majority: a review is one vote among theirs",
        'the model segments "ball", the cohort\'s raters drew "disc"',
    )
    assert set(learned.comparison.notes) <= set(listener.texts)
    assert not any("has no file" in text for text in listener.texts), "a reviewer is missed in no other case"


def test_a_learning_that_was_stopped_goes_on_to_the_same_model(learn: Learn, manifest: Path, tmp_path: Path) -> None:
    few = with_cases(manifest, ["case01", "case04", "case05", "case06"])
    total = CancelAfter(10**6)
    whole = learn(manifest=few, out="whole", progress=total)
    steps = 10**6 - total.left
    for number in (6, steps // 3, steps - 2):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with pytest.raises(Cancelled):
            learn(manifest=few, progress=CancelAfter(number))
        with pytest.raises(InputError, match="is not empty"):
            learn(manifest=few)
        resumed = learn(manifest=few, resume=True)
        assert weights(resumed.model) == weights(whole.model)
        assert resumed.comparison == whole.comparison


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_going_on_with_other_reviews_or_settings_is_refused_before_anything_is_written(
    learn: Learn, manifest: Path, reviews: Path, tmp_path: Path
) -> None:
    learn()
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match="epochs: it began with 2, now 3"):
        learn(replace(BRIEF, epochs=3), resume=True)
    with pytest.raises(InputError, match="held_out: it began with None, now "):
        learn(replace(BRIEF, held_out=("case08",)), resume=True)
    case = Cohort.open(manifest).load("case04")
    save_review(reviews / "case04" / "later.nrrd", case.raters[0], case.grid, corrected="2030-01-01T00:00:00")
    with pytest.raises(InputError, match=f"reviews.case04 {REVIEW}: it began with "):
        learn(resume=True)
    assert contents(tmp_path / "out") == before


def test_no_folder_of_the_users_is_gone_on_in(learn: Learn, manifest: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    copy = Path(shutil.copytree(manifest.parent, study / "cohort")) / "cohort.toml"
    (copy.parent / "reviewed").mkdir()
    (copy.parent / "reviewed" / "notes.txt").write_text("mine", encoding="utf-8")
    before = contents(study)
    with pytest.raises(InputError, match="holds no learning that can go on"):
        learn(folder=study, resume=True)
    with pytest.raises(InputError, match=r"cohort\.toml \(the manifest\) lies in"):
        learn(manifest=copy, folder=study, resume=True)
    assert contents(study) == before


@pytest.mark.parametrize("what", ["held out", "sequences", "weights", "reviews"])
def test_what_is_refused_leaves_nothing_that_blocks_the_corrected_call(
    learn: Learn, model: Path, reviews: Path, tmp_path: Path, what: str
) -> None:
    given: dict[str, Any] = {}
    if what == "held out":
        given["settings"] = replace(BRIEF, held_out=("case99",))
    elif what == "sequences":
        given["manifest"] = write_discs(tmp_path / "more", 8, slices=3)
        text = given["manifest"].read_text(encoding="utf-8").replace("S1 = ", "T1 = ")
        given["manifest"].write_text(text, encoding="utf-8")
    elif what == "weights":
        given["model"] = Path(shutil.copytree(model, tmp_path / "damaged"))
        weights_file = given["model"] / "weights.safetensors"
        weights_file.write_bytes(weights_file.read_bytes()[:-100])
    else:
        given["reviews"] = Path(shutil.copytree(reviews, tmp_path / "others"))
        (given["reviews"] / "case04").rename(given["reviews"] / "case77")
    with pytest.raises(InputError):
        learn(**given)
    assert learn().comparison.corrected


def test_the_old_model_is_never_written_into(learn: Learn, model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "copy" / "model"))
    for folder in (copy, copy.parent):
        with pytest.raises(InputError, match="the model that learns"):
            learn(model=copy, folder=folder, resume=True)
    assert sorted(file.name for file in copy.iterdir()) == ["model.json", "weights.safetensors"]


def test_other_sequences_than_the_models_are_refused_and_further_ones_left_out(learn: Learn, tmp_path: Path) -> None:
    more = write_discs(tmp_path / "more", 8, slices=3, sequences=2)
    assert learn(manifest=more, out="more-out").comparison.corrected
    assert read_description(tmp_path / "more-out" / "model").sequences == ("S1",)
    text = more.read_text(encoding="utf-8").replace("S1 = ", "T1 = ")
    more.with_name("other.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"has the sequences T1, S2, and .* was trained on S1: S1 is missing"):
        learn(manifest=more.with_name("other.toml"))


def test_a_model_that_does_not_say_how_it_was_trained_is_refused(learn: Learn, model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    content = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    content["training"]["fusion"] = "magic"
    (copy / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="does not say how the model was trained: 'magic'"):
        learn(model=copy)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"epochs": 0}, "epochs 0, expected 1 or more"),
        ({"samples": 0}, "samples 0"),
        ({"batch_size": 0}, "a batch size of 0"),
        ({"learning_rate": 0.0}, "the learning rate 0.0, expected a number above 0"),
        ({"learning_rate": float("nan")}, "the learning rate nan"),
        ({"seed": -1}, "the seed -1"),
    ],
)
def test_settings_that_nothing_can_be_learned_with_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        LearningSettings(**values)
