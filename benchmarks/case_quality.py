"""How well a case's Dice with the raters' majority is known from its own prediction: candidates side by side.

    python benchmarks/case_quality.py
    python benchmarks/case_quality.py --beside FOLDER             # a further model for the fresh patients
    python benchmarks/case_quality.py --brain-growth FOLDER       # real cases with seven raters, cross-validated

Simulated patients are those of `shipped_model.py` and `demo_seeds.py`, whose models and cohorts are made or taken up.
A second call goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from brain_growth import ARMS, write_manifest
from demo_seeds import SETTINGS as DEMO
from demo_seeds import of_seed
from numpy.typing import NDArray
from scipy.stats import spearmanr
from shipped_model import ALONE, fresh_patients

from measuring import Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE, REPORT_FILE, SAVED_SAMPLES
from ObserverUncertaintyLib.formats.prediction_samples import read_samples
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import DropoutMasks, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod, fuse
from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.error_detection import area_under_risk_coverage
from ObserverUncertaintyLib.scores.metrics import dice, pairwise_dice
from ObserverUncertaintyLib.training.train import train

OURS, LINE = "(c) median over levels (ours)", "(b) mean entropy in the segmentation, on a line"
SAME = "the same for every case"
FOLDS = 3
WANTED = 0.05
"""Median absolute error of the predicted Dice."""


@dataclass(frozen=True)
class Drawn:
    """What was predicted of a case.

    Attributes:
        probability: mean of the samples, shape (k, j, i), in [0, 1].
        samples: shape (sample, k, j, i), in [0, 1].
    """

    probability: NDArray[np.float32]
    samples: NDArray[np.float32]

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """Shape (k, j, i)."""
        return self.probability > 0.5


def _pairs(case: Drawn) -> float:
    matrix = pairwise_dice(case.samples > 0.5)
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def _with_segmentation(case: Drawn) -> float:
    return float(np.mean([dice(case.segmentation, sample > 0.5) for sample in case.samples]))


def _entropy(case: Drawn) -> float:
    return float(binary_entropy(case.probability[case.segmentation]).mean())


def _independent(case: Drawn) -> float:
    inside = case.probability[case.segmentation]
    total = inside.size + case.probability.sum(dtype=np.float64)
    return 2 * float(inside.sum(dtype=np.float64)) / float(total)


def _mean_over(levels: NDArray[np.float64], case: Drawn) -> float:
    return float(np.mean([dice(case.segmentation, case.probability > level) for level in levels]))


CANDIDATES: dict[str, Callable[[Drawn], float]] = {
    "(a) mean Dice of pairs of samples": _pairs,
    "(a) mean Dice of samples with the segmentation": _with_segmentation,
    LINE: _entropy,
    "(c) voxels independent": _independent,
    "(c) mean over levels": partial(_mean_over, (np.arange(50) + 0.5) / 50),
    "(c) mean over levels 0.1, 0.2, ... 0.9": partial(_mean_over, np.arange(1, 10) / 10),
    OURS: lambda case: expected_dice(case.probability),
}


@dataclass(frozen=True)
class Predicted:
    """Cases of one model: where they lie, and what was predicted.

    Attributes:
        cohort: with the raters.
        folder: of the predictions.
    """

    cohort: Cohort
    folder: Path


def predicted(model: Path, cohort: Cohort, sequences: Sequence[str], samples: int, folder: Path) -> Predicted:
    """Predict a cohort from these sequences and keep the samples, one whole group of balanced ones or several."""

    def load(name: str) -> Case:
        return cohort.load_images(name).with_sequences(sequences)

    predict_cases(
        model,
        cohort.case_names,
        load,
        folder,
        PredictionSettings(samples, dropout_masks=DropoutMasks.BALANCED),
        device="cpu",
        skull_stripped=cohort.manifest.skull_stripped,
        save_samples=samples,
        resume=True,
    )
    return Predicted(cohort, folder)


def fresh(arguments: argparse.Namespace, cases: int) -> dict[str, list[Predicted]]:
    """Fresh simulated patients: every model with all sequences, and with T1c alone where it may be."""
    cohort = fresh_patients(arguments.shipped / f"{cases}-patients", cases)
    found = {}
    for name, model in {"shipped": shipped_model(), **{each.name: each for each in arguments.beside}}.items():
        description = read_description(model)
        for sequences, shown in ((cohort.sequences, "four sequences"), (ALONE, "T1c alone")):
            if set(description.lacking(sequences)) <= set(description.may_be_missing):
                folder = arguments.out / f"{cases}-patients-{name}-{len(sequences)}-sequences-T{arguments.samples}"
                each = predicted(model, cohort, sequences, arguments.samples, folder)
                found[f"{name} model, {shown}"] = [each]
    return found


def demo(arguments: argparse.Namespace, seeds: int) -> dict[str, list[Predicted]]:
    """The test cases of the demo of every seed, and both its models."""
    found: dict[str, list[Predicted]] = {}
    for seed in range(seeds):
        comparison = of_seed(arguments.demo, DEMO, seed)
        comparison.simulate(1)
        for arm in ARMS:
            comparison.train(arm)
            folder = arguments.out / f"demo-seed{seed}-{arm}-T{arguments.samples}"
            model = comparison.folder / "models" / arm
            each = predicted(model, comparison.test, comparison.test.sequences, arguments.samples, folder)
            found.setdefault(f"demo, {arm.title.lower()}", []).append(each)
    return found


def brain_growth(arguments: argparse.Namespace, epochs: int) -> dict[str, list[Predicted]]:
    """Real cases: each predicted by a model that was trained on the other folds."""
    manifest = write_manifest(arguments.brain_growth, arguments.out)
    names = Cohort.open(manifest).case_names
    found: dict[str, list[Predicted]] = {}
    for arm in ARMS:
        for fold in range(FOLDS):
            test = Cohort.open(manifest, names[fold::FOLDS])
            training = Cohort.open(manifest).without(test.case_names)
            folder = arguments.out / f"brain-growth-{arm}-fold{fold}-{epochs}-epochs"
            settings = TrainingSettings(fusion=arm, network=UNetSettings(depth=3, filters=16), epochs=epochs)
            train(training.load_all(), folder / "model", settings, cohort_name=training.name, resume=True)
            each = predicted(
                folder / "model", test, test.sequences, arguments.samples, folder / f"T{arguments.samples}"
            )
            found.setdefault(f"brain growth, {arm.title.lower()}", []).append(each)
    return found


@dataclass(frozen=True)
class Outcome:
    """What was predicted of each case of a data set, and what came out.

    Attributes:
        true: Dice with the raters' majority, shape (case,).
        said: by candidate, shape (case,); 0 where it is undefined.
        megabytes: of a saved sample, shape (case,).
        seconds: to compute ours, shape (case,).
    """

    true: NDArray[np.float64]
    said: dict[str, NDArray[np.float64]]
    megabytes: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Predicted]) -> Outcome:
        """Compute every candidate for every case whose majority marked something."""
        true, megabytes, seconds = [], [], []
        said: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        for part in parts:
            for name in part.cohort.case_names:
                majority = fuse(part.cohort.load(name).raters, FusionMethod.MAJORITY) > 0.5
                probability = read_image(part.folder / name / PROBABILITY_FILE).array
                drawn = Drawn(probability, read_samples(part.folder / name).probability)
                true.append(dice(drawn.segmentation, majority))
                with np.errstate(invalid="ignore"):
                    for candidate, function in CANDIDATES.items():
                        said[candidate].append(function(drawn))
                report = json.loads((part.folder / name / REPORT_FILE).read_text(encoding="utf-8"))
                megabytes.append(report[SAVED_SAMPLES]["megabytes"] / len(drawn.samples))
                started = time.process_time()
                expected_dice(probability)
                seconds.append(time.process_time() - started)
        arrays = {name: np.nan_to_num(np.array(values)) for name, values in said.items()}
        return cls(np.array(true), arrays, np.array(megabytes), np.array(seconds))


def on_a_line(outcomes: Mapping[str, Outcome], name: str) -> NDArray[np.float64]:
    """What the entropy says of a data set, brought to the scale of the Dice by a line that the other sets fit."""
    others = [outcome for other, outcome in outcomes.items() if other != name] or [outcomes[name]]
    x, y = (np.concatenate([*values]) for values in ([o.said[LINE] for o in others], [o.true for o in others]))
    return np.asarray(np.polyval(np.polyfit(x, y, 1), outcomes[name].said[LINE]))


def rows_of(outcomes: Mapping[str, Outcome], name: str) -> dict[str, tuple[float, float, float, float]]:
    """Of each candidate: median absolute error, median error, Spearman's correlation, area under risk-coverage."""
    outcome = outcomes[name]
    others = np.concatenate([o.true for other, o in outcomes.items() if other != name] or [outcome.true])
    said = dict(outcome.said) | {SAME: np.full(outcome.true.size, np.median(others))}
    said[LINE] = on_a_line(outcomes, name)
    rows = {}
    for candidate, values in said.items():
        error = values - outcome.true
        ranks = float("nan") if candidate == SAME else float(spearmanr(values, outcome.true)[0])
        # One value for every case is no order: its area is that of a random one, the mean risk.
        area = 1 - outcome.true.mean() if candidate == SAME else area_under_risk_coverage(values, outcome.true)
        rows[candidate] = (float(np.median(np.abs(error))), float(np.median(error)), ranks, float(area))
    rows["the true Dice"] = (0.0, 0.0, 1.0, area_under_risk_coverage(outcome.true, outcome.true))
    return rows


