"""The sample case: simulated on this machine the first time, kept for the next; nothing is downloaded.

Imported at every start of Slicer to list the case in the module Sample Data, so what is heavy is imported when it is
used.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ObserverUncertaintySlicer.host import application, dataFolder, waitCursor
from ObserverUncertaintySlicer.host import tr as _

if TYPE_CHECKING:
    from ObserverUncertaintySlicer.backgroundJobs import SceneJob
    from ObserverUncertaintySlicer.caseLoading import LoadedCase

SAMPLE_NAME = "SimulatedCavity"
SAMPLE_SEED = 2018
"""Another one than the shipped model's cohort, so that the sample case is new to it."""

_POLL_SECONDS = 0.2


def sampleFolder() -> Path:
    """Where the sample case is kept."""
    return dataFolder() / "SampleCase"


def sampleCase() -> SceneJob:
    """Start making the sample case, or reading the one that is kept; the job's result is a LoadedCase."""
    from ObserverUncertaintyLib.jobs import SimulateRequest
    from ObserverUncertaintySlicer.backgroundJobs import startSceneJob

    return startSceneJob(SimulateRequest(seed=SAMPLE_SEED), _keepAndLoad, name=_("simulate the sample case"))


def keptSampleCase() -> LoadedCase | None:
    """The sample case that was made before, loaded; None if there is none, or it is damaged."""
    from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError

    manifest = sampleFolder() / "cohort.toml"
    try:
        return _load(manifest) if manifest.is_file() else None
    except ObserverUncertaintyError:
        return None  # it is made again, and takes the damaged one's place


def registerSampleData() -> None:
    """List the sample case in Slicer's Sample Data module, unless that is switched off."""
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        return
    icon = Path(__file__).parents[1] / "Resources" / "Icons" / "ObserverUncertainty.png"
    SampleDataLogic.registerCustomSampleDataSource(
        category="ObserverUncertainty",
        sampleName=SAMPLE_NAME,
        uris="",  # nothing is downloaded, but Slicer counts the addresses
        customDownloader=lambda _source: showSampleCase(),
        thumbnailFileName=str(icon),
    )


def showSampleCase() -> list:
    """Load the sample case and show it, as the module Sample Data does with all it loads.

    Returns:
        Its nodes; none if it could not be made, which a message has told, or the user cancelled.
    """
    import slicer

    from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
    from ObserverUncertaintySlicer.caseDisplay import showCase

    try:
        with waitCursor():
            case = keptSampleCase()
        case = case or _made()
        if case is None:
            return []
        with waitCursor():
            showCase(case)
    except ObserverUncertaintyError as error:
        # Sample Data would only write it to the Python console.
        slicer.util.errorDisplay(str(error))
        return []
    return [*case.sequences.values(), *dict.fromkeys(rater.node for rater in case.raters)]


def _made() -> LoadedCase | None:
    """The sample case, made now; where there is an application, it shows how far it is. None if the user cancelled."""
    job = sampleCase()
    if application() is None:
        return job.result()
    import qt
    import slicer

    from ObserverUncertaintySlicer.progressTexts import progressText

    dialog = slicer.util.createProgressDialog(
        windowTitle=_("Sample case"), labelText=job.name, maximum=0, autoClose=False, autoReset=False
    )
    # No second click starts a second job.
    dialog.setWindowModality(qt.Qt.WindowModal)
    dialog.show()
    try:
        while not job.wait(_POLL_SECONDS).finished:
            if dialog.wasCanceled:
                job.cancel()
                return None
            # A maximum of 0 shows that something goes on, without saying how far.
            dialog.maximum = job.progress.total
            dialog.value = job.progress.done
            dialog.labelText = f"{job.name}: {progressText(job.progress)}"
        return job.result()
    finally:
        dialog.close()
        dialog.deleteLater()


def _keepAndLoad(artifacts: Mapping[str, Path]) -> LoadedCase:
    from ObserverUncertaintyLib.base.errors import InputError

    kept = sampleFolder()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            copy = Path(temporary) / kept.name
            shutil.copytree(artifacts["manifest"].parent, copy)
            shutil.rmtree(kept, ignore_errors=True)
            copy.replace(kept)
    except OSError as error:
        raise InputError(
            _(
                "{folder}: the sample case cannot be kept there: {error}. Check that you may write there, and the free "
                "space."
            ).format(folder=kept, error=error)
        ) from error
    return _load(kept / "cohort.toml")


def _load(manifest: Path) -> LoadedCase:
    from ObserverUncertaintyLib.cohort.manifest import read_manifest
    from ObserverUncertaintySlicer.caseLoading import loadManifestCase

    return loadManifestCase(manifest, read_manifest(manifest).case_names()[0])
