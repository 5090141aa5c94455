"""Units of a study on many machines: each is a Ray task that does what `run_units` does in its own process.

A worker that dies costs its unit's current attempt: the unit is given to another one, and goes on with what lies in its
folder. Ray is an optional extra.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError, UnwritableFileError
from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.studies.units import RESULT_FILE, Unit, UnitsRun, release_claim, run_units

LOCAL = "local"
"""Instead of an address: a cluster of this machine alone, for as long as the study runs."""

ATTEMPTS = 3
"""A unit whose worker died so often has failed: it probably kills its workers itself, by the memory it takes."""

_CHECK_SECONDS = 120.0
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Cluster:
    """Where units run, and what one of them claims there.

    Attributes:
        address: of a running Ray cluster, "auto" for the one of this machine, or `LOCAL`.
        cpus: CPUs of a unit, and so torch's threads.
        gpus: GPUs of a unit; 0.5 lets two share one. Without a share Ray shows a unit no GPU.
    """

    address: str = LOCAL
    cpus: int = 1
    gpus: float = 0.0


def run_units_on_ray(
    folder: Path,
    task: str,
    units: Sequence[Unit],
    run: Callable[[Unit, Path, Progress], None],
    progress: Progress,
    cluster: Cluster,
    shared: Iterable[Path] = (),
) -> UnitsRun:
    """Do every unit that is not done, as many at a time as the cluster has room for.

    Args:
        folder: the study's folder, absolute, seen by all machines.
        task: what the progress is called.
        units: all units, in the order in which they are wanted.
        run: does one unit in its folder; see `run_units`. It is sent to the workers, which have this library too.
        progress: is told of every complete unit, and can cancel, which ends the units that are running.
        cluster: where units run.
        shared: further files and folders that every machine must see.

    Raises:
        InputError: Ray is not installed or does not answer, or a machine does not see the paths or has another version.
    """
    with _connected(cluster) as ray:
        _require_same_view(ray, folder, shared)
        return _Dispatch(ray, folder, task, units, run, progress, cluster).everything()


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    try:
        import ray
    except ImportError:
        raise InputError(
            "--ray needs the package ray, which is not installed. Install it with: pip install "
            "'observer-uncertainty[ray]', on every machine of the cluster; or leave --ray out."
        ) from None
    # What a study works on is nobody's business: a cluster of ours tells its makers nothing.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = None if cluster.address == LOCAL else cluster.address
    try:
        ray.init(address=address or "local", include_dashboard=None if address else False, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"No Ray cluster answers at {cluster.address} ({error}). Start one with `ray start --head` and give its "
            f"address, or give {LOCAL} for a cluster of this machine alone."
        ) from error
    try:
        room = ray.cluster_resources()
        for name, wanted in (("CPU", cluster.cpus), ("GPU", cluster.gpus)):
            if wanted > room.get(name, 0):
                raise InputError(
                    f"A unit claims {wanted:g} {name}, and the whole cluster has {room.get(name, 0):g}. Give a smaller "
                    f"share (--threads, --gpus)."
                )
        yield ray
    finally:
        ray.shutdown()


def _require_same_view(ray: Any, folder: Path, shared: Iterable[Path]) -> None:
    """Refuse a cluster with a machine that cannot see the study, before any work is done."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = secrets.token_hex(8)
    file = folder / f".seen-{token}"
    write_text(file, token)
    try:
        look = ray.remote(num_cpus=0, max_retries=0)(_look)
        for node in (node for node in ray.nodes() if node["Alive"]):
            name = node["NodeManagerHostname"]
            there = look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            try:
                version, missing = ray.get(there.remote(file, token, tuple(shared)), timeout=_CHECK_SECONDS)
            except ray.exceptions.RayError as error:
                raise InputError(
                    f"The machine {name} of the cluster cannot run this library: {error}\nInstall observer-uncertainty "
                    "there, in the environment that Ray was started in."
                ) from error
            if version != VERSION:
                raise InputError(
                    f"The machine {name} of the cluster has observer-uncertainty {version}, this one {VERSION}. "
                    "Install the same version on all of them."
                )
            if missing:
                raise InputError(
                    f"The machine {name} of the cluster does not see {', '.join(missing)}. The study's folder and the "
                    "cohort must lie on a disk that all machines share, under the same path."
                )
    finally:
        file.unlink(missing_ok=True)


