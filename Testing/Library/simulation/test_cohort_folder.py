"""Cases made by several processes at a time, and what becomes of them when something goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cancelling import CancelAfter
from cohorts import disc_case
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.base.errors import Cancelled, DeviceError, InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort

NAMES = [f"case{number:02d}" for number in range(1, 6)]
MANY = [f"case{number:02d}" for number in range(1, 13)]


def slowly(index: int) -> Case:
    time.sleep(0.2)
    return disc_case(index)


def dies_at_the_third(index: int) -> Case:
    if index == 2:
        os._exit(9)
    return disc_case(index)


def fails_at_the_third(index: int) -> Case:
    if index == 2:
        raise InputError("case03 cannot be made")
    return disc_case(index)


def takes_an_hour(index: int) -> Case:
    Path(f"begun{index}").touch()
    time.sleep(3600)
    return disc_case(index)


def write(folder: Path, make_case: Callable[[int], Case] = disc_case, names: list[str] = NAMES, **options: Any) -> Path:
    return write_cohort(folder, make_case, names, {}, name="Discs", label="disc", **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "three", processes=3)
    assert files(tmp_path / "three") == files(tmp_path / "one")


def test_a_process_that_dies_is_said_and_the_others_cases_are_kept(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="fewer processes"):
        write(tmp_path, dies_at_the_third, processes=2)
    assert not (tmp_path / "case03" / "case.json").exists()
    manifest = write(tmp_path, resume=True, processes=2)
    assert Cohort.open(manifest).case_names == tuple(NAMES)


def test_an_error_in_a_process_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="case03 cannot be made"):
        write(tmp_path, fails_at_the_third, processes=2)
    assert not (tmp_path / "cohort.toml").exists()


def test_cancelling_keeps_the_cases_that_are_complete(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        write(tmp_path, slowly, MANY, progress=CancelAfter(2), processes=2)
    done = len(list(tmp_path.glob("*/case.json")))
    assert 2 <= done < len(MANY)
    write(tmp_path, names=MANY, resume=True)
    assert len(list(tmp_path.glob("*/case.json"))) == len(MANY)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no process groups of this kind")
class TestStopping:
    """A call of the command line with two processes, in a process group of its own, as a terminal starts it."""

    @pytest.fixture(autouse=True)
    def _none_is_left(self) -> Iterator[None]:
        self.groups: list[int] = []
        yield
        for group in filter(_lives, self.groups):
            os.killpg(group, signal.SIGKILL)

    def started(self, folder: Path, *size: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ObserverUncertaintyLib.cli", "simulate", "cavities", "--out", str(folder)]
        options = ("--cases", "30", *size, "--processes", "2", "--resume")
        process = subprocess.Popen(
            [*command, *options], start_new_session=True, stderr=subprocess.PIPE, encoding="utf-8"
        )
        self.groups.append(process.pid)
        return process

    def at_work(self, folder: Path) -> subprocess.Popen[str]:
        """With a case made."""
        process = self.started(folder, "--spacing", "3", "--thickness", "6")
        wait_for(lambda: bool(list(folder.glob("*/case.json"))))
        return process

    def test_an_interrupt_ends_it_after_the_cases_in_work(self, tmp_path: Path) -> None:
        process = self.at_work(tmp_path)
        before = len(list(tmp_path.glob("*/case.json")))
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "What was complete is kept" in said
        assert "Traceback" not in said
        assert len(list(tmp_path.glob("*/case.json"))) <= before + 4
        # Every case that was begun is complete.
        assert all((case / "case.json").exists() for case in tmp_path.glob("case*"))

    def test_a_second_interrupt_ends_it_at_once(self, tmp_path: Path) -> None:
        """On cases that take an hour."""
        program = (
            "from ObserverUncertaintyLib.cli.console import ConsoleProgress\n"
            "from test_cohort_folder import takes_an_hour, write\n"
            "from pathlib import Path\n"
            "if __name__ == '__main__':\n"
            "    with ConsoleProgress().running() as progress:\n"
            "        write(Path('cohort'), takes_an_hour, processes=2, progress=progress)\n"
        )
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.groups.append(process.pid)
        wait_for(lambda: len(list(tmp_path.glob("begun*"))) == 2, "two cases that are being made")
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert any("press Ctrl-C again" in line for line in process.stderr)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode not in (0, 1)
        assert not list(tmp_path.glob("*/*/case.json"))
        wait_for(lambda: not _lives(process.pid), "the end of its processes")

    def test_its_processes_end_with_it(self, tmp_path: Path) -> None:
        process = self.at_work(tmp_path)
        process.kill()
        process.communicate()
        wait_for(lambda: not _lives(process.pid))


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_case_whose_files_were_lost_or_emptied_is_made_again(tmp_path: Path) -> None:
    write(tmp_path)
    whole = files(tmp_path)
    (tmp_path / "case02" / "rater1.nii.gz").unlink()
    (tmp_path / "case03" / "S1.nii.gz").write_bytes(b"")
    (tmp_path / "case04" / "case.json").write_text("{", encoding="utf-8")
    (tmp_path / "case05" / "case.json").write_text("[]", encoding="utf-8")
    write(tmp_path, resume=True)
    assert files(tmp_path) == whole


@pytest.mark.parametrize("text", ["", "{", "7"])
def test_a_damaged_note_of_the_settings_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path, names=NAMES[:1])
    (tmp_path / "settings.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.json cannot be read"):
        write(tmp_path, names=NAMES[:1], resume=True)
