"""What does a correction save? A simulated reviewer corrects slice after slice, with and without propagation.

The truth is one rater, whom the model was not trained on, each of the three in turn. The reviewer replaces whole slices
by what that rater drew, or draws in each slice only the largest piece that is wrong. Which slice comes next is decided
by slice order, by area, by expected error, or as `slices_to_edit` says, given the model's probability or what is
believed after a propagation; an oracle takes the slice whose edit and propagation help most. A simulated reviewer
flatters: it draws without effort or fatigue, exactly as the rater did, and sees in every slice what is wrong there.

    python benchmarks/review_corrections.py

A second call goes on. The models train on 60 simulated patients of various scanners with the other two raters, for 12
epochs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from shipped_model import fresh_patients

from measuring import Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.settings import (
    Augmentation,
    DropoutMasks,
    PredictionSettings,
    Schedule,
    TrainingSettings,
    UNetSettings,
)
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.review import propagation
from ObserverUncertaintyLib.review.propagation import propagate
from ObserverUncertaintyLib.review.slices import SliceToEdit, slices_to_edit
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.simulation.settings import CavitySettings
from ObserverUncertaintyLib.training.train import train

TRAINED_ON, TEST_SEED, TRAINING_SEED = 60, 950, 700
THICKNESSES_MM = (4.0, 1.0)
SETTINGS = TrainingSettings(
    epochs=12,
    batch_size=8,
    learning_rate=2e-3,
    schedule=Schedule.COSINE,
    augmentation=Augmentation.FLIP,
    background_slices=0.6,
    prior_bias=True,
    network=UNetSettings(depth=4, filters=12),
    spacing=(2.0, 2.0),
)
SEQUENCE = "T1c"
"""Of which the edges stop a propagation."""
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of edited slices."""
AXIAL, CORONAL = 0, 1
SLICES_SAVED = 0.4
LIBRARY = "change in logits, spread (the library)"
ORACLE = "oracle, the library"
ORACLE_FROM_MM = 3.0
"""With thinner slices the oracle has too many to try."""
COMPARED = {4.0: 10, 1.0: 3}
"""Patients, by thickness in mm, with whom the other ways and the coronal plane are tried: that takes long."""

Mask = NDArray[np.bool_]
Edits = dict[int, Mask]


@dataclass(frozen=True)
class Reviewed:
    """A case as a reviewer meets it, around the structure.

    Attributes:
        probability: the model's.
        truth: what the rater drew.
        image: of the sequence that is looked at.
        grid: theirs.
    """

    probability: NDArray[np.float64]
    truth: Mask
    image: NDArray[np.float32]
    grid: Grid

    @classmethod
    def of(cls, case: Case, probability: NDArray[np.float32], rater: str) -> Reviewed:
        """Cut out what anybody marked or the model doubts, with a border."""
        truth = case.raters[case.rater_names.index(rater)]
        box = tuple(
            slice(max(part.start - 4, 0), part.stop + 4)
            for part in ndimage.find_objects(((probability > 0.01) | truth).astype(np.uint8))[0]
        )
        cut = truth[box]
        return cls(
            probability[box].astype(np.float64),
            cut,
            case.image(SEQUENCE)[box],
            Grid(cut.shape[::-1], case.grid.spacing),
        )


Belief = tuple[Mask, NDArray[np.float64]]
"""A contour, and what is believed now."""

Carry = Callable[[Reviewed, Mask, Edits], Belief]
"""From a case, the contour as it is drawn now and where it was drawn, to what follows."""


def nothing(case: Reviewed, contour: Mask, drawn: Edits) -> Belief:
    """The edits alone."""
    decided = np.logical_or.reduce(list(drawn.values()))
    return contour, np.where(decided, contour, case.probability)


def ours(case: Reviewed, contour: Mask, drawn: Edits) -> Belief:
    """As the library does it."""
    found = propagate(case.probability, case.probability > 0.5, contour, drawn, case.grid, case.image)
    return found.contour, found.probability