def _look(file: Path, token: str, shared: Sequence[Path]) -> tuple[str, list[str]]:
    """What a machine sees: this library's version there, and which of the paths are missing or others."""
    try:
        same = file.read_text(encoding="utf-8") == token
    except OSError:
        same = False
    missing = [] if same else [str(file.parent)]
    return VERSION, missing + [str(path) for path in shared if not path.exists()]


def _one_unit(folder: Path, unit: Unit, run: Callable[[Unit, Path, Progress], None]) -> tuple[UnitsRun, list[str]]:
    """Do one unit in a worker's process; returns what became of it, and warnings."""
    heard = _Warnings()
    try:
        # What it needs is done: the driver saw the results.
        outcome = run_units(folder, unit.name, [replace(unit, needs=())], run, heard)
    except UnwritableFileError as error:  # of this machine's disk, perhaps; others may go on
        outcome = UnitsRun((), {unit.name: str(error)}, ())
    return outcome, heard.texts


class _Warnings(Progress):
    """Keeps warnings for the driver, which cannot hear them."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


class _Dispatch:
    """Hands units to the cluster as soon as what they need is done."""

    def __init__(
        self,
        ray: Any,
        folder: Path,
        task: str,
        units: Sequence[Unit],
        run: Callable[[Unit, Path, Progress], None],
        progress: Progress,
        cluster: Cluster,
    ) -> None:
        self.ray = ray
        self.folder = folder
        self.units = units
        self.progress = progress
        self.done = {unit.name for unit in units if (folder / unit.name / RESULT_FILE).exists()}
        self.failed: dict[str, str] = {}
        self.elsewhere: set[str] = set()
        self.running: dict[Any, Unit] = {}
        self.attempts: Counter[str] = Counter()
        self._remote = ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=0)(_one_unit)
        self._run = ray.put(run)
        progress.start(
            task, sum(unit.cost for unit in units), sum(unit.cost for unit in units if unit.name in self.done)
        )

    def everything(self) -> UnitsRun:
        try:
            self._submit()
            while self.running:
                self.progress.check_cancelled()
                finished, _ = self.ray.wait(list(self.running), num_returns=1, timeout=_WAIT_SECONDS)
                for reference in finished:
                    self._take(reference)
                self._submit()
        finally:
            for reference in self.running:
                self.ray.cancel(reference, force=True)
        waiting = [unit.name for unit in self.units if unit.name not in self.done and unit.name not in self.failed]
        return UnitsRun(tuple(unit.name for unit in self.units if unit.name in self.done), self.failed, tuple(waiting))

    def _submit(self) -> None:
        begun = {unit.name for unit in self.running.values()} | self.done | self.failed.keys() | self.elsewhere
        for unit in self.units:
            if unit.name not in begun and self.done.issuperset(unit.needs):
                self.attempts[unit.name] += 1
                self.running[self._remote.remote(self.folder, unit, self._run)] = unit

    def _take(self, reference: Any) -> None:
        unit = self.running.pop(reference)
        try:
            outcome, warnings = self.ray.get(reference)
        except (
            self.ray.exceptions.WorkerCrashedError,
            self.ray.exceptions.NodeDiedError,
            self.ray.exceptions.OutOfMemoryError,
        ) as error:
            self._lost(unit, error)
            return
        for text in warnings:
            self.progress.warning(text)
        if outcome.done:
            self.done.add(unit.name)
        elif outcome.failed:
            self.failed |= outcome.failed
        else:
            self.elsewhere.add(unit.name)
        self.progress.advance(unit.cost, unit.name)

    def _lost(self, unit: Unit, error: Exception) -> None:
        # The claim of a worker on another machine would count for some minutes more.
        release_claim(self.folder / unit.name)
        if self.attempts[unit.name] < ATTEMPTS:
            self.progress.warning(f"{unit.name}: its worker died; it is given to another one")
            return
        self.failed[unit.name] = f"its worker died {ATTEMPTS} times, the last time so: {error}"
        self.progress.warning(f"{unit.name} failed: {self.failed[unit.name]}")
        self.progress.advance(unit.cost, unit.name)