def measure(arguments: argparse.Namespace) -> Report:
    """All candidates on all data sets."""
    torch.set_num_threads(1)
    sets = fresh(arguments, 2 if arguments.quick else arguments.patients)
    if not arguments.quick:
        sets |= demo(arguments, arguments.seeds)
    if arguments.brain_growth is not None:
        sets |= brain_growth(arguments, 1 if arguments.quick else arguments.epochs)
    outcomes = {name: Outcome.of(parts) for name, parts in sets.items()}
    tables, series, targets = [], [], []
    for name, outcome in outcomes.items():
        header = (f"{name}: {outcome.true.size} cases", "median |error|", "median error", "Spearman", "AURC")
        rows = rows_of(outcomes, name)
        tables.append(Table(header, tuple((row, *_shown(values)) for row, values in rows.items())))
        series.append(Series(f"{name}: true Dice", tuple(outcome.true.tolist())))
        series += [Series(f"{name}: {said}", tuple(values.tolist())) for said, values in outcome.said.items()]
        error = rows[OURS][0]
        targets.append(Target(f"median |error| at most {WANTED}, {name}", f"{error:.3f}", error <= WANTED))
    costs = tuple(
        (name, *(f"{np.median(values):.3g}" for values in (outcome.megabytes, outcome.seconds)))
        for name, outcome in outcomes.items()
    )
    tables.append(Table(("medians over the cases", "MB a saved sample", "ours, CPU s"), costs))
    return Report(
        "The Dice that a prediction lets one expect",
        Machine.here(),
        tuple(tables),
        tuple(series),
        (
            f"{arguments.samples} balanced samples. Error: said minus true Dice with the raters' majority. AURC: area "
            "under the risk-coverage curve with risk 1 - Dice, lower is better; that of a random order stands with "
            f'"{SAME}", which says the median Dice of the other data sets.',
            "(b) is on the scale of the Dice by a line that was fitted to the other data sets; nothing else is fitted.",
        ),
        tuple(targets),
    )


def _shown(values: tuple[float, ...]) -> tuple[str, ...]:
    error, bias, ranks, area = values
    return f"{error:.3f}", f"{bias:+.3f}", "-" if np.isnan(ranks) else f"{ranks:.2f}", f"{area:.4f}"


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--beside", type=Path, nargs="*", default=[], metavar="FOLDER", help="further models")
    options.add_argument("--brain-growth", type=Path, metavar="FOLDER", help="that holds case01 to case24")
    options.add_argument("--patients", type=int, default=30, help="fresh ones, from the first")
    options.add_argument("--seeds", type=int, default=10, help="of the demo, from 0")
    options.add_argument("--epochs", type=int, default=100, help="of training on brain growth")
    options.add_argument("--samples", type=int, default=5, help="of each case: whole groups of five")
    options.add_argument("--shipped", type=Path, default=Path("study-output/shipped-model"), help="of shipped_model.py")
    options.add_argument("--demo", type=Path, default=Path("study-output/demo-seeds"), help="of demo_seeds.py")
    options.add_argument("--out", type=Path, default=Path("study-output/case-quality"), help="for what is made")
    run(options, measure)