def _composed(case: Reviewed, contour: Mask, drawn: Edits, *, residual: bool, walker: bool) -> Belief:
    """Other ways, made of the library's parts: what is carried along the slices, and a walker on the probability."""
    start = case.probability > 0.5
    believed = propagation._towards(case.probability, start)
    decided = np.logical_or.reduce(list(drawn.values()))
    follows = propagation._doubtful(case.probability) & ~decided & propagation._within_reach(drawn, case.grid)
    if residual:
        believed = believed + propagation._carried_residual(believed, contour, drawn, case.grid.spacing[::-1])
    belief = np.where(follows, expit(believed), case.probability)
    belief[decided] = contour[decided]
    if walker:
        fixed = np.where(propagation._doubtful(case.probability), belief, start)
        fixed[decided] = contour[decided]
        # Conjugate gradients end a little beside the solution.
        belief = propagation._spread(follows, fixed, belief, propagation._scaled(case.image)).clip(0.0, 1.0)
    result = np.where(follows, belief > 0.5, start)
    result[decided] = contour[decided]
    return result, belief


WAYS: dict[str, Carry] = {
    "residual along the slices": partial(_composed, residual=True, walker=False),
    "random walker": partial(_composed, residual=False, walker=True),
    "random walker, residual as its prior": partial(_composed, residual=True, walker=True),
    LIBRARY: ours,
}

Order = Callable[[Reviewed, Belief, list[int], int], int | None]
"""From a case, what is believed, the slices edited and their axis, to the next slice; None where there is none."""


def slice_order(case: Reviewed, _belief: Belief, edited: list[int], axis: int) -> int | None:
    """From one end to the other, where model or rater marked anything."""
    marked = np.moveaxis((case.probability > 0.5) | case.truth, axis, 0).any(axis=(1, 2))
    return next((int(k) for k in np.flatnonzero(marked) if k not in edited), None)


def largest_area(case: Reviewed, _belief: Belief, edited: list[int], axis: int) -> int | None:
    """The largest area of the segmentation first."""
    areas = np.moveaxis(case.probability > 0.5, axis, 0).sum(axis=(1, 2))
    return next((int(k) for k in np.argsort(-areas, kind="stable") if k not in edited and areas[k]), None)


def own_expected_error(_case: Reviewed, belief: Belief, edited: list[int], axis: int) -> int | None:
    """The largest expected error in the slice itself first."""
    errors = np.moveaxis(np.minimum(belief[1], 1 - belief[1]), axis, 0).sum(axis=(1, 2))
    return next((int(k) for k in np.argsort(-errors, kind="stable") if k not in edited and errors[k]), None)


def as_ranked(case: Reviewed, _belief: Belief, edited: list[int], axis: int) -> int | None:
    """As the library ranks them, by the model's probability."""
    return _first(slices_to_edit(case.probability, case.grid, edited, axis))


def as_believed(case: Reviewed, belief: Belief, edited: list[int], axis: int) -> int | None:
    """By what is believed after the propagation."""
    return _first(slices_to_edit(belief[1], case.grid, edited, axis))


def oracle(case: Reviewed, belief: Belief, edited: list[int], axis: int) -> int | None:
    """The slice whose edit, carried on, gives the best Dice at once: what an order that knows the truth would gain."""
    marked = np.moveaxis((case.probability > 0.5) | case.truth, axis, 0).any(axis=(1, 2))

    def gained(k: int) -> float:
        drawn = np.zeros(case.truth.shape, bool)
        np.moveaxis(drawn, axis, 0)[[*edited, k]] = True
        return dice(ours(case, np.where(drawn, case.truth, belief[0]), {axis: drawn})[0], case.truth)

    return max((int(k) for k in np.flatnonzero(marked) if k not in edited), key=gained, default=None)


def _first(ranked: Sequence[SliceToEdit]) -> int | None:
    return ranked[0].index if ranked else None


