"""What the tests of the panel's sections share: opening the module, waiting for jobs, small data."""

from __future__ import annotations

import numpy as np
from simulated_cases import simulatedCase
from waiting import wait_for

from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer import devices, host
from ObserverUncertaintySlicer.devices import DeviceReport
from ObserverUncertaintySlicer.volumes import addVolume

DISCS = Grid(size=(24, 24, 4), spacing=(2.0, 2.0, 4.0))


def openPanel(slicerApplication, moduleFile, monkeypatch, folder):
    """The module's panel, its devices known, with job folders of its own below a path with a space and an umlaut."""
    monkeypatch.setenv(host.JOBS_VARIABLE, str(folder / "Müller jobs"))
    panel = slicerApplication.openModule(moduleFile).panel
    waitForDevices(panel)
    return panel


def isOffered(widget):
    """Whether a control is shown, once its step is open, and can be used."""
    return not widget.isHidden() and widget.enabled


def pretendDevices(monkeypatch, *found):
    """Let the worker's Python have other devices than it has; nothing computes on them."""
    report = DeviceReport(found, "2.13.0", (), (), "3.12.1", host.workerPython())
    monkeypatch.setitem(devices._known, host.workerPython(), report)
    return report


def waitFor(condition):
    """Run the event loop until a condition holds."""
    wait_for(condition, meanwhile=host.processEvents)


def waitForDevices(panel):
    """Wait until the question for devices, which starts with the panel, is answered."""
    waitFor(lambda: not panel.model.probe.isRunning)


def simulatedSequences(name="case"):
    """A coarse simulated case's volumes in the scene."""
    case = simulatedCase()
    return {
        sequence: addVolume(image, case.grid, f"{name} {sequence}")
        for sequence, image in zip(case.sequences, case.images, strict=True)
    }


def discImage(number):
    """A bright disc, shape (k, j, i) on DISCS, and the distance from its middle in voxels."""
    rows, columns = np.mgrid[:24, :24]
    distance = np.hypot(rows - 11, columns - 10 - number)
    image = (distance < 6) * 50.0 + 20 + (rows % 3)
    return np.repeat(image[None], 4, axis=0).astype(np.float32), np.repeat(distance[None], 4, axis=0)


def writeDiscs(folder):
    """A cohort of two discs that two raters drew with different radii; returns its manifest."""
    for number in (1, 2):
        image, distance = discImage(number)
        write_image(folder / f"p{number}" / "t1.nrrd", image, DISCS)
        for rater, radius in (("anna", 5), ("ben", 7)):
            write_mask(folder / f"p{number}" / f"{rater}.nrrd", distance < radius, DISCS)
    text = '[cohort]\nname = "Discs"\ncases = "p*"\nlabel = "disc"\nsimulated = true\n[images]\nT1 = "t1.nrrd"\n'
    write_text(folder / "cohort.toml", text + '[raters]\nanna = "anna.nrrd"\nben = "ben.nrrd"\n')
    return folder / "cohort.toml"
