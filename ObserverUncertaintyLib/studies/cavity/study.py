"""Experiment 2 from a manifest, or from simulated patients, to tables, figures and the answer.

Source: Jungo et al. 2018, sections 3.3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.tables import rounded, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.fingerprints import file_digests
from ObserverUncertaintyLib.evaluation.figures import comparison_figure
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.devices import choose_device
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintyLib.simulation.cavities import case_names, simulate_cavity_case
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.studies.cavity.arms import ARM_TITLES, Variant
from ObserverUncertaintyLib.studies.cavity.figures import wme_by_dice_group
from ObserverUncertaintyLib.studies.cavity.findings import group_differences, paired_rows
from ObserverUncertaintyLib.studies.cavity.folds import split_into_folds
from ObserverUncertaintyLib.studies.cavity.groups import GROUPS, Split, groups
from ObserverUncertaintyLib.studies.cavity.report import GROUP_TITLES, Study, report
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.cavity.tables import (
    Result,
    agreement_rows,
    case_rows,
    group_rows,
    of_before,
    scores_of_all_seeds,
    scores_of_seed,
    summary_rows,
)
from ObserverUncertaintyLib.studies.cavity.work import (
    MODEL_FOLDER,
    CavityWork,
    Task,
    case_folder,
    predicted_by,
    study_tasks,
)
from ObserverUncertaintyLib.studies.ray_units import Cluster, run_units_on_ray
from ObserverUncertaintyLib.studies.units import RESULT_FILE, keep_settings, read_result, run_units

STUDY_REPORT_FILE = "report.md"
PER_CASE_FILE = "per_case.csv"
DEFAULT_SETTINGS = CavityStudySettings()
_PREFERRED_BACKGROUND = "T1c"
"""The sequence on which surgeons and radiation oncologists look at a cavity first."""


@dataclass(frozen=True)
class CavityResult:
    """What the study wrote.

    Attributes:
        folder: the study's folder.
        text: the report, Markdown.
        cases: rows of the table of cases.
        elsewhere: units that another call is still working on; tables and figures lack them.
    """

    folder: Path
    text: str
    cases: list[dict[str, object]]
    elsewhere: tuple[str, ...]


def run_cavity(
    folder: str | Path,
    settings: CavityStudySettings = DEFAULT_SETTINGS,
    manifest: str | Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
    cluster: Cluster | None = None,
    only_folds: Collection[int] | None = None,
    processes: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> CavityResult:
    """Simulate patients or take a manifest's, train and predict every fold and arm, and write tables and figures.

    Several calls may work in one folder at the same time, each on other units.

    Args:
        folder: the study's folder.
        settings: the study's settings.
        manifest: the cohort; simulated patients, of each seed others, if None.
        device: "auto", "cpu", "cuda:N" or "mps".
        threads: torch's threads; None leaves the choice to torch. On a cluster they are the unit's CPUs instead.
        cluster: do the units on a Ray cluster instead of one after the other in this process.
        only_folds: numbers of the folds that this call works on, from 1; all if None. The tables hold what is done.
        processes: how many patients are simulated at a time.
        resume: go on in a folder that holds a study with the same settings; further seeds and arms may be added.
        progress: is told of the work in passes over a case, and can cancel.

    Raises:
        InputError: the folder is not empty, the study in it has other settings, the cohort cannot be used, or the
            cluster has a machine that does not see them, or there is no such fold.
        StudyError: a unit failed; its text says which, and what is done is kept.
        DeviceError: the device is absent.
    """
    # Absolute, since other processes have other working folders.
    folder, progress = Path(folder).absolute(), progress or Progress()
    if cluster is None:
        choose_device(device)
    beyond = sorted(fold for fold in only_folds or () if not 1 <= fold <= settings.folds)
    if beyond:
        raise InputError(f"There is no fold {beyond[0]}: the folds are numbered from 1 to {settings.folds}.")
    if manifest is not None and Variant.FORECASTER in settings.arms:
        raise InputError(
            f"The arm {Variant.FORECASTER} knows the true cavity and how the raters draw, which is known of simulated "
            "patients only. Leave it out, or simulate the patients."
        )
    given = None if manifest is None else _usable(Cohort.open(manifest))
    split_into_folds(given.case_names if given else case_names(settings.patients), settings.folds, 0)
    prepare_output_folder(folder, resume=resume, overwrite=None)
    _keep_settings(folder, settings, given, progress)
    cohorts = {seed: given or _simulated(folder, settings, seed, processes, progress) for seed in settings.seeds}
    tasks = {task.name: task for task in study_tasks(settings, cohorts)}
    mine = {name: task for name, task in tasks.items() if only_folds is None or task.fold + 1 in only_folds}
    units = [task.unit(settings) for task in mine.values()]
    _remove_outdated(folder, tasks, progress)
    if cluster is None:
        outcome = run_units(folder, "cavity", units, CavityWork(folder, settings, tasks, device, threads), progress)
    else:
        work = CavityWork(folder, settings, tasks, device, cluster.cpus)
        shared = {
            path for cohort in cohorts.values() for path in (cohort.manifest.path.absolute(), cohort.manifest.root)
        }
        outcome = run_units_on_ray(folder, "cavity", units, work, progress, cluster, sorted(shared))
    text, cases = assemble(folder, settings, cohorts, _finished(folder, tasks))
    outcome.require_no_failure()
    return CavityResult(folder, text, cases, outcome.elsewhere)


def _usable(cohort: Cohort) -> Cohort:
    """Refuse a cohort with cases that no rater drew, before any work is done."""
    bare = [name for name in cohort.case_names if not cohort.manifest.files(name).raters]
    if bare:
        raise InputError(
            f"{cohort.manifest.path}: no rater's mask for {', '.join(bare)}. Leave these cases out of cases = [...] in "
            "the manifest, or add their masks."
        )
    return cohort


def _simulated(folder: Path, settings: CavityStudySettings, seed: int, processes: int, progress: Progress) -> Cohort:
    manifest = write_cohort(
        folder / f"seed{seed}" / "cohort",
        partial(simulate_cavity_case, seed=seed, settings=settings.scanner),
        case_names(settings.patients),
        {"seed": seed, **asdict(settings.scanner)},
        name="Simulated post-operative cavities",
        label="resection cavity",
        skull_stripped=True,
        processes=processes,
        progress=progress,
        resume=True,
    )
    return Cohort.open(manifest)


def _keep_settings(folder: Path, settings: CavityStudySettings, given: Cohort | None, progress: Progress) -> None:
    """Note what decides the results; seeds and arms may be added later."""
    content = to_json(settings)
    if given:
        # What decides simulated patients decides nothing here.
        del content["patients"], content["scanner"]
        content |= {"cohort": given.name, "cases": list(given.case_names)}
    keep_settings(
        folder, content, ("seeds", "arms"), data=_fingerprints(given, progress) if given else None, progress=progress
    )


def _fingerprints(cohort: Cohort, progress: Progress) -> dict[str, dict[str, str]]:
    """Each case's fingerprints; those of one that cannot be read are left out, since its units will tell."""
    progress.start("look at the cases", len(cohort))
    found = {}
    for name in cohort.case_names:
        progress.check_cancelled()
        try:
            found[name] = file_digests(cohort.manifest.files(name))
        except InputError as error:
            progress.warning(f"{name}: {error}")
        progress.advance(1, name)
    return found