def curve(case: Reviewed, order: Order, carry: Carry, axis: int = AXIAL, strokes: bool = False) -> list[float]:
    """Dice with the rater at the start and after each edit.

    It ends where nothing is left to edit, or once half of the gap is closed and all of `SHOWN` is known.
    """
    begun = case.probability > 0.5
    belief: Belief = (begun, case.probability)
    drawn, contour, edited = np.zeros(begun.shape, bool), begun.copy(), list[int]()
    found = [dice(begun, case.truth)]
    half = (1 + found[0]) / 2
    while found[-1] < 1 and (len(found) <= SHOWN[-1] or max(found) < half):
        k = order(case, belief, edited, axis)
        if k is None:  # the rest, which the model is sure of, in slice order
            k = slice_order(case, belief, edited, axis)
        if k is None:
            break
        edited.append(k)
        here = np.zeros(begun.shape, bool)
        np.moveaxis(here, axis, 0)[k] = True
        if strokes:
            here = _largest_piece(here & (belief[0] != case.truth))
        drawn |= here
        contour = np.where(drawn, case.truth, belief[0])
        belief = carry(case, contour, {axis: drawn})
        if carry is nothing:
            belief = (np.where(drawn, case.truth, begun), belief[1])
        found.append(dice(belief[0], case.truth))
    return found


def _largest_piece(wrong: Mask) -> Mask:
    pieces, number = ndimage.label(wrong)
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])) if number else wrong


def edits_for_half(found: list[float]) -> float:
    """Edits that close half of the gap between the start and 1; a share of the last one is counted as such."""
    wanted = (1 + found[0]) / 2
    for n, value in enumerate(found):
        if value >= wanted:
            return n - (value - wanted) / (value - found[n - 1]) if n else 0.0
    return float(len(found))


def reviewed_cases(out: Path, thickness: float, cases: int, quick: bool) -> Iterator[Reviewed]:
    """The test cases, predicted by a model that did not know the rater; a rater after the other."""
    scanner = CavitySettings(in_plane_spacing_mm=1.0, slice_thickness_mm=thickness)
    if quick:
        scanner = replace(scanner, in_plane_spacing_mm=4.0, slice_thickness_mm=max(thickness, 4.0))
    test = fresh_patients(out / f"{cases}-patients-{thickness:g}-mm", cases, TEST_SEED, scanner)
    known = test.manifest.raters
    for rater in known:
        model = _model_without(rater, out, quick)
        folder = out / f"predictions-{thickness:g}-mm-{rater}"
        settings = PredictionSettings(samples=5, dropout_masks=DropoutMasks.BALANCED)
        predict_cases(model, test.case_names, test.load_images, folder, settings, skull_stripped=True, resume=True)
        for name in test.case_names:
            case = test.load(name)
            yield Reviewed.of(case, read_probability(folder / name / PROBABILITY_FILE, case), rater)


def _model_without(rater: str, out: Path, quick: bool) -> Path:
    """Train on what the other raters drew."""
    folder = out / f"model-without-{rater}"
    if not (folder / "model.json").exists():
        scanner = CavitySettings(various_scanners=not quick)
        cohort = fresh_patients(out / "training", 2 if quick else TRAINED_ON, TRAINING_SEED, scanner)
        settings = replace(SETTINGS, epochs=1, network=UNetSettings(1, 4)) if quick else SETTINGS
        kept = [name for name in cohort.manifest.raters if name != rater]
        train(
            [_with_raters(case, kept) for case in cohort.load_all()],
            folder,
            settings,
            cohort_name=cohort.name,
            label=cohort.manifest.label,
            skull_stripped=True,
            simulated=True,
            resume=True,
        )
    return folder


def _with_raters(case: Case, names: list[str]) -> Case:
    order = [case.rater_names.index(name) for name in names]
    return replace(case, rater_names=tuple(names), raters=case.raters[order])


