from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starting import members, start
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.jobs import Job, JobError, JobState, SimulateRequest, find_jobs, remove_job, start_job
from ObserverUncertaintyLib.jobs.folder import INPUTS_FOLDER, Heartbeat, JobRecord, write_heartbeat
from ObserverUncertaintyLib.jobs.process_identity import identity

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A job folder with blanks and umlauts; whatever still runs on it at the end is ended."""
    yield tmp_path / "Größe und Maß" / "job 1"
    for job in find_jobs(tmp_path):
        job.cancel(grace=0)


def group_of(job: Job) -> int:
    wait_for(lambda: Heartbeat.read(job.folder) is not None, "a heartbeat")
    heartbeat = Heartbeat.read(job.folder)
    assert heartbeat is not None
    return os.getpgid(heartbeat.pid)


def running(mode: str, folder: Path, *, keep_running: bool = False) -> tuple[Job, int]:
    """A job that has told its first event, and its process group."""
    job = start(mode, folder, keep_running=keep_running)
    group = group_of(job)
    assert group != os.getpgrp()
    wait_for(lambda: len(job.poll()) > 0, "an event")
    return job, group


def test_a_simulated_case_comes_out_of_a_job(folder: Path) -> None:
    job = start_job(SimulateRequest(seed=3), folder, name="Sample case")
    seen = {job.state}
    calls = []
    assert job.wait(PATIENCE, each=lambda: calls.append(seen.add(job.state))) is JobState.DONE, job.failure
    assert seen <= {JobState.STARTING, JobState.RUNNING, JobState.DONE}
    assert calls
    manifest = read_manifest(job.result()["manifest"])
    assert manifest.case_names() == ("case01",)
    assert (job.progress.task, job.progress.fraction, job.progress.seconds_left) == ("simulate 1 cases", 1.0, 0.0)
    assert [event.kind for event in job.poll()] == ["progress", "progress", "artifact", "done"]
    assert job.poll() == []
    assert (folder / "log.txt").read_text(encoding="utf-8") == ""
    again = find_jobs(folder.parent)[0]
    assert (again.state, again.request, again.name) == (JobState.DONE, SimulateRequest(seed=3), "Sample case")
    assert again.result() == job.result()
    assert again.started == job.started
    remove_job(again)
    assert not folder.exists()


def test_no_argument_of_the_worker_holds_the_folder_whose_letters_a_launcher_may_damage(folder: Path) -> None:
    job, group = running("cooperate", folder)
    arguments = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in members(group)]
    assert len(arguments) == 1
    assert "worker_of_tests.py" in arguments[0]
    assert arguments[0].isascii()
    assert "job 1" not in arguments[0]
    job.cancel()
    assert job.wait(PATIENCE) is JobState.CANCELLED


def test_a_relative_job_folder_is_the_callers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    job = start_job(SimulateRequest(), Path(folder.name), name="relative")
    monkeypatch.chdir("/")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    assert job.result()["manifest"] == folder / "result" / "cohort.toml"


def test_progress_tells_the_time_left(folder: Path) -> None:
    job, _ = running("cooperate", folder)
    wait_for(lambda: job.state is JobState.RUNNING and job.progress.done > 20, "some progress")
    assert 0 < job.progress.fraction < 1
    assert job.progress.detail == f"step {job.progress.done}"
    left = job.progress.seconds_left
    assert left is not None
    assert left > 0.02 * 500
    before = time.perf_counter()
    for _ in range(50):
        job.poll()
    assert (time.perf_counter() - before) / 50 < 0.05, "a look must not hold up an interface"


def test_a_cancelled_job_stops_by_itself_and_leaves_no_process(folder: Path) -> None:
    job, group = running("cooperate", folder)
    with pytest.raises(InputError, match="still running"):
        remove_job(job)
    job.cancel()
    assert job.state in (JobState.CANCELLING, JobState.CANCELLED)
    assert job.wait(PATIENCE) is JobState.CANCELLED
    assert "kept" in job.messages[-1]
    assert job.failure is None
    with pytest.raises(JobError, match="was cancelled"):
        job.result()
    assert members(group) == []
    assert find_jobs(folder.parent)[0].state is JobState.CANCELLED


def test_a_job_that_ignores_cancel_is_killed_after_the_grace(folder: Path) -> None:
    job, group = running("ignore_cancel", folder)
    job.cancel(grace=0.3)
    assert job.state is JobState.CANCELLING
    assert members(group) != []
    assert job.wait(PATIENCE) is JobState.CANCELLED
    assert members(group) == []


def test_cancel_without_grace_ends_grandchildren_too(folder: Path) -> None:
    job, group = running("have_child", folder)
    child = json.loads((folder / "child.json").read_text(encoding="utf-8"))["pid"]
    assert child in members(group)
    job.cancel(grace=0)
    assert job.wait(PATIENCE) is JobState.CANCELLED
    wait_for(lambda: identity(child) is None, "the end of the grandchild")


def test_a_killed_worker_is_a_crash_with_advice_and_its_children_go_too(folder: Path) -> None:
    job, group = running("have_child", folder)
    heartbeat = Heartbeat.read(folder)
    assert heartbeat is not None
    os.kill(heartbeat.pid, signal.SIGKILL)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "crash"
    assert "SIGKILL" in job.failure.text
    assert "memory" in job.failure.text
    assert "smaller network" in job.failure.advice
    # Jobs make their batches smaller by themselves, down to one slice.
    assert "batch" not in job.failure.advice
    with pytest.raises(JobError, match="SIGKILL") as caught:
        job.result()
    assert caught.value.failure == job.failure
    wait_for(lambda: all(identity(pid) is None for pid in members(group)), "the end of the group")
    found = find_jobs(folder.parent)[0]
    assert found.state is JobState.FAILED


def test_a_crash_quotes_the_log(folder: Path) -> None:
    job = start("crash", folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "crash"
    assert "signal SIGSEGV (Segmentation fault)" in job.failure.text
    assert "worker_of_tests.py" in job.failure.log
    with pytest.raises(JobError, match=r"From its log:\n  Fatal Python error"):
        job.result()


def test_done_with_a_wrong_exit_code_is_a_failure(folder: Path) -> None:
    job = start("say_done_and_fail", folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert "exit code 5" in job.failure.text


def test_garbage_is_counted_and_kept_in_the_log_and_harms_nothing(folder: Path) -> None:
    job = start("print_garbage", folder)
    assert job.wait(PATIENCE) is JobState.DONE
    assert job.unreadable == 3
    assert job.messages == ["still here"]
    log = (folder / "log.txt").read_bytes()
    assert b"printed, not an event" in log
    assert b"\\xff\\xfe{]" in log
    assert b"[1, 2]" in log


def test_half_a_line_waits_for_its_other_half(folder: Path) -> None:
    job = start("half_a_line", folder)
    wait_for((folder / "half").exists, "half a line")
    assert job.poll() == []
    (folder / "go on").touch()
    assert job.wait(PATIENCE) is JobState.DONE
    assert job.messages == ["whole"]
    assert job.unreadable == 0


def test_a_result_that_was_cut_off_is_a_failure(folder: Path) -> None:
    job = start("artifact_cut_off", folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "disk"
    assert "noise.nrrd" in job.failure.text


@pytest.mark.parametrize(
    ("mode", "code", "text", "advice"),
    [
        ("wrong_input", "input", "t1.nrrd: the file is missing.", "start again"),
        ("package_missing", "dependency", "a_package_that_nobody_has", "Install"),
        ("old_driver", "device", "driver on your system is too old", "CPU"),
        ("never_enough_memory", "out_of_memory", "ran out of memory", "another device"),
    ],
)
def test_every_kind_of_failure_has_its_code_and_advice(
    folder: Path, mode: str, code: str, text: str, advice: str
) -> None:
    job = start(mode, folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, text in job.failure.text, advice in job.failure.advice) == (code, True, True)
    found = find_jobs(folder)[0]
    assert (found.failure, found.state) == (job.failure, JobState.FAILED)


def test_too_little_memory_halves_the_batch_with_a_warning_each_time(folder: Path) -> None:
    job = start("too_little_memory", folder)
    assert job.wait(PATIENCE) is JobState.DONE
    assert json.loads((folder / "sizes.json").read_text(encoding="utf-8")) == [4, 2, 1]
    assert ["batch size of 2" in job.warnings[0], "batch size of 1" in job.warnings[1]] == [True, True]


def test_a_full_disk_is_named_and_what_was_complete_is_kept(folder: Path) -> None:
    job = start("full_disk", folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "disk", job.failure
    assert "space" in job.failure.advice
    assert (folder / "result" / "settings.json").exists()
    assert not (folder / "result" / "cohort.toml").exists()
    assert list((folder / "result" / "case01").glob(".*")) == [], "no half-written file is left"


def test_a_disk_too_full_for_events_is_named_all_the_same(folder: Path) -> None:
    job = start("full_disk_at_once", folder)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "disk", job.failure
    assert job.messages == ["before"]


STARTER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from starting import start
start({mode!r}, Path({folder!r}), keep_running={keep})
print("started", flush=True)
time.sleep(60)
"""


