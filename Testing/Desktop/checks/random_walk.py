"""The random walk, `WALK` actions from `SEED` or the actions of a log again; and what makes its failures useful."""

from __future__ import annotations

import shlex
from pathlib import Path
from random import Random

import qt
from actions import Action, Actions
from random_walk import ACTION_SECONDS, Walk

MOST = 30


def check_same_random_numbers_draw_the_same_actions(desktop):
    desktop.loadCase("case01")
    drawn = []
    for _ in range(2):
        actions = Actions(desktop, desktop.shared)
        drawn.append([actions.next(Random(number), False) for number in range(60)])
    assert drawn[0] == drawn[1]
    assert len({name for name, _argument in drawn[0]}) > 8, "many kinds of action"


def check_planted_fault_is_told_after_its_action_and_replayed_from_the_log(desktop):
    plant = Action(1, lambda _random: "fault", lambda _argument, _random: qt.QTimer.singleShot(0, lambda: 1 / 0))
    found = []
    for lines in ([], ["1\tlayout\t4", "2\tplant\tfault", "3\tlayout\t3"]):
        log = desktop.shared / "walk.log"
        walk = Walk(desktop, 1, log)
        walk.actions.all["plant"] = plant
        if lines:
            walk.replay(lines)
        else:
            walk.actions.next = lambda _random, _first: ("plant", "fault")
            walk.go(1)
        found.append([(number, fault.kind, "ZeroDivisionError" in fault.text) for number, fault in walk.faults])
        written = log.read_text(encoding="utf-8")
        assert [line for line in written.splitlines() if line[:1].isdigit()] == (lines or ["1\tplant\tfault"])
        assert "ZeroDivisionError" in written
    assert found == [[(1, "error", True)], [(2, "error", True)]]


def check_random_walk(desktop):
    task = desktop.task
    log = Path(task["pictures"]) / f"walk-{task['seed']}.log"
    walk = Walk(desktop, task["seed"], log)
    if task["replay"]:
        walk.replay(task["replay"].splitlines())
    else:
        walk.go(task["walk"])
    given = {"SLICER": task["slicer"], "ONLY": "random_walk.random_walk", "SEED": task["seed"], "REPLAY": log}
    again = " ".join(["make test-desktop", *(f"{name}={shlex.quote(str(value))}" for name, value in given.items())])
    found = [f"{number}\t{fault.kind}: {fault.text}" for number, fault in walk.faults]
    assert not found, "\n".join([f"{len(found)} faults; to see them again: {again}", *found[:MOST]])


check_random_walk.seconds = ACTION_SECONDS
