"""Experiment 1 from samples to tables and figures; every arm and seed is a unit that is done or not.

Source: Jungo et al. 2018, sections 3.2 and 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.tables import write_csv
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.simulation.shapes import STATES, simulate_shape
from ObserverUncertaintyLib.studies.synthetic import figures
from ObserverUncertaintyLib.studies.synthetic.arms import Method, ShapesArm, study_arms
from ObserverUncertaintyLib.studies.synthetic.extras_and_sweeps import arm_rows, sweep_rows
from ObserverUncertaintyLib.studies.synthetic.findings import Finding, difference_rows, findings
from ObserverUncertaintyLib.studies.synthetic.paper import PAPERS_FUSIONS
from ObserverUncertaintyLib.studies.synthetic.report import report
from ObserverUncertaintyLib.studies.synthetic.samples import test_samples, write_samples
from ObserverUncertaintyLib.studies.synthetic.scores import SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import Part, SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.sweep_figure import PARAMETERS, sweeps_figure
from ObserverUncertaintyLib.studies.synthetic.tables import Result, summary_rows, write_tables
from ObserverUncertaintyLib.studies.synthetic.work import MAPS_FILE, SHOWN_SAMPLES, run_unit, unit_name, unit_of
from ObserverUncertaintyLib.studies.units import RESULT_FILE, Unit, keep_settings, read_result, run_units

DEFAULT_SETTINGS = SyntheticSettings()
REPORT_FILE = "report.md"


@dataclass(frozen=True)
class SyntheticResult:
    """What the study wrote.

    Attributes:
        folder: the study's folder.
        text: the report, Markdown.
        summary: rows of Table 1, means over seeds.
        findings: the paper's, and how many comparisons agree with them.
        elsewhere: units that another call is still working on; tables and figures lack them.
    """

    folder: Path
    text: str
    summary: list[dict[str, Any]]
    findings: list[Finding]
    elsewhere: tuple[str, ...]


def run_synthetic(
    folder: str | Path,
    settings: SyntheticSettings = DEFAULT_SETTINGS,
    *,
    only: Sequence[str] = (),
    device: str = "auto",
    resume: bool = False,
    progress: Progress | None = None,
) -> SyntheticResult:
    """Make the samples, train, predict and score every arm, and write tables, figures and report.

    Several calls may work in one folder at the same time, each on other units.

    Args:
        folder: the study's folder.
        settings: the study's settings.
        only: names of arms, or patterns such as "sweep-T-*": only these of the parts' arms are done now, with those
            whose models they use; empty for all.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on in a folder that holds a study with the same settings; further parts and seeds may be added.
        progress: is told of the work in passes over an image of 64 x 64 pixels, and can cancel.

    Raises:
        InputError: the folder is not empty, the study in it has other settings, or `only` names no arm.
        StudyError: a unit failed; its text says which, and what is done is kept.
        DeviceError: the device is absent.
    """
    folder, progress = Path(folder), progress or Progress()
    chosen = _chosen(study_arms(settings), only)
    prepare_output_folder(folder, resume=resume, overwrite=None)
    keep_settings(folder, to_json(settings), ("parts", "seeds"))
    arms = {unit_name(arm.name, seed): (arm, seed) for seed in settings.seeds for arm in chosen}
    units = [unit_of(arm, seed, settings.test) for arm, seed in arms.values()]

    def run(unit: Unit, _folder: Path, part: Progress) -> None:
        arm, seed = arms[unit.name]
        run_unit(arm, seed, settings.test, folder, device, part)

    if Part.TABLE1 in settings.parts:
        for seed in settings.seeds:
            write_samples(folder / f"seed{seed}" / "cohort", seed, settings, progress)
    outcome = run_units(folder, "synthetic", units, run, progress)
    results = finished(folder)
    text, summary, found = assemble(folder, settings, results)
    outcome.require_no_failure()
    return SyntheticResult(folder, text, summary, found, outcome.elsewhere)


def _chosen(arms: Sequence[ShapesArm], only: Sequence[str]) -> list[ShapesArm]:
    """The arms that `only` names, with those whose models they use, in the order of work."""
    for pattern in only:
        if not any(fnmatchcase(arm.name, pattern) for arm in arms):
            names = "\n".join(f"  {arm.name}" for arm in arms)
            raise InputError(f'No arm of these parts is called "{pattern}". There are:\n{names}')
    wanted = [arm for arm in arms if not only or any(fnmatchcase(arm.name, pattern) for pattern in only)]
    used = {name for arm in wanted for name in (arm.base, arm.members)}
    return [arm for arm in arms if arm in wanted or arm.name in used]


def finished(folder: Path) -> list[Result]:
    """The results of all units of a study that are done, also of parts that were asked for earlier."""
    files = sorted(folder.glob(f"seed*/*/{RESULT_FILE}"), key=lambda file: (_seed(file), file.parent.name))
    return [read_result(file.parent) for file in files]


def assemble(
    folder: Path, settings: SyntheticSettings, results: Sequence[Result]
) -> tuple[str, list[dict[str, Any]], list[Finding]]:
    """Write tables, figures and report from the units' results; returns report, Table 1's summary and findings."""
    results = sorted(results, key=_paper_order)
    write_tables(folder, results)
    found = findings(results)
    if found:
        write_csv(folder / "differences.csv", difference_rows(found))
    summary = summary_rows(results)
    text = report(settings, summary, found, results)
    write_text(folder / REPORT_FILE, text)
    table1 = [result for result in results if result["part"] == Part.TABLE1]
    figures.samples_figure(
        folder / "samples.png", [simulate_shape(number, settings.seeds[0], settings.shapes) for number in range(6)]
    )
    if table1:
        figures.wme_boxes(folder / "figure4a.png", table1)
        _figure2(folder, settings, table1)
    groups = {"reliability.png": table1, "reliability_extras.png": [r for r in results if r["part"] == Part.EXTRAS]}
    for name, group in groups.items():
        if group:
            figures.reliability_figure(folder / name, group)
    _sweeps_figure(folder, settings, results)
    return text, summary, found


def _sweeps_figure(folder: Path, settings: SyntheticSettings, results: Sequence[Result]) -> None:
    rows = [row for row in sweep_rows(settings, results) if row["parameter"] in PARAMETERS]
    if not rows:
        return
    many = [row for row in arm_rows(results) if row["method"] == Method.MANY_RATERS]
    reference = {score: many[0][f"{score}_mean"] for score in SCORES} if many else None
    sweeps_figure(folder / "sweeps.png", rows, reference)


def _figure2(folder: Path, settings: SyntheticSettings, table1: Sequence[Result]) -> None:
    """The first seed's sample, of the first few, whose expert entropy is the median one."""
    seed = table1[0]["seed"]
    cases = test_samples(seed, settings.shapes, min(settings.test, SHOWN_SAMPLES))
    disputed = [float(expert_entropy(case.raters).mean()) for case in cases]
    chosen = int(np.argsort(disputed)[len(disputed) // 2])
    maps = {
        (result["state"], result["fusion"]): np.load(folder / unit_name(result["arm"], seed) / MAPS_FILE)[
            "probability"
        ][chosen]
        for result in table1
        if result["seed"] == seed
    }
    figures.figure2(folder / "figure2.png", cases[chosen], maps, STATES, PAPERS_FUSIONS)


def _seed(file: Path) -> int:
    return int(file.parent.parent.name.removeprefix("seed"))


def _paper_order(result: Result) -> tuple[int, int, int, str]:
    fusions = list(PAPERS_FUSIONS)
    fusion = fusions.index(result["fusion"]) if result["fusion"] in fusions else len(fusions)
    return (STATES.index(result["state"]), fusion, result["seed"], result["arm"])