def start_in_another_program(mode: str, folder: Path, *, keep: bool) -> subprocess.Popen[str]:
    program = STARTER.format(tests=str(Path(__file__).parent), mode=mode, folder=str(folder), keep=keep)
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="utf-8")
    assert other.stdout is not None
    assert other.stdout.readline() == "started\n"
    return other


def test_a_job_ends_with_the_program_that_started_it(folder: Path) -> None:
    other = start_in_another_program("have_child", folder, keep=False)
    wait_for(lambda: (folder / "child.json").exists(), "the grandchild")
    job = find_jobs(folder.parent)[0]
    assert job.state is JobState.RUNNING
    group = group_of(job)
    other.kill()
    other.communicate()
    assert job.wait(PATIENCE) is JobState.CANCELLED
    assert "program that started the job ended" in job.messages[-1]
    wait_for(lambda: all(identity(pid) is None for pid in members(group)), "the end of the group")


def test_a_kept_job_outlives_its_program_and_is_found_and_cancelled(folder: Path) -> None:
    other = start_in_another_program("cooperate", folder, keep=True)
    wait_for(lambda: bool(find_jobs(folder)[0].poll()), "an event")
    other.kill()
    other.communicate()
    job = find_jobs(folder.parent)[0]
    assert job.keeps_running
    assert job.state is JobState.RUNNING
    done = job.progress.done
    wait_for(lambda: job.state is JobState.RUNNING and job.progress.done > done, "progress without its program")
    job.cancel()
    assert job.wait(PATIENCE) is JobState.CANCELLED


