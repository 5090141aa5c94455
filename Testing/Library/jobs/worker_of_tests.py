"""A worker that misbehaves on request: `python worker_of_tests.py MODE JOB_FOLDER`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ObserverUncertaintyLib.base.errors import DeviceError, InputError
from ObserverUncertaintyLib.jobs.requests import Request
from ObserverUncertaintyLib.jobs.work import Reporter, _with_less_memory, do
from ObserverUncertaintyLib.jobs.worker import main

LONG = 60.0


def cooperate(_request: Request, _folder: Path, reporter: Reporter) -> None:
    reporter.start("count", 1000)
    for step in range(1000):
        reporter.check_cancelled()
        time.sleep(0.02)
        reporter.advance(1, f"step {step + 1}")


def ignore_cancel(_request: Request, _folder: Path, reporter: Reporter) -> None:
    reporter.message("deaf")
    time.sleep(LONG)


def have_child(_request: Request, folder: Path, reporter: Reporter) -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({LONG})"])
    (folder / "child.json").write_text(json.dumps({"pid": child.pid}), encoding="utf-8")
    reporter.message("child started")
    time.sleep(LONG)


def print_garbage(_request: Request, folder: Path, reporter: Reporter) -> None:
    os.write(1, b"\xff\xfe not text \x00\n")
    sys.stderr.write("printed, not an event\n")
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b"\xff\xfe{]\n" + b'{"kind": "progress", "time": 1, "data": {"task": 7}}\n' + b"[1, 2]\n")
    reporter.message("still here")


def half_a_line(_request: Request, folder: Path, _reporter: Reporter) -> None:
    line = json.dumps({"kind": "message", "time": 1.0, "data": {"text": "whole"}}).encode()
    with (folder / "events.jsonl").open("ab", buffering=0) as file:
        file.write(line[:20])
        (folder / "half").touch()
        while not (folder / "go on").exists():
            time.sleep(0.01)
        file.write(line[20:] + b"\n")


def crash(_request: Request, _folder: Path, _reporter: Reporter) -> None:
    import faulthandler

    faulthandler._sigsegv()  # type: ignore[attr-defined]


def say_done_and_fail(_request: Request, folder: Path, _reporter: Reporter) -> None:
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "done", "time": 1, "data": {}}\n')
    os._exit(5)


def artifact_cut_off(_request: Request, folder: Path, reporter: Reporter) -> None:
    import numpy as np

    from ObserverUncertaintyLib.formats import write_image
    from ObserverUncertaintyLib.images.grid import Grid

    path = folder / "result" / "noise.nrrd"
    write_image(path, np.random.default_rng(0).normal(size=(4, 8, 8)), Grid((8, 8, 4)))
    reporter.artifact("noise", path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def too_little_memory(_request: Request, folder: Path, reporter: Reporter) -> None:
    sizes = []

    def work(batch_size: int) -> None:
        sizes.append(batch_size)
        if batch_size > 1:
            raise DeviceError("cuda:0 ran out of memory.")

    _with_less_memory(work, 4, reporter)
    (folder / "sizes.json").write_text(json.dumps(sizes), encoding="utf-8")


def never_enough_memory(_request: Request, _folder: Path, reporter: Reporter) -> None:
    def work(_batch_size: int) -> None:
        raise DeviceError("cuda:0 ran out of memory.")

    _with_less_memory(work, 2, reporter)


def full_disk(request: Request, folder: Path, reporter: Reporter) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    do(request, folder, reporter)


def full_disk_at_once(request: Request, folder: Path, reporter: Reporter) -> None:
    import resource

    reporter.message("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
    reporter.message("lost")
    do(request, folder, reporter)


def wrong_input(_request: Request, _folder: Path, _reporter: Reporter) -> None:
    raise InputError("t1.nrrd: the file is missing.")


def package_missing(_request: Request, _folder: Path, _reporter: Reporter) -> None:
    import a_package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401


def old_driver(_request: Request, _folder: Path, _reporter: Reporter) -> None:
    raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")


if __name__ == "__main__":
    main(Path(sys.argv[2]), globals()[sys.argv[1]])
