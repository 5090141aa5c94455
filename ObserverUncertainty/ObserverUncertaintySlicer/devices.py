"""What the Python that does the work can compute on: asked once a session, in another process."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.jobs import ProbeRequest
from ObserverUncertaintyLib.jobs.packages import Lack
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, startSceneJob
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import workerPython

AUTO, PROCESSOR = "auto", "cpu"


@dataclass(frozen=True)
class Device:
    """Something to compute on.

    Attributes:
        name: as jobs take it: "cpu", "cuda:0" or "mps".
        description: the maker's name.
        memoryMib: its memory in MiB; None if unknown.
        freeMib: how much of it was free when it was asked for; None if unknown.
    """

    name: str
    description: str
    memoryMib: int | None = None
    freeMib: int | None = None

    @property
    def text(self) -> str:
        """Name, maker's name and memory, for a list."""
        text = _("{name} — {description}").format(name=self.name, description=self.description)
        if self.memoryMib is None:
            return text
        text += _(", {total:.0f} GB").format(total=self.memoryMib / 1024)
        return text if self.freeMib is None else text + _(" ({free:.0f} GB free)").format(free=self.freeMib / 1024)


@dataclass(frozen=True)
class DeviceReport:
    """What the worker's Python has.

    Attributes:
        devices: the processor, and the GPUs that torch can use.
        torch: torch's version; None if it is missing or cannot be used.
        lacking: packages that training and prediction need and that are not there, or not in a version that fits.
        problems: packages that are there but cannot be used, and why.
        python: version of the Python.
        executable: its file.
    """

    devices: tuple[Device, ...]
    torch: str | None
    lacking: tuple[Lack, ...]
    problems: tuple[str, ...]
    python: str
    executable: str

    @property
    def hasGpu(self) -> bool:
        """Whether there is something faster than the processor."""
        return self.best != PROCESSOR

    @property
    def best(self) -> str:
        """The device that jobs take by themselves."""
        return next((device.name for device in self.devices if device.name != PROCESSOR), PROCESSOR)


_known: dict[str, DeviceReport] = {}


def knownDevices() -> DeviceReport | None:
    """What the last `probeDevices` of this session found; None before its end."""
    return _known.get(workerPython())


def forgetDevices() -> None:
    """Make the next question a new one, such as after an installation."""
    _known.clear()


def probeDevices() -> SceneJob:
    """Ask the worker's Python for its devices and packages; the job's result is a DeviceReport.

    It is kept for the session.
    """
    python = workerPython()
    # Not among the user's jobs: nobody wants to see it there, and it leaves nothing to keep.
    folder = Path(tempfile.mkdtemp(prefix="ObserverUncertainty-"))

    def load(artifacts: Mapping[str, Path]) -> DeviceReport:
        report = _read(artifacts["report"])
        shutil.rmtree(folder, ignore_errors=True)
        _known[python] = report
        return report

    return startSceneJob(ProbeRequest(), load, name=_("find devices"), folder=folder)


def _read(path: Path) -> DeviceReport:
    content = json.loads(path.read_text(encoding="utf-8"))
    return DeviceReport(
        devices=tuple(
            Device(device["name"], device["description"], device["memory_mib"], device["free_mib"])
            for device in content["devices"]
        ),
        torch=content["torch"],
        lacking=tuple(Lack(**lack) for lack in content["lacking"]),
        problems=tuple(content["problems"]),
        python=content["python"],
        executable=content["executable"],
    )


def runsOnProcessor(device: str, report: DeviceReport) -> bool:
    """Whether a job for this device computes on the processor, since it is chosen or nothing else is there."""
    return device == PROCESSOR or (device == AUTO and not report.hasGpu)