def test_a_kept_job_that_was_let_go_is_seen_to_finish(folder: Path) -> None:
    job = start("print_garbage", folder, keep_running=True)
    job.close()
    found = find_jobs(folder.parent)[0]
    assert found.wait(PATIENCE) is JobState.DONE
    assert found.messages == ["still here"]


def test_a_found_job_that_ignores_cancel_is_killed_as_well(folder: Path) -> None:
    other = start_in_another_program("ignore_cancel", folder, keep=True)
    wait_for(lambda: bool(find_jobs(folder)[0].poll()), "an event")
    other.kill()
    other.communicate()
    job = find_jobs(folder.parent)[0]
    job.cancel(grace=0.2)
    assert job.wait(PATIENCE) is JobState.CANCELLED


def test_closing_ends_a_job_that_is_not_kept(folder: Path) -> None:
    job, group = running("ignore_cancel", folder)
    job.close()
    assert members(group) == []
    assert job.state is JobState.CANCELLED


def launcher_like_slicers(folder: Path) -> str:
    """A stand-in for PythonSlicer: starts Python as a child, forwards no signal, and ends with 1 however that ends."""
    launcher = folder / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" || exit 1\n', encoding="utf-8")
    launcher.chmod(0o755)
    return str(launcher)


def test_behind_a_launcher_the_real_worker_is_killed_too(folder: Path, tmp_path: Path) -> None:
    job = start("ignore_cancel", folder, python=launcher_like_slicers(tmp_path))
    group = group_of(job)
    wait_for(lambda: len(job.poll()) > 0, "an event")
    assert len(members(group)) == 2
    job.cancel(grace=0)
    assert job.wait(PATIENCE) is JobState.CANCELLED
    wait_for(lambda: all(identity(pid) is None for pid in members(group)), "the end of the group")


