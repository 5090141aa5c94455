"""Units on a Ray cluster of two workers on this machine: the same results, and what a worker's death costs.

Ray is large: `make test-slow` installs it, and without it all but two of these are skipped.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from cohorts import write_discs

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, UnwritableFileError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.studies import ray_units
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.cavity.study import run_cavity
from ObserverUncertaintyLib.studies.ray_units import ATTEMPTS, Cluster, run_units_on_ray
from ObserverUncertaintyLib.studies.units import Unit, UnitsRun, read_result, write_result

_IS_HERE = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed (pip install 'observer-uncertainty[ray]')"
)


def with_ray(test: Callable[..., None]) -> pytest.MarkDecorator:
    """Marks a test that starts a cluster."""
    return pytest.mark.slow(_IS_HERE(test))


TINY = CavityStudySettings(
    folds=2,
    training=TrainingSettings(epochs=2, network=UNetSettings(depth=1, filters=2), learning_rate=0.02),
    samples=2,
)
UNITS = [Unit("seed0/a", 5), Unit("seed0/b", 3, needs=("seed0/a",)), Unit("seed1/a", 2)]


@dataclass(frozen=True)
class Work:
    """Notes its attempts, kills its process in the first ones of one unit, and fails in another."""

    mortal: str = ""
    deaths: int = 0
    failing: str = ""

    def __call__(self, unit: Unit, folder: Path, progress: Progress) -> None:
        with (folder / "attempts").open("a", encoding="utf-8") as file:
            file.write("x")
        attempts = len((folder / "attempts").read_text(encoding="utf-8"))
        if unit.name == self.mortal and attempts <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if unit.name == self.failing:
            raise InputError("the disk is full")
        progress.warning("it is warm")
        write_result(folder, {"attempts": attempts})


class Heard(Progress):
    """Keeps what is told, and stops where asked."""

    def __init__(self, stops: bool = False) -> None:
        self.total = self.done = 0
        self.warnings: list[str] = []
        self.stops = stops

    def start(self, _task: str, steps: int, done: int = 0) -> None:
        self.total, self.done = steps, done

    def advance(self, steps: int = 1, _detail: str = "") -> None:
        self.done += steps

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def check_cancelled(self) -> None:
        if self.stops:
            raise Cancelled("stopped")


@pytest.fixture(autouse=True)
def _workers_find_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))


def run(folder: Path, work: Work, progress: Progress | None = None, shared: tuple[Path, ...] = ()) -> UnitsRun:
    return run_units_on_ray(folder, "study", UNITS, work, progress or Progress(), Cluster(), shared)


def attempts(folder: Path) -> dict[str, object]:
    return {unit.name: read_result(folder / unit.name)["attempts"] for unit in UNITS}


@with_ray
def test_units_are_done_after_what_they_need_and_only_once(tmp_path: Path) -> None:
    heard = Heard()
    assert run(tmp_path, Work(), heard) == UnitsRun(("seed0/a", "seed0/b", "seed1/a"), {}, ())
    assert attempts(tmp_path) == dict.fromkeys(("seed0/a", "seed0/b", "seed1/a"), 1)
    assert (heard.total, heard.done) == (10, 10)
    assert sorted(heard.warnings) == [f"{unit.name}: it is warm" for unit in UNITS]
    again = Heard()
    run(tmp_path, Work(failing="seed0/a"), again)
    assert (again.done, again.warnings) == (10, [])


@with_ray
def test_a_killed_worker_costs_its_units_attempt_only(tmp_path: Path) -> None:
    heard = Heard()
    outcome = run(tmp_path, Work(mortal="seed0/a", deaths=1), heard)
    assert len(outcome.done) == 3
    assert attempts(tmp_path) == {"seed0/a": 2, "seed0/b": 1, "seed1/a": 1}
    assert any("its worker died; it is given to another one" in text for text in heard.warnings)
    assert not list(tmp_path.rglob("claim.json"))


@with_ray
def test_a_unit_that_kills_every_worker_has_failed_and_the_others_are_done(tmp_path: Path) -> None:
    outcome = run(tmp_path, Work(mortal="seed0/a", deaths=99))
    assert outcome.done == ("seed1/a",)
    assert f"died {ATTEMPTS} times" in outcome.failed["seed0/a"]
    assert outcome.elsewhere == ("seed0/b",)  # it waits for the failed one


@with_ray
def test_a_broken_unit_does_not_lose_the_others(tmp_path: Path) -> None:
    outcome = run(tmp_path, Work(failing="seed0/b"))
    assert outcome.done == ("seed0/a", "seed1/a")
    assert outcome.failed == {"seed0/b": "the disk is full"}
    assert (tmp_path / "seed0" / "b" / "error.txt").read_text(encoding="utf-8") == "the disk is full\n"


@with_ray
def test_stopping_ends_the_units_that_run(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run(tmp_path, Work(), Heard(stops=True))


@with_ray
def test_paths_that_a_machine_does_not_see_are_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not see .*elsewhere\. The study's folder and the cohort must lie on"):
        run(tmp_path, Work(), shared=(tmp_path, tmp_path / "elsewhere"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_disk_under_the_same_name_is_not_the_studys(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("another", encoding="utf-8")
    assert ray_units._look(tmp_path / "seen", "token", ())[1] == [str(tmp_path)]
    (tmp_path / "seen").write_text("token", encoding="utf-8")
    assert ray_units._look(tmp_path / "seen", "token", (tmp_path,))[1] == []


@with_ray
def test_more_than_the_cluster_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"claims 10000 CPU, and the whole cluster has"):
        run_units_on_ray(tmp_path, "study", UNITS, Work(), Progress(), Cluster(cpus=10000))


@with_ray
def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No Ray cluster answers at auto .*[\s\S]*give local for a cluster of this"):
        run_units_on_ray(tmp_path, "study", UNITS, Work(), Progress(), Cluster("auto"))


@with_ray
def test_the_cavity_study_has_the_tables_of_one_process(tmp_path: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 5, slices=2)
    run_cavity(tmp_path / "one", TINY, manifest, device="cpu", threads=1)
    run_cavity(tmp_path / "many", TINY, manifest, device="cpu", cluster=Cluster())
    for table in ("per_case.csv", "summary.csv", "wme_by_dice.csv", "paired_tests.csv", "report.md"):
        assert (tmp_path / "many" / table).read_bytes() == (tmp_path / "one" / table).read_bytes()


def test_without_ray_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'observer-uncertainty\[ray\]'"):
        run(tmp_path, Work())


def test_a_disk_that_is_full_in_a_worker_is_the_units_failure(tmp_path: Path) -> None:
    def work(_unit: Unit, _folder: Path, _progress: Progress) -> None:
        raise UnwritableFileError("the disk is full")

    outcome, _warnings = ray_units._one_unit(tmp_path, UNITS[0], work)
    assert outcome.failed == {"seed0/a": "the disk is full"}
