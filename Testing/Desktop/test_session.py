"""The runner of the desktop checks, with a script in Slicer's place that crashes, hangs or leaves early."""

import os
import stat
import sys
import textwrap

import pytest
import session
from declared import Surroundings, declaredChecks, declaredSurroundings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a script is no program on Windows")

SLICER = """
    import json, os, signal, sys, time
    task = json.load(open(os.environ["OBSERVER_UNCERTAINTY_DESKTOP_TASK"], encoding="utf-8"))
    results = open(os.path.join(task["folder"], "results.jsonl"), "w", encoding="utf-8", buffering=1)
    write = lambda **entry: results.write(json.dumps(entry) + "\\n")
    write(event="start", problems=[])
    print("@@@ first check", flush=True)
    for number, name in enumerate(task["checks"]):
        if name == "new" and number:
            break
        write(event="begin", check=name)
        if name == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "leave":
            os._exit(0)
        if name == "silent":
            time.sleep(100)
        print("Traceback (most recent call last) that the check itself reports")
        write(event="tell", text="scale " + os.environ["QT_SCALE_FACTOR"])
        write(event="end", check=name, problems=["wrong"] if name == "wrong" else [], seconds=0.1)
    print("@@@ last check", flush=True)
    if "untidy" in task["checks"]:
        print("Traceback (most recent call last): at the end")
        sys.exit(3)
"""


@pytest.fixture
def outcomes(tmp_path):
    program = tmp_path / "Slicer"
    program.write_text(f"#!{sys.executable}\n" + textwrap.dedent(SLICER), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def make(*names, told=False, **task):
        made = session.Session(str(program), sys.executable, "topic", tmp_path, tmp_path / "logs", None, task)
        outcomes = list(made.make(list(names)))
        return [(outcome.check, "\n".join(outcome.told if told else outcome.problems)) for outcome in outcomes]

    return make


def test_checks_pass_and_fail(outcomes):
    assert outcomes("good", "wrong") == [("good", ""), ("wrong", "wrong"), ("start and end of Slicer 1", "")]


@pytest.mark.parametrize(("how", "text"), [("crash", "SIGSEGV"), ("leave", "ended with status 0")])
def test_check_that_ends_slicer_fails_and_the_others_are_made_in_another_one(outcomes, how, text):
    made = outcomes("good", how, "better")
    assert [name for name, _problems in made] == [
        *("good", how, "start and end of Slicer 1"),
        *("better", "start and end of Slicer 2"),
    ]
    assert [name for name, problems in made if problems] == [how]
    assert text in dict(made)[how]


def test_after_some_crashes_the_rest_of_a_topic_counts_as_not_made(outcomes, monkeypatch):
    monkeypatch.setattr(session, "MOST_BROKEN", 1)
    made = dict(outcomes("crash", "good"))
    assert "not made" in made["good"]


def test_silent_slicer_is_ended(outcomes, monkeypatch):
    monkeypatch.setattr(session, "SILENCE_SECONDS", 1)
    assert "SIGABRT" in dict(outcomes("silent"))["silent"]


def test_new_slicer_is_no_failure(outcomes):
    made = outcomes("good", "new", "better")
    assert not any(problems for _name, problems in made)
    assert ("better", "") in made
    assert ("start and end of Slicer 2", "") in made


def test_traceback_and_status_at_the_end_fail(outcomes):
    problems = dict(outcomes("untidy"))["start and end of Slicer 1"]
    assert "status 3" in problems
    assert "Traceback (most recent call last): at the end" in problems


def test_checks_are_read_from_the_text(tmp_path):
    path = tmp_path / "topic.py"
    path.write_text("def check_one(desktop): ...\ndef helper(): ...\ndef check_two(desktop): ...\n", encoding="utf-8")
    assert declaredChecks(path) == ["one", "two"]
    path.write_text("def check_one(desktop): ...\ndef check_one(desktop): ...\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="declared twice: one"):
        declaredChecks(path)


def test_what_a_check_tells_is_kept_and_the_scale_is_the_files(outcomes):
    assert outcomes("good", told=True, scale=2)[0] == ("good", "scale 2")


def test_surroundings_are_read_from_the_text(tmp_path):
    path = tmp_path / "topic.py"
    path.write_text("def check_one(desktop): ...\n", encoding="utf-8")
    assert declaredSurroundings(path) == Surroundings((1600, 1000), 1)
    path.write_text("SCREEN = (1920, 1080)\nSCALE = 2\n", encoding="utf-8")
    assert declaredSurroundings(path) == Surroundings((1920, 1080), 2)
