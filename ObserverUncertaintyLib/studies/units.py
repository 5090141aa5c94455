"""Studies made of units: each is done or not, so that a study goes on where it stopped, also in several processes.

A unit is a folder of its own. It is done when its result file is there, which comes last. While a process works on a
unit, a claim lies in its folder; the claim of a process that ended counts no more.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, ObserverUncertaintyError, UnwritableFileError
from ObserverUncertaintyLib.base.output_files import write_json, write_text, writing
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.resuming import refuse_other_settings
from ObserverUncertaintyLib.cohort.fingerprints import differences
from ObserverUncertaintyLib.jobs.process_identity import identity

TRAINING_COST = 3
"""A training step takes about three times a pass."""

RESULT_FILE = "result.json"
SETTINGS_FILE = "settings.json"
ERROR_FILE = "error.txt"
_DATA = "data"
_CLAIM_FILE = "claim.json"
_REFRESH_SECONDS = 30.0
_ABANDONED_SECONDS = 600.0
"""A claim of another machine that was not refreshed for so long counts no more."""


class StudyError(ObserverUncertaintyError):
    """Units of a study failed; the others are done."""


@dataclass(frozen=True)
class Unit:
    """A part of a study that is done or not.

    Attributes:
        name: its folder below the study's, such as "seed0/perturbed-none".
        cost: its size beside the other units', in any unit of work; decides how fast the progress moves.
        needs: names of units whose results it uses.
    """

    name: str
    cost: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnitsRun:
    """What became of the units.

    Attributes:
        done: names of the units with a result, of this call or an earlier one.
        failed: error texts by name.
        elsewhere: names of units that another process is working on, or that wait for such a unit.
    """

    done: tuple[str, ...]
    failed: dict[str, str]
    elsewhere: tuple[str, ...]

    def require_no_failure(self) -> None:
        """Raise StudyError with the text of every unit that failed, if one did; the tables are written before."""
        if self.failed:
            total = len(self.done) + len(self.failed) + len(self.elsewhere)
            texts = "\n".join(f"  {name}: {error}" for name, error in self.failed.items())
            raise StudyError(
                f"{len(self.failed)} of {total} units failed; those that need them wait, the others are done and in "
                f"the tables:\n{texts}\nWhen the cause is mended, the same command with --resume does them again."
            )


def keep_settings(
    folder: Path,
    content: Mapping[str, Any],
    extendable: Sequence[str],
    *,
    data: Mapping[str, Mapping[str, str]] | None = None,
    progress: Progress | None = None,
) -> None:
    """Note a study's settings in its folder.

    Args:
        folder: the study's folder.
        content: the settings, as plain values.
        extendable: names of those that hold several values, of which later calls may add others.
        data: each case's fingerprints, of a study whose cases could change meanwhile.
        progress: is told if the study was begun by an earlier version, which noted no fingerprints.

    Raises:
        InputError: the folder holds a study with other settings or of other data, a damaged note of them, or results
            without one.
    """
    fixed = {key: value for key, value in content.items() if key not in extendable}
    asked = {key: list(content[key]) for key in extendable}
    noted = {} if data is None else {_DATA: {case: dict(digests) for case, digests in data.items()}}
    path = folder / SETTINGS_FILE
    if path.exists():
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
            earlier = {key: list(before.pop(key)) for key in extendable}
            data_before = before.pop(_DATA, None)
            known = None if data_before is None else {case: dict(digests) for case, digests in data_before.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} cannot be read ({error}). Give another folder.") from error
        refuse_other_settings(folder, before, fixed, overwritable=False)
        if data is not None and known is not None:
            _refuse_other_data(folder, known, data)
            noted = {_DATA: known | noted[_DATA]}
        elif data is not None:
            # Not noted now either: what is done already may be of other files.
            noted = {}
            (progress or Progress()).warning(
                f"{folder} was begun by an earlier version, which kept no fingerprints of its cases: whether their "
                "files are the same cannot be checked"
            )
        asked = {key: list(dict.fromkeys([*earlier[key], *asked[key]])) for key in extendable}
    elif any(folder.rglob(RESULT_FILE)):
        raise InputError(
            f"{folder} holds results, but no {SETTINGS_FILE} that says of which study. Put it back, or give another "
            "folder."
        )
    write_json(path, {**asked, **fixed, **noted})


def _refuse_other_data(
    folder: Path, before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> None:
    # A case that could not be read on one of both occasions is none of those that changed.
    changed = {case: differences(before[case], digests) for case, digests in now.items() if case in before}
    told = [f"  {case}: {', '.join(texts)}" for case, texts in changed.items() if texts]
    if told:
        raise InputError(
            f"{folder} was begun with other data, so it cannot be resumed. Changed since then:\n"
            + "\n".join(told)
            + "\nGive the files as they were, or another folder to begin again."
        )


def run_units(
    folder: Path, task: str, units: Sequence[Unit], run: Callable[[Unit, Path, Progress], None], progress: Progress
) -> UnitsRun:
    """Do every unit that is not done, one after the other; another call at the same time does others.

    Args:
        folder: the study's folder.
        task: what the progress is called.
        units: all units, in the order in which they are wanted.
        run: does one unit in its folder, and writes `RESULT_FILE` there last. An `ObserverUncertaintyError` is kept in
            the unit's folder and does not stop the others; a later call tries again.
        progress: is told of the work, and can cancel.

    Raises:
        UnwritableFileError: the disk is full, for this unit as for all others.
    """
    left = {unit.name: unit for unit in units}
    done = {name for name in left if (folder / name / RESULT_FILE).exists()}
    failed: dict[str, str] = {}
    total = sum(unit.cost for unit in units)
    progress.start(task, total, sum(left[name].cost for name in done))
    while True:
        for name in [name for name in left if name not in done and (folder / name / RESULT_FILE).exists()]:
            done.add(name)  # another process did it meanwhile
            progress.advance(left[name].cost, name)
        unit = _next(folder, units, done, failed)
        if unit is None:
            break
        part = _Part(progress, unit, folder / unit.name / _CLAIM_FILE)
        try:
            progress.message(unit.name)
            run(unit, folder / unit.name, part)
            (folder / unit.name / ERROR_FILE).unlink(missing_ok=True)
            done.add(unit.name)
        except (Cancelled, UnwritableFileError):
            raise
        except ObserverUncertaintyError as error:
            failed[unit.name] = str(error)
            write_text(folder / unit.name / ERROR_FILE, f"{error}\n")
            progress.warning(f"{unit.name} failed: {error}")
        finally:
            (folder / unit.name / _CLAIM_FILE).unlink(missing_ok=True)
            part.finish()
    elsewhere = [unit.name for unit in units if unit.name not in done and unit.name not in failed]
    return UnitsRun(tuple(unit.name for unit in units if unit.name in done), failed, tuple(elsewhere))


def _next(folder: Path, units: Sequence[Unit], done: set[str], failed: dict[str, str]) -> Unit | None:
    """The first unit that can be worked on, claimed; None if there is none."""
    for unit in units:
        if unit.name in done or unit.name in failed or not done.issuperset(unit.needs):
            continue
        if _claim(folder / unit.name):
            # It may have been done between the look at its result and the claim.
            if not (folder / unit.name / RESULT_FILE).exists():
                return unit
            (folder / unit.name / _CLAIM_FILE).unlink(missing_ok=True)
    return None


def _claim(folder: Path) -> bool:
    """Take a unit if nobody works on it."""
    path = folder / _CLAIM_FILE
    content = {"pid": os.getpid(), "identity": identity(os.getpid()), "machine": platform.node()}
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _is_abandoned(path):
            return False
        path.unlink(missing_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(content, file)
        except FileExistsError:  # another process was faster
            return False
    return True


def release_claim(folder: Path) -> None:
    """Take away the claim on a unit whose process is known to have ended, perhaps on another machine."""
    (folder / _CLAIM_FILE).unlink(missing_ok=True)


def _is_abandoned(claim: Path) -> bool:
    try:
        age = time.time() - claim.stat().st_mtime
        content = json.loads(claim.read_text(encoding="utf-8"))
        if content["machine"] == platform.node():
            return identity(int(content["pid"])) != content["identity"]
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return age > _REFRESH_SECONDS  # being written, or damaged
    return age > _ABANDONED_SECONDS


class _Part(Progress):
    """One unit's share of the study's progress, whatever steps the unit's work counts in."""

    def __init__(self, whole: Progress, unit: Unit, claim: Path) -> None:
        self._whole = whole
        self._unit = unit
        self._claim = claim
        self._told = 0
        self._refreshed = time.monotonic()

    def start(self, task: str, steps: int, done: int = 0) -> None:
        """Parts of a unit are not told apart."""

    def advance(self, steps: int = 1, detail: str = "") -> None:
        """Work was done, in the unit's own measure of cost; more than the unit's cost is not told."""
        told = min(self._told + steps, self._unit.cost)
        self._whole.advance(told - self._told, f"{self._unit.name} {detail}".rstrip())
        self._told = told
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refreshed = time.monotonic()
            self._claim.touch()

    def finish(self) -> None:
        """What the work did not tell of."""
        self._whole.advance(self._unit.cost - self._told, self._unit.name)
        self._told = self._unit.cost

    def warning(self, text: str) -> None:
        """Pass a warning on, with the unit's name."""
        self._whole.warning(f"{self._unit.name}: {text}")

    def check_cancelled(self) -> None:
        """Stop if the study is to stop."""
        self._whole.check_cancelled()


def write_result(folder: Path, content: dict[str, object]) -> None:
    """Write a unit's result: the unit is done."""
    write_json(folder / RESULT_FILE, content)


def read_result(folder: Path) -> dict[str, object]:
    """Read a unit's result; raises InputError for a damaged one."""
    path = folder / RESULT_FILE
    try:
        content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Delete it; --resume does this unit again.") from error
    return content
