"""The random walk: `WALK` actions from `SEED`, or the actions of a log again."""

from __future__ import annotations

from pathlib import Path

from random_walk import ACTION_SECONDS, Walk

MOST = 30


def check_random_walk(desktop):
    task = desktop.task
    log = Path(task["pictures"]) / f"walk-{task['seed']}.log"
    walk = Walk(desktop, task["seed"], log)
    if task["replay"]:
        walk.replay(task["replay"].splitlines())
    else:
        walk.go(task["walk"])
    again = f"make test-desktop SLICER={task['slicer']} ONLY=random_walk SEED={task['seed']} REPLAY={log}"
    found = [f"{number}\t{fault.kind}: {fault.text}" for number, fault in walk.faults]
    assert not found, "\n".join([f"{len(found)} faults; to see them again: {again}", *found[:MOST]])


check_random_walk.seconds = ACTION_SECONDS
