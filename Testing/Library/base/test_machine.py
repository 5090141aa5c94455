"""What this machine has, and how many processes have room on it."""

from __future__ import annotations

import os

from ObserverUncertaintyLib.base.machine import main_memory_mib, processes_that_fit


def test_there_are_no_more_processes_than_cores_or_than_memory_holds() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert processes_that_fit(1) == cores
    if hasattr(os, "sysconf"):
        assert processes_that_fit(2**60) == 1
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert processes_that_fit(memory // 2) == min(2, cores or 1)


def test_the_main_memory_is_that_of_the_system_and_a_part_of_it_is_free() -> None:
    total, free = main_memory_mib()
    assert total is not None
    if hasattr(os, "sysconf"):
        assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert free is None or 0 < free <= total
