"""The number of threads, chosen on the real machine in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ObserverUncertaintyLib.base import threads
from ObserverUncertaintyLib.base.machine import cores

PROC = Path("/proc/stat").exists()
BUSY = "while True: pass"
OF_OPENMP = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

CHOOSE = """
import os
from ObserverUncertaintyLib.base.threads import chosen_by_user, leave_busy_cores
print(leave_busy_cores(), os.environ.get("OMP_NUM_THREADS"), chosen_by_user())
"""


def chosen(**variables: str) -> list[str]:
    """What a program chooses, what OpenMP finds then, and whether it takes that for the user's choice."""
    plain = {name: value for name, value in os.environ.items() if name not in OF_OPENMP}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE], env={**plain, **variables}, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.split()


@contextmanager
def all_cores_busy() -> Iterator[None]:
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2 * cores())]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


@pytest.mark.skipif(
    not PROC or cores() < 2, reason="only Linux tells how busy its cores are, and one core is one thread"
)
def test_a_program_leaves_busy_cores_to_others_unless_the_user_chose() -> None:
    with all_cores_busy():
        assert chosen() == ["1", "1", "False"]
        assert chosen(OMP_NUM_THREADS="2") == ["None", "2", "True"]
        assert chosen(OMP_WAIT_POLICY="PASSIVE") == ["None", "None", "True"]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1.0], None),  # idle: torch's own choice, after one look
        ([0.2, 0.9], None),  # busy for a moment only
        ([0.5, 0.55, 0.5], "2"),
        ([0.0, 0.0, 0.0], "1"),  # at least one
        ([None], None),  # the system does not tell
    ],
)
def test_what_is_busy_for_a_moment_does_not_count(
    monkeypatch: pytest.MonkeyPatch, shares: list[float | None], expected: str | None
) -> None:
    looks = iter(shares)
    for name in OF_OPENMP:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_chosen_here", False)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setattr(threads, "_idle_share", lambda: next(looks))

    found = threads.leave_busy_cores()

    assert (None if found is None else str(found)) == expected == os.environ.get("OMP_NUM_THREADS")
    assert next(looks, "all looked at") == "all looked at"
    assert not threads.chosen_by_user()