def measure(arguments: argparse.Namespace) -> Report:
    """All reviewers, at both thicknesses."""
    cases = 1 if arguments.quick else arguments.patients
    reviewers: dict[str, Callable[[Reviewed], list[float]]] = {
        "slice order": partial(curve, order=slice_order, carry=nothing),
        "largest area first": partial(curve, order=largest_area, carry=nothing),
        "expected error first": partial(curve, order=own_expected_error, carry=nothing),
        "as ranked": partial(curve, order=as_ranked, carry=nothing),
        **{f"as ranked, {name}": partial(curve, order=as_ranked, carry=way) for name, way in WAYS.items()},
        **{f"as believed, {name}": partial(curve, order=as_believed, carry=way) for name, way in WAYS.items()},
        ORACLE: partial(curve, order=oracle, carry=ours),
        "coronal: slice order": partial(curve, order=slice_order, carry=nothing, axis=CORONAL),
        "coronal: as ranked, the library": partial(curve, order=as_ranked, carry=ours, axis=CORONAL),
        "strokes: slice order": partial(curve, order=slice_order, carry=nothing, strokes=True),
        "strokes: as ranked": partial(curve, order=as_ranked, carry=nothing, strokes=True),
        "strokes: as ranked, the library": partial(curve, order=as_ranked, carry=ours, strokes=True),
    }
    used = ("slice order", "largest area first", "expected error first", "as ranked", f"as ranked, {LIBRARY}")
    compared = [name for name in reviewers if name not in used and not name.startswith("strokes")]
    folder = arguments.out / ("quick" if arguments.quick else "full")
    tables, series, targets = [], [], []
    for thickness in arguments.thickness:
        curves: dict[str, list[list[float]]] = {name: [] for name in reviewers}
        for number, case in enumerate(reviewed_cases(folder, thickness, cases, arguments.quick)):
            for name, reviewer in reviewers.items():
                if name == ORACLE and thickness < ORACLE_FROM_MM:
                    continue
                is_compared = number % cases < COMPARED.get(thickness, 30)
                if is_compared or name not in compared:
                    curves[name].append(reviewer(case))
                if is_compared and COMPARED.get(thickness, 30) < cases and name in used:
                    curves.setdefault(f"{name}, on these", []).append(curves[name][-1])
        rows = []
        base = [edits_for_half(found) for found in curves["slice order"]]
        for name, each in curves.items():
            if not each:
                continue
            half = [edits_for_half(found) for found in each]
            means = [statistics.fmean(found[min(n, len(found) - 1)] for found in each) for n in SHOWN]
            rows.append((name, f"{len(each)}", *(f"{value:.3f}" for value in means), f"{statistics.fmean(half):.1f}"))
            series.append(Series(f"{thickness:g} mm, {name}: edits for half of the gap", tuple(half)))
        start = statistics.fmean(found[0] for found in curves["slice order"])
        header = (f"{thickness:g} mm (start {start:.3f})", "reviews", *map(str, SHOWN), "edits for half of the gap")
        tables.append(Table(header, tuple(rows)))
        with_it = curves[f"as ranked, {LIBRARY}"]
        share = statistics.fmean(map(edits_for_half, with_it)) / statistics.fmean(base)
        targets.append(
            Target(
                f"{thickness:g} mm: half of the gap with at most {SLICES_SAVED:.0%} of the slices of slice order",
                f"{share:.0%}",
                share <= SLICES_SAVED,
            )
        )
        alone = curves["as ranked"]
        worse = [
            n
            for n in range(1, SHOWN[-1] + 1)
            if statistics.fmean(c[min(n, len(c) - 1)] for c in with_it)
            < statistics.fmean(c[min(n, len(c) - 1)] for c in alone)
        ]
        targets.append(
            Target(
                f"{thickness:g} mm: mean Dice with propagation never below that of the edits alone",
                "never" if not worse else f"below after {', '.join(map(str, worse))} edits",
                not worse,
            )
        )
    notes = (
        "Mean Dice with the held-out rater after so many edited slices, over patients and raters.",
        __doc__.split("\n\n")[1],
    )
    return Report("What a correction saves", Machine.here(), tuple(tables), tuple(series), notes, tuple(targets))


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--patients", type=int, default=30, help="how many, at each thickness")
    options.add_argument(
        "--thickness", type=float, nargs="+", default=THICKNESSES_MM, metavar="MM", help="of the slices"
    )
    options.add_argument("--out", type=Path, default=Path("study-output/review-corrections"), help="for what is made")
    run(options, measure)
