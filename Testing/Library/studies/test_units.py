"""Units of a study: done or not, taken up again, shared between processes, and one failure does not stop the others."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, UnwritableFileError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintyLib.studies.units import (
    ERROR_FILE,
    RESULT_FILE,
    SETTINGS_FILE,
    Unit,
    keep_settings,
    read_result,
    run_units,
    write_result,
)

UNITS = [Unit("seed0/b", 3, needs=("seed0/a",)), Unit("seed0/a", 5), Unit("seed1/a", 2)]
CLAIM = "claim.json"


class Told(Progress):
    """Adds up what is told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.warnings: list[str] = []

    def start(self, _task: str, steps: int, done: int = 0) -> None:
        self.total, self.done = steps, done

    def advance(self, steps: int = 1, _detail: str = "") -> None:
        self.done += steps

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class Work:
    """Writes a result for each unit, and fails or is cancelled where asked."""

    def __init__(self, failing: str = "", cancelled: str = "") -> None:
        self.order: list[str] = []
        self.failing, self.cancelled = failing, cancelled

    def __call__(self, unit: Unit, folder: Path, progress: Progress) -> None:
        self.order.append(unit.name)
        assert (folder / CLAIM).exists()
        if unit.name == self.cancelled:
            raise Cancelled("stopped")
        if unit.name == self.failing:
            raise InputError("the disk is full")
        progress.advance(1)
        write_result(folder, {"name": unit.name})