def test_behind_a_launcher_a_killed_worker_is_still_told_from_a_program_error(folder: Path, tmp_path: Path) -> None:
    job = start("ignore_cancel", folder, python=launcher_like_slicers(tmp_path))
    group_of(job)
    wait_for(lambda: len(job.poll()) > 0, "an event")
    heartbeat = Heartbeat.read(folder)
    assert heartbeat is not None
    os.kill(heartbeat.pid, signal.SIGKILL)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "exit code 1" in job.failure.text) == ("crash", True)
    assert "memory" in job.failure.text


def record(folder: Path) -> None:
    from datetime import UTC, datetime

    folder.mkdir(parents=True)
    JobRecord("old", SimulateRequest(), True, datetime(2026, 1, 1, tzinfo=UTC)).write(folder)


def test_another_process_with_the_same_id_is_not_the_job_and_is_not_killed(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True) as other:
        record(folder)
        write_heartbeat(folder, other.pid, "another boot 12345")
        job = find_jobs(folder.parent)[0]
        job.cancel(grace=0)
        assert job.state is JobState.FAILED
        assert other.poll() is None
        other.kill()


def test_a_living_process_with_an_old_heartbeat_is_called_silent_and_can_be_killed(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True) as other:
        record(folder)
        write_heartbeat(folder, other.pid, identity(other.pid) or "")
        os.utime(folder / "heartbeat.json", (time.time() - 300,) * 2)
        job = find_jobs(folder.parent)[0]
        assert job.state is JobState.RUNNING
        assert not job.responding
        assert "no sign of life for 300 s" in job.warnings[0]
        job.cancel(grace=0)
        assert other.wait(PATIENCE) == -signal.SIGKILL
        assert job.wait(PATIENCE) is JobState.CANCELLED


def test_folders_that_cannot_hold_a_job_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        start_job(SimulateRequest(), tmp_path / "full", name="x")
    with pytest.raises(InputError, match="cannot be made"):
        start_job(SimulateRequest(), tmp_path / "full" / "notes.txt" / "job", name="x")
    with pytest.raises(InputError, match="cannot be"):
        start_job(SimulateRequest(), Path("/proc/job"), name="x")
    with pytest.raises(InputError, match="cannot be started"):
        start_job(SimulateRequest(), tmp_path / "job", name="x", python=str(tmp_path / "no python"))
    assert find_jobs(tmp_path) == []
    assert list((tmp_path / "job").iterdir()) == [], "nothing stands in the way of another try"


def test_a_job_folder_may_hold_its_input_files_before_the_start(folder: Path) -> None:
    (folder / INPUTS_FOLDER).mkdir(parents=True)
    (folder / INPUTS_FOLDER / "T1.nrrd").touch()
    job = start("print_garbage", folder)
    assert job.wait(PATIENCE) is JobState.DONE
    assert (folder / INPUTS_FOLDER / "T1.nrrd").exists()


def test_a_damaged_job_file_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "job.json").write_text('{"format": ', encoding="utf-8")
    assert [job.folder.name for job in find_jobs(tmp_path)] == ["good"]
    assert "bad" in caplog.text
