"""A cohort: the cases of a manifest."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import (
    GRID,
    OTHER,
    RESAMPLE,
    ball,
    hard_link,
    head,
    link,
    save,
    save_cohort,
)

from ObserverUncertaintyLib.base.errors import Cancelled
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest import ManifestError
from ObserverUncertaintyLib.jobs import Progress


def test_a_rater_who_is_missing_in_one_case_is_warned_about_there(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]}))
    assert (cohort.name, cohort.sequences, cohort.case_names) == ("Study", ("T1",), ("p1", "p2"))
    assert cohort.load("p1").warnings == ()
    second = cohort.load("p2")
    assert second.rater_names == ("ben",)
    assert second.warnings == ("p2: rater anna has no file for this case",)


@pytest.mark.parametrize("alias", [link, hard_link])
def test_a_file_of_two_cases_is_refused_also_where_the_other_is_not_chosen(tmp_path, alias):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"], "p3": ["anna"]})
    (tmp_path / "p2" / "anna.nrrd").unlink()
    alias(tmp_path / "p1" / "anna.nrrd").rename(tmp_path / "p2" / "anna.nrrd")
    if alias is link:
        (tmp_path / "p2" / "anna.nrrd").unlink()
        (tmp_path / "p2" / "anna.nrrd").symlink_to("../p1/anna.nrrd")
    for cases in (None, ["p1"], ["p2", "p3"]):
        with pytest.raises(
            ManifestError, match=r"p[12] \(rater anna\) and p[12] \(rater anna\) are given the same file"
        ):
            Cohort.open(manifest, cases)
    assert Cohort.open(manifest, ["p3"]).case_names == ("p3",)


def test_one_folder_under_two_names_is_one_case_named_twice(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"]})
    (tmp_path / "p2").symlink_to("p1")
    with pytest.raises(ManifestError, match=r"p1 .* and p2 .* are given the same file"):
        Cohort.open(manifest)


def test_a_case_is_chosen_once(tmp_path):
    with pytest.raises(ManifestError, match="chosen more than once: p1"):
        Cohort.open(save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}), ["p1", "p2", "p1"])


def test_a_chosen_case_that_only_looks_alike_is_told(tmp_path):
    manifest = save_cohort(tmp_path, {"pJu\u0308rgen": ["anna"]})
    with pytest.raises(ManifestError, match="another Unicode form"):
        Cohort.open(manifest, ["pJ\u00fcrgen"])


def test_a_rater_who_is_missing_in_every_case_is_an_error(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    manifest.write_text(manifest.read_text(encoding="utf-8") + 'carl = "c*.nrrd"\n', encoding="utf-8")
    with pytest.raises(ManifestError, match=r'rater carl has no file in any case: "c\*.nrrd" matches nothing'):
        Cohort.open(manifest)


def test_a_rater_who_is_missing_in_the_chosen_cases_only_is_a_warning(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]})
    for cohort in (Cohort.open(manifest, ["p2"]), Cohort.open(manifest).without(["p1"])):
        assert cohort.case_names == ("p2",)
        assert cohort.load("p2").warnings == ("p2: rater anna has no file for this case",)


def test_a_truth_that_is_missing_is_a_warning_in_one_case_and_an_error_in_all(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}, more='truth = "truth.nrrd"')
    with pytest.raises(ManifestError, match="the truth has no file in any case"):
        Cohort.open(manifest)
    save(tmp_path / "p1" / "truth.nrrd", ball(radius=5))
    cohort = Cohort.open(manifest)
    np.testing.assert_array_equal(cohort.load("p1").truth, ball(radius=5))
    assert cohort.load("p2").truth is None
    assert cohort.load("p2").warnings == ("p2: the truth has no file for this case",)


def test_a_missing_image_of_the_last_case_is_found_before_any_case_is_loaded(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    (tmp_path / "p2" / "t1.nii.gz").unlink()
    with pytest.raises(ManifestError, match="case p2 has no image T1"):
        Cohort.open(manifest)


def test_an_unknown_case_is_an_error_that_lists_the_known_ones(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]})
    with pytest.raises(ManifestError, match=r"no such case: p7\. The cohort has: p1, p2"):
        Cohort.open(manifest, ["p1", "p7"])


def test_chosen_cases_keep_the_order_they_are_asked_for(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"], "p3": ["anna"]})
    assert Cohort.open(manifest, ["p3", "p1"]).case_names == ("p3", "p1")
    assert len(Cohort.open(manifest).without(["p2"])) == 2


def test_a_cohort_uses_the_manifests_reference(tmp_path):
    manifest = save_cohort(tmp_path, {"p1": ["anna"]}, more='reference = "T2"')
    save(tmp_path / "p1" / "t1.nii.gz", head(OTHER), OTHER)
    save(tmp_path / "p1" / "t2.nii.gz", head())
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace("[raters]", 'T2 = "t2.nii.gz"\n[raters]'), encoding="utf-8"
    )
    loaded = Cohort.open(manifest).load("p1", RESAMPLE)
    assert (loaded.sequences, loaded.grid.size) == (("T1", "T2"), GRID.size)


class Listener(Progress):
    def __init__(self, stop_after: int = 99) -> None:
        self.heard: list[str] = []
        self.stop_after = stop_after

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.heard.append(f"{task} {steps} {done}")

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self.heard.append(f"{detail} {steps}")

    def message(self, text: str) -> None:
        self.heard.append(f"note: {text}")

    def warning(self, text: str) -> None:
        self.heard.append(f"warning: {text}")

    def check_cancelled(self) -> None:
        if len(self.heard) > self.stop_after:
            raise Cancelled


def test_loading_all_cases_passes_on_what_was_done_to_them(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna", "ben"], "p2": ["ben"]}))
    save(tmp_path / "p1" / "anna.nrrd", ball(OTHER), OTHER)
    listener = Listener()
    assert [case.name for case in cohort.load_all(RESAMPLE, listener)] == ["p1", "p2"]
    assert listener.heard == [
        "load 2 0",
        "note: p1: rater anna was resampled (nearest) to T1's grid",
        "p1 1",
        "warning: p2: rater anna has no file for this case",
        "p2 1",
    ]


def test_loading_stops_when_the_user_cancels(tmp_path):
    cohort = Cohort.open(save_cohort(tmp_path, {"p1": ["anna"], "p2": ["anna"]}))
    listener = Listener(stop_after=1)
    with pytest.raises(Cancelled):
        cohort.load_all(progress=listener)
    assert listener.heard == ["load 2 0", "p1 1"]
