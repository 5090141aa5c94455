"""The demo from end to end: a first look within a minute, then two trainings and what they differ in.

Source: the question of Jungo et al. 2018, section 3.3, on simulated patients: it shows that the whole path works and
what the pictures mean, and says nothing about real patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.output_files import prepare_output_folder
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.evaluation.scoring import Evaluation
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.demo.comparison import ARMS, Comparison
from ObserverUncertaintyLib.studies.demo.first_look import FirstLook, first_look
from ObserverUncertaintyLib.studies.demo.settings import DemoSettings
from ObserverUncertaintyLib.studies.demo.stages import Stage, StagedProgress


@dataclass(frozen=True)
class DemoResult:
    """What the demo wrote: its folder, both pictures, both tables as text, and the scores of both models."""

    folder: Path
    first_look: FirstLook
    figure: Path
    table: str
    evaluations: Mapping[FusionMethod, Evaluation]


def run_demo(
    folder: str | Path,
    settings: DemoSettings = DemoSettings(),
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
    on_first_look: Callable[[FirstLook], None] | None = None,
) -> DemoResult:
    """Look at one patient, then simulate a cohort, train both arms, predict, score, and draw; each step can be resumed.

    Args:
        folder: for everything that is made.
        settings: the demo's settings.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on in a folder that holds a demo with the same settings.
        overwrite: write into a folder that holds files.
        processes: how many patients are simulated at a time.
        progress: is told of every step, and can cancel.
        on_first_look: is told when the first picture is there.

    Raises:
        InputError: the folder is not empty, or a resumed run has other settings.
        DeviceError: the device is absent or ran out of memory.
    """
    folder = Path(folder)
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    # The parts look after themselves: each goes on where it stopped, and refuses other settings than it began with.
    resume = not overwrite
    stages = StagedProgress(progress or Progress(), "demo", _stages(settings))
    stages.enter()
    look = first_look(
        folder, settings.samples, settings.seed, device=device, resume=resume, overwrite=overwrite, progress=stages
    )
    if on_first_look is not None:
        on_first_look(look)
    comparison = Comparison(folder, settings, device, resume, overwrite, stages)
    stages.enter()
    comparison.simulate(processes)
    for arm in ARMS:
        stages.enter()
        comparison.train(arm)
        stages.enter()
        comparison.predict(arm)
    figure, table = comparison.figure(), comparison.table()
    stages.finish()
    return DemoResult(folder, look, figure, table, comparison.evaluations)


def _stages(settings: DemoSettings) -> list[Stage]:
    """What the demo does, with the seconds that it took on two cores without AVX-512."""
    patients = settings.training_cases + settings.test_cases
    stages = [Stage("one patient, and the shipped model", 6, tasks=2), Stage(f"simulating {patients} patients", 24)]
    for arm in ARMS:
        stages += [
            Stage(f"training a model, {arm.title.lower()}", 75),
            # Predicted and scored.
            Stage(f"predicting {settings.test_cases} further patients with it", 12, tasks=2),
        ]
    return stages