def _remove_outdated(folder: Path, tasks: Mapping[str, Task], progress: Progress) -> None:
    """Take away predictions that another model made than now lies in the study, so that they are made again."""

    @cache
    def present(training: str) -> str | None:
        try:
            return read_description(folder / training / MODEL_FOLDER).weights_digest
        except InputError:
            return None

    for task in tasks.values():
        result = folder / task.name / RESULT_FILE
        if task.case is None or not result.exists():
            continue
        made_by = predicted_by(folder / task.name)
        # Models are large: whoever deleted one whose training is done keeps what it predicted.
        if made_by and any(
            present(name) not in (None, *made_by) or not (folder / name / RESULT_FILE).exists() for name in task.models
        ):
            progress.warning(f"{task.name} is done again: another model predicted it than the study's of now")
            result.unlink(missing_ok=True)


def _finished(folder: Path, names: Mapping[str, object]) -> list[Result]:
    return [read_result(folder / name) for name in names if (folder / name / RESULT_FILE).exists()]


def assemble(
    folder: Path, settings: CavityStudySettings, cohorts: Mapping[int, Cohort], results: Sequence[Result]
) -> tuple[str, list[dict[str, object]]]:
    """Write tables, figures and report from the units' results; returns the report and the rows of all cases."""
    predicted = [result for result in results if result["case"] is not None]
    cases = case_rows(predicted)
    study = _study(settings, cohorts, cases, of_before(predicted))
    differences, tests = group_differences(study.seeds), paired_rows(study.seeds)
    summary, by_group = summary_rows(study.seeds, predicted), group_rows(study.seeds)
    agreement = agreement_rows(predicted)
    tables = {
        PER_CASE_FILE: cases,
        "summary.csv": summary,
        "wme_by_dice.csv": by_group,
        "wme_differences.csv": [vars(difference) for difference in differences],
        "paired_tests.csv": tests,
        "agreement.csv": agreement,
        "units.csv": [{key: result[key] for key in _UNIT_COLUMNS} for result in results],
    }
    for name, rows in tables.items():
        if rows:
            write_csv(folder / name, rounded(rows))
    text = report(study, agreement, summary, by_group, differences, tests)
    write_text(folder / STUDY_REPORT_FILE, text)
    if study.seeds:
        _figure4b(folder, study)
        _figure3(folder, study, cohorts)
    return text, cases


