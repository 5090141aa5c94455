"""The list of devices, in the training and in the prediction; both show the one device of the parameters."""

from __future__ import annotations

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.devices import (
    AUTO,
    PROCESSOR,
    forgetDevices,
    knownDevices,
    probeDevices,
    runsOnProcessor,
)
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.context import Context


class DeviceProbe:
    """Asks the worker's Python for its devices, once a session and again on a click; followed by the panel's timer."""

    endsWithScene = False

    def __init__(self, context: Context) -> None:
        self.context = context
        self.problem = ""
        self._job: SceneJob | None = None

    @property
    def isRunning(self) -> bool:
        """Whether the answer is on its way."""
        return self._job is not None

    def start(self, again: bool = False) -> None:
        """Ask, unless the answer is known, or on its way; `again` asks anew."""
        if self.isRunning or (not again and (knownDevices() is not None or self.problem)):
            return
        if again:
            forgetDevices()
        self.problem = ""
        try:
            self._job = probeDevices()
        except ObserverUncertaintyError as error:  # asked without a click, so that it is not told in a message
            self.problem = str(error)
        else:
            self.context.poll(self)
        self.context.update()

    def poll(self) -> bool:
        """Look whether the answer is there; false when there is nothing left to look at."""
        job = self._job
        if job is None:
            return False
        if not job.state.finished:
            return True
        self._job = None
        try:
            job.result()
        except ObserverUncertaintyError as error:
            self.problem = str(error)
        self.context.update()
        return False

    def abandon(self) -> None:
        """The panel goes away: end the question."""
        if self._job is not None:
            self._job.job.close()
            self._job = None


class DeviceChoice:
    """A list of devices and the button that looks for them again, the same in every step that computes on one."""

    def __init__(self, context: Context, probe: DeviceProbe, combo, button) -> None:
        self.context, self.probe, self.combo, self.button = context, probe, combo, button
        self._names: list[str] = []
        self._usualToolTip = combo.toolTip
        combo.connect("currentIndexChanged(int)", self.onChosen)
        button.connect("clicked()", self.onFind)

    def update(self) -> None:
        """Show what is there, and the device of the parameters, also one that is not there."""
        entries = self._entries()
        chosen = self.context.parameters.device
        if chosen not in entries:
            known = knownDevices() is not None
            entries[chosen] = _("{name} (not found)").format(name=chosen) if known else chosen
        wasBlocked = self.combo.blockSignals(True)
        if list(entries.values()) != [self.combo.itemText(row) for row in range(self.combo.count)]:
            self.combo.clear()
            self.combo.addItems(list(entries.values()))
        self._names = list(entries)
        self.combo.setCurrentIndex(self._names.index(chosen))
        self.combo.toolTip = f"{entries[chosen]}\n{self._usualToolTip}"
        self.combo.blockSignals(wasBlocked)
        self.button.enabled = not self.probe.isRunning

    def isProcessor(self) -> bool:
        """Whether a job would compute on the processor, as far as is known; it would where no GPU is known yet."""
        report, chosen = knownDevices(), self.context.parameters.device
        return chosen in (AUTO, PROCESSOR) if report is None else runsOnProcessor(chosen, report)

    def text(self) -> str:
        """The device that a job would compute on, in words; empty while it is not known."""
        report, chosen = knownDevices(), self.context.parameters.device
        if self.isProcessor():
            return _("the processor") if report is not None or chosen == PROCESSOR else ""
        name = report.best if chosen == AUTO and report is not None else chosen
        known = {device.name: device.description for device in report.devices} if report is not None else {}
        return known.get(name, name)

    def warning(self) -> str:
        """That a job would compute on the processor; empty where it would not, or that is not known yet."""
        report = knownDevices()
        if report is None or not runsOnProcessor(self.context.parameters.device, report):
            return ""
        if report.hasGpu:
            return _("The processor is used, though a GPU was found.")
        return _("No GPU was found; the processor takes longer.")

    def _entries(self) -> dict[str, str]:
        report = knownDevices()
        if report is None:
            looking = _("Automatic (looking for devices…)") if self.probe.isRunning else _("Automatic")
            return {AUTO: looking, PROCESSOR: _("cpu — the processor")}
        entries = {AUTO: _("Automatic: {name}").format(name=report.best)}
        return entries | {device.name: device.text for device in report.devices}

    def onChosen(self, index: int) -> None:
        """Compute on another device from now on."""
        if not self.context.isUpdating and 0 <= index < len(self._names):
            self.context.parameters.device = self._names[index]

    def onFind(self) -> None:
        """Look for devices again, such as after a driver was installed."""
        self.probe.start(again=True)
