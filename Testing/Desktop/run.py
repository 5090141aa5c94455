"""Runs the checks in the real Slicer application: `python Testing/Desktop/run.py --slicer PATH`; README.md tells more.

Needs the standard library alone. On Linux the application gets a screen of its own from Xvfb. It never sees the user's
files: home, settings and temporary files are below one temporary folder. The exit status is 0 only if every check that
the files in `checks/` declare was made and passed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from declared import declaredChecks, declaredSurroundings
from session import MODULE_FOLDER, Outcome, Session

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]


def main() -> int:
    options = parseOptions()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Slicer and the screen are ended too
    chosen = chosenChecks(options.room, options.only)
    pictures = options.pictures.resolve()
    replay = options.replay.read_text(encoding="utf-8") if options.replay else ""  # it may lie among the pictures
    shutil.rmtree(pictures, ignore_errors=True)
    began, outcomes = time.monotonic(), []
    # A user's name may have any letter, and a folder's a blank.
    with tempfile.TemporaryDirectory(prefix="Jörg Müller ", ignore_cleanup_errors=True) as temporary:
        home = Path(temporary)
        makeCohort(options.worker_python, home / "cohort")
        for topic, names in chosen.items():
            surroundings = declaredSurroundings(HERE / options.room / f"{topic}.py")
            task = {
                "cohort": str(home / "cohort" / "cohort.toml"),
                "walk": options.walk,
                "seed": options.seed,
                "replay": replay,
                "slicer": options.slicer,
                "room": options.room,
                "scale": surroundings.scale,
                "module": str(options.module),
            }
            with screen(pictures, surroundings.screen) as display:
                session = Session(options.slicer, options.worker_python, topic, home, pictures / topic, display, task)
                for outcome in session.make(names):
                    outcomes.append(outcome)
                    show(outcome)
    failed = [outcome for outcome in outcomes if outcome.problems]
    print(f"\n{len(outcomes)} checks, {len(failed)} failed, {time.monotonic() - began:.0f} s", flush=True)
    for outcome in failed:
        print(f"  failed: {outcome.topic}.{outcome.check}")
    print(f"Pictures and logs: {pictures}")
    return 1 if failed or not outcomes else 0


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the checks in the real Slicer application.")
    parser.add_argument("--slicer", required=True, help="the Slicer application, 5.10 or newer")
    parser.add_argument("--room", default="checks", help="the folder beside this file: checks, screenshots or looks")
    parser.add_argument("--only", nargs="*", default=[], help="topics, or topic.check, in place of everything")
    parser.add_argument("--walk", type=int, default=150, help="actions of the random walk")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random walk")
    parser.add_argument("--replay", type=Path, help="log of a walk whose actions are done again")
    parser.add_argument("--pictures", type=Path, default=CHECKOUT / "build" / "desktop-pictures")
    parser.add_argument("--worker-python", default=sys.executable, help="a Python with the library and torch")
    parser.add_argument("--module", type=Path, default=MODULE_FOLDER, help="another checkout's module, to compare with")
    options = parser.parse_args()
    options.module = options.module.resolve()
    slicer = shutil.which(options.slicer)
    if slicer is None:
        parser.error(f"{options.slicer} is no program; expected the path of Slicer")
    options.slicer = str(Path(slicer).absolute())
    options.worker_python = str(Path(options.worker_python).absolute())
    return options


def chosenChecks(room: str, only: list[str]) -> dict[str, list[str]]:
    """The checks to make, by topic; those that were asked for must exist."""
    everything = {path.stem: declaredChecks(path) for path in sorted((HERE / room).glob("*.py"))}
    if not only:
        return everything
    chosen: dict[str, list[str]] = {}
    for name in only:
        topic, _dot, check = name.partition(".")
        known = everything.get(topic, [])
        if not known or (check and check not in known):
            listed = [f"{topic}.{check}" for topic, names in everything.items() for check in names]
            sys.exit(f"There is no check {name}. There are: {', '.join(listed)}")
        chosen.setdefault(topic, []).extend([check] if check else known)
    return chosen


def makeCohort(python: str, folder: Path) -> None:
    """Simulates small cases, so coarse that everything with them is fast."""
    options = ("--cases", "3", "--seed", "7", "--spacing", "3", "--thickness", "4", "--out", str(folder))
    subprocess.run(
        [python, "-m", "ObserverUncertaintyLib.cli", "simulate", "cavities", *options],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def screen(logs: Path, size: tuple[int, int]) -> Iterator[str | None]:
    """A screen without a monitor, with a window manager where one is installed; elsewhere than on Linux the user's."""
    if sys.platform != "linux":
        yield None
        return
    if shutil.which("Xvfb") is None:
        sys.exit("Xvfb is missing: it gives the application a screen of its own (Debian, Ubuntu: apt install xvfb).")
    logs.mkdir(parents=True, exist_ok=True)
    started: list[subprocess.Popen] = []
    with (logs / "screen.log").open("ab") as log:
        try:
            xvfb = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size[0]}x{size[1]}x24", "-nolisten", "tcp"]
            started.append(subprocess.Popen(xvfb, stdout=subprocess.PIPE, stderr=log))
            number = started[0].stdout.readline().decode().strip()
            if not number:
                sys.exit(f"Xvfb did not start; see {logs / 'screen.log'}")
            display = f":{number}"
            manager = shutil.which("openbox") or shutil.which("metacity") or shutil.which("xfwm4")
            if manager:
                manages = subprocess.Popen([manager], env={**os.environ, "DISPLAY": display}, stdout=log, stderr=log)
                started.append(manages)
            yield display
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


def show(outcome: Outcome) -> None:
    word = "FAILED" if outcome.problems else "passed"
    print(f"{word}  {outcome.topic}.{outcome.check}  ({outcome.seconds:.1f} s)", flush=True)
    for line in outcome.told:
        print("        " + line, flush=True)
    for problem in outcome.problems:
        print("        " + problem.rstrip().replace("\n", "\n        "), flush=True)


if __name__ == "__main__":
    sys.exit(main())