_UNIT_COLUMNS = ("seed", "arm", "fold", "case", "seconds", "finished", "device", "torch")


def _study(
    settings: CavityStudySettings,
    cohorts: Mapping[int, Cohort],
    cases: Sequence[dict[str, object]],
    scored_before: int,
) -> Study:
    single = [found for seed in cohorts if (found := scores_of_seed(cases, seed, settings.arms))]
    first = next(iter(cohorts.values()))
    same_patients = all(cohort is first for cohort in cohorts.values())
    seeds = [*single, scores_of_all_seeds(single, same_patients)] if len(single) > 1 else single
    done = 0
    for seed, cohort in cohorts.items():
        complete = {case for scores in single if scores.label == str(seed) for case in scores.cases}
        done += sum(complete.issuperset(part) for part in split_into_folds(cohort.case_names, settings.folds, seed))
    return Study(
        settings=settings,
        cohort=first.name,
        label=first.manifest.label,
        simulated=first.manifest.simulated,
        sequences=first.sequences,
        folds_done=done,
        folds=settings.folds * len(cohorts),
        seeds=seeds,
        scored_before=scored_before,
    )


def _figure4b(folder: Path, study: Study) -> None:
    scores = study.whole
    members = groups(scores.arms, Split.OWN)
    wme = {
        ARM_TITLES[arm]: [columns["wme"][members[arm].of(group)] for group in GROUPS]
        for arm, columns in scores.arms.items()
    }
    several = f", {len(study.seeds) - 1} seeds" if len(study.seeds) > 1 else ""
    wme_by_dice_group(
        folder / "figure4b.png",
        [GROUP_TITLES[group] for group in GROUPS],
        wme,
        "WME by segmentation performance",
        f"{study.cohort}: {len(scores.cases)} cases{several}, each arm split at the median of its own Dice with the\n"
        f"majority. Boxes: quartiles; a dot is a case. {study.notice}",
    )


def _figure3(folder: Path, study: Study, cohorts: Mapping[int, Cohort]) -> None:
    """The first seed's case in the middle of each Dice group of no fusion: chosen by rule, not by eye."""
    scores = study.seeds[0]
    seed = int(scores.label)
    dice = scores.arms[FusionMethod.NONE]["dice_majority"]
    members = groups(scores.arms, Split.OWN)[FusionMethod.NONE]
    chosen = [_middle(dice, members.of(group)) for group in reversed(GROUPS) if members.of(group).any()]
    if not chosen:
        return
    loaded = [cohorts[seed].load(scores.cases[number], study.settings.loading) for number in chosen]
    columns = {
        "Expert entropy": [expert_entropy(case.raters) for case in loaded],
        **{
            f"Predictive entropy\n{ARM_TITLES[arm]}": [
                binary_entropy(read_probability(folder / case_folder(seed, arm, case.name) / PROBABILITY_FILE, case))
                for case in loaded
            ]
            for arm in scores.arms
        },
    }
    comparison_figure(
        folder / "figure3.png",
        loaded,
        _background(loaded[0]),
        columns,
        title="Where the experts disagree, and where the models are unsure",
        footer=f"Seed {seed}; the case of median Dice of no fusion above and below its median. {study.notice}",
    )


def _middle(dice: np.ndarray, members: np.ndarray) -> int:
    """The member whose Dice is the median of theirs, the lower one of two."""
    numbers = np.flatnonzero(members)
    return int(numbers[np.argsort(dice[numbers], kind="stable")[(len(numbers) - 1) // 2]])


def _background(case: Case) -> str:
    return _PREFERRED_BACKGROUND if _PREFERRED_BACKGROUND in case.sequences else case.sequences[0]