def claim(folder: Path, **content: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mine = {"pid": os.getpid(), "identity": identity(os.getpid()), "machine": platform.node()}
    (folder / CLAIM).write_text(json.dumps(mine | content), encoding="utf-8")


def test_units_are_done_once_after_what_they_need_and_the_progress_adds_up(tmp_path: Path) -> None:
    work, told = Work(), Told()
    outcome = run_units(tmp_path, "study", UNITS, work, told)
    assert work.order == ["seed0/a", "seed0/b", "seed1/a"]
    assert outcome.done == tuple(unit.name for unit in UNITS)
    assert (told.total, told.done) == (10, 10)
    assert read_result(tmp_path / "seed0" / "b") == {"name": "seed0/b"}
    assert not list(tmp_path.rglob(CLAIM))

    again, told = Work(), Told()
    assert run_units(tmp_path, "study", UNITS, again, told).done == outcome.done
    assert again.order == []
    assert told.done == told.total


def test_a_unit_that_fails_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    told = Told()
    outcome = run_units(tmp_path, "study", UNITS, Work(failing="seed0/a"), told)
    assert outcome.failed == {"seed0/a": "the disk is full"}
    assert outcome.done == ("seed1/a",)
    assert outcome.elsewhere == ("seed0/b",)  # it waits for the failed one
    assert "the disk is full" in (tmp_path / "seed0" / "a" / ERROR_FILE).read_text(encoding="utf-8")
    assert told.warnings == ["seed0/a failed: the disk is full"]

    outcome = run_units(tmp_path, "study", UNITS, Work(), Told())
    assert len(outcome.done) == 3
    assert not list(tmp_path.rglob(ERROR_FILE))


def test_a_cancelled_unit_is_free_again_and_what_was_done_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run_units(tmp_path, "study", UNITS, Work(cancelled="seed0/b"), Told())
    assert (tmp_path / "seed0" / "a" / RESULT_FILE).exists()
    assert not list(tmp_path.rglob(CLAIM))
    work = Work()
    run_units(tmp_path, "study", UNITS, work, Told())
    assert work.order == ["seed0/b", "seed1/a"]


def test_what_a_living_process_works_on_is_left_to_it(tmp_path: Path) -> None:
    claim(tmp_path / "seed0" / "a")
    work = Work()
    outcome = run_units(tmp_path, "study", UNITS, work, Told())
    assert work.order == ["seed1/a"]
    assert set(outcome.elsewhere) == {"seed0/a", "seed0/b"}


def test_what_a_dead_process_left_is_taken_up(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    claim(tmp_path / "seed0" / "a", pid=ended.pid, identity="long ago")
    assert len(run_units(tmp_path, "study", UNITS, Work(), Told()).done) == 3


def test_another_machines_claim_counts_while_it_is_refreshed(tmp_path: Path) -> None:
    claim(tmp_path / "seed0" / "a", machine="another")
    assert run_units(tmp_path, "study", UNITS, Work(), Told()).done == ("seed1/a",)
    old = (tmp_path / "seed0" / "a" / CLAIM).stat().st_mtime - 3600
    os.utime(tmp_path / "seed0" / "a" / CLAIM, (old, old))
    assert len(run_units(tmp_path, "study", UNITS, Work(), Told()).done) == 3


def test_a_damaged_claim_counts_for_a_moment_only(tmp_path: Path) -> None:
    path = tmp_path / "seed1" / "a" / CLAIM
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    assert "seed1/a" in run_units(tmp_path, "study", UNITS, Work(), Told()).elsewhere
    old = path.stat().st_mtime - 60
    os.utime(path, (old, old))
    assert len(run_units(tmp_path, "study", UNITS, Work(), Told()).done) == 3


def test_a_damaged_result_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / RESULT_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json cannot be read.*Delete it"):
        read_result(tmp_path)


def digests(**changed: str) -> dict[str, dict[str, str]]:
    return {"c0": {"image T1": "1", "rater a": "2"} | changed, "c1": {"image T1": "3"}}


def test_a_study_of_other_data_is_refused_and_what_changed_is_named(tmp_path: Path) -> None:
    content = {"seeds": [0], "folds": 2}
    keep_settings(tmp_path, content, ("seeds",), data=digests())
    keep_settings(tmp_path, {**content, "seeds": [1]}, ("seeds",), data=digests())
    with pytest.raises(InputError, match=r"(?m)begun with other data.*\n  c0: rater a is another\n"):
        keep_settings(tmp_path, content, ("seeds",), data=digests(**{"rater a": "9"}))
    with pytest.raises(InputError, match=r"(?m)^  c0: rater b is new$"):
        keep_settings(tmp_path, content, ("seeds",), data=digests(**{"rater b": "9"}))
    # What could not be read at first is noted when it can.
    keep_settings(tmp_path, content, ("seeds",), data={**digests(), "c2": {"image T1": "5"}})
    with pytest.raises(InputError, match="c2: image T1 is another"):
        keep_settings(tmp_path, content, ("seeds",), data={"c2": {"image T1": "6"}})


def test_a_study_of_an_earlier_version_goes_on_with_a_warning_every_time(tmp_path: Path) -> None:
    keep_settings(tmp_path, {"seeds": [0]}, ("seeds",))
    for _ in range(2):
        told = Told()
        keep_settings(tmp_path, {"seeds": [0]}, ("seeds",), data=digests(), progress=told)
        assert ["kept no fingerprints of its cases" in text for text in told.warnings] == [True]


@pytest.mark.parametrize("text", ["", "[1]", "7", '{"seeds": 3}', '{"seeds": [0], "data": [1]}', "{}"])
def test_a_damaged_note_of_the_settings_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.json cannot be read"):
        keep_settings(tmp_path, {"seeds": [0]}, ("seeds",), data=digests())


def test_results_without_a_note_of_their_study_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "seed0" / "a").mkdir(parents=True)
    write_result(tmp_path / "seed0" / "a", {})
    with pytest.raises(InputError, match=r"holds results, but no settings\.json"):
        keep_settings(tmp_path, {"seeds": [0]}, ("seeds",))


def test_a_full_disk_stops_the_study_at_once(tmp_path: Path) -> None:
    def work(_unit: Unit, folder: Path, _progress: Progress) -> None:
        order.append(folder.name)
        raise UnwritableFileError("the disk is full")

    order: list[str] = []
    with pytest.raises(UnwritableFileError):
        run_units(tmp_path, "study", UNITS, work, Told())
    assert len(order) == 1
    assert not list(tmp_path.rglob(CLAIM))
