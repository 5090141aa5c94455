"""The sample case: simulated on this machine the first time, kept for the next; nothing is downloaded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ObserverUncertaintyLib.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.jobs import SimulateRequest
from ObserverUncertaintyLib.manifest import read_manifest
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, startSceneJob
from ObserverUncertaintySlicer.caseFiles import LoadedCase, loadManifestCase
from ObserverUncertaintySlicer.host import dataFolder
from ObserverUncertaintySlicer.host import tr as _

SAMPLE_NAME = "SimulatedCavity"
SAMPLE_SEED = 2018
"""Another one than the shipped model's cohort, so that the sample case is new to it."""


def sampleFolder() -> Path:
    """Where the sample case is kept."""
    return dataFolder() / "SampleCase"


def sampleCase() -> SceneJob:
    """Start making the sample case, or reading the one that is kept; the job's result is a LoadedCase."""
    return startSceneJob(SimulateRequest(seed=SAMPLE_SEED), _keepAndLoad, name=_("simulate the sample case"))


def keptSampleCase() -> LoadedCase | None:
    """The sample case that was made before, loaded; None if there is none, or it is damaged."""
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
        customDownloader=lambda _source: _nodesOf(keptSampleCase() or sampleCase().result()),
        thumbnailFileName=str(icon),
    )


def _keepAndLoad(artifacts: Mapping[str, Path]) -> LoadedCase:
    kept = sampleFolder()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
        copy = Path(temporary) / kept.name
        shutil.copytree(artifacts["manifest"].parent, copy)
        shutil.rmtree(kept, ignore_errors=True)
        copy.replace(kept)
    return _load(kept / "cohort.toml")


def _load(manifest: Path) -> LoadedCase:
    return loadManifestCase(manifest, read_manifest(manifest).case_names()[0])


def _nodesOf(case: LoadedCase) -> list:
    return [*case.sequences.values(), *dict.fromkeys(rater.node for rater in case.raters)]
