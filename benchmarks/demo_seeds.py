"""Does the demo show what it is for, whatever its seed? Its comparison with ten seeds, a process a core.

Of each seed: the model without fusion should have the higher WME, at about the same Dice, and both should segment well
enough to be worth looking at. Number format float32, as on processors without bfloat16. A second call goes on.

    python benchmarks/demo_seeds.py
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from measuring import Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.base.machine import processes_that_fit
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.model.settings import Precision
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.cavities import SIMULATION_BYTES
from ObserverUncertaintyLib.simulation.side_by_side import side_by_side
from ObserverUncertaintyLib.studies.demo.comparison import ARMS, Comparison
from ObserverUncertaintyLib.studies.demo.settings import DemoSettings

SETTINGS = DemoSettings(precision=Precision.FLOAT32)
APART, AT_LEAST = 0.05, 0.75
"""Of the Dice with the majority: how far apart the models may be, and what the majority's must reach."""

WANTED = 0.8
"""Of the seeds."""


def of_seed(out: Path, settings: DemoSettings, seed: int) -> Comparison:
    """The demo's comparison with a seed, without its parts."""
    return Comparison(out / f"seed{seed}", replace(settings, seed=seed), "cpu", True, False, Progress())


def work(out: Path, settings: DemoSettings, seed: int) -> None:
    """Everything of one seed, on one thread."""
    torch.set_num_threads(1)
    comparison = of_seed(out, settings, seed)
    comparison.simulate(1)
    for arm in ARMS:
        comparison.train(arm)
        comparison.predict(arm)
    comparison.table()


def measure(arguments: argparse.Namespace) -> Report:
    """All seeds."""
    settings, seeds = SETTINGS, list(range(arguments.seeds))
    if arguments.quick:
        settings, seeds = replace(SETTINGS, training_cases=2, test_cases=1, epochs=1, filters=2), [0, 1]
    for _ in side_by_side(
        partial(work, arguments.out, settings), seeds, processes_that_fit(SIMULATION_BYTES), Progress()
    ):
        pass
    rows, held, figures = [], 0, []
    for seed in seeds:
        comparison = of_seed(arguments.out, settings, seed)
        for arm in ARMS:
            comparison.predict(arm)  # which is done, and only scored
        wme, dice = (
            [comparison.evaluations[arm].summary[score]["mean"] for arm in ARMS] for score in ("wme", "dice_majority")
        )
        majority = dice[ARMS.index(FusionMethod.MAJORITY)]
        holds = wme[0] > wme[1] and abs(dice[0] - dice[1]) <= APART and majority >= AT_LEAST
        held += holds
        figures.append((*wme, *dice))
        rows.append((str(seed), *(f"{value:.3f}" for value in (*wme, *dice)), "yes" if holds else "no"))
    header = ("seed", *(f"{score}, {arm.title.lower()}" for score in ("WME", "Dice") for arm in ARMS), "as wanted")
    return Report(
        "The demo with ten seeds",
        Machine.here(),
        (Table(header, tuple(rows)),),
        tuple(Series(name, values) for name, values in zip(header[1:-1], zip(*figures, strict=True), strict=True)),
        (
            f"Means over {settings.test_cases} test cases; Dice with the raters' majority. As wanted: the WME without "
            f"fusion is higher, the Dice differ by at most {APART}, and the majority's is at least {AT_LEAST}.",
        ),
        (Target(f"as wanted with {WANTED:.0%} of the seeds", f"{held} of {len(seeds)}", held >= WANTED * len(seeds)),),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    options.add_argument("--out", type=Path, default=Path("study-output/demo-seeds"), help="for what is made")
    run(options, measure)
