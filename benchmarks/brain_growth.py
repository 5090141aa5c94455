"""Does the paper's finding hold on real raters? QUBIQ brain growth: one 2-D slice and seven raters a case.

Trains without fusion and with majority vote on 18 of the 24 cases, predicts the other 6 with T = 20, and compares.
The data may not be redistributed; give the folder that holds case01 to case24. Pictures of it may not be published.

    python benchmarks/brain_growth.py --data DATA/brain_growth --out study-output/brain_growth
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, write_csv
from ObserverUncertaintyLib.cli.console import ConsoleProgress
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import Evaluation, evaluate
from ObserverUncertaintyLib.evaluation.tables import write_scores
from ObserverUncertaintyLib.model.settings import PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.prediction.folder import predict_cases
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.train import train

ARMS = (FusionMethod.NONE, FusionMethod.MAJORITY)
SCORES = ("wme", "wme_as_printed", "me", "dice_majority", "ece_roi")
TRAINING_CASES = 18


def write_manifest(data: Path, folder: Path) -> Path:
    """Write the manifest of the data as it lies."""
    raters = "\n".join(f'rater{n} = "seg_rater{n}.nii.gz"' for n in range(1, 8))
    manifest = folder / "brain_growth.toml"
    write_text(
        manifest,
        f'[cohort]\nname = "QUBIQ brain growth"\nroot = "{data.resolve().as_posix()}"\ncases = "case*"\n'
        f'label = "tissue"\n\n[images]\nMR = "image.nii.gz"\n\n[raters]\n{raters}\n',
    )
    return manifest


def run_arm(
    fusion: FusionMethod, seed: int, manifest: Path, folder: Path, epochs: int, progress: Progress
) -> Evaluation:
    """Train, predict and score one arm of one seed; what is complete is not done again."""
    names = Cohort.open(manifest).case_names
    training, test = Cohort.open(manifest, names[:TRAINING_CASES]), Cohort.open(manifest, names[TRAINING_CASES:])
    arm = folder / f"seed{seed}" / fusion
    progress.message(f"seed {seed}, fusion {fusion}")
    settings = TrainingSettings(fusion=fusion, network=UNetSettings(depth=3, filters=16), epochs=epochs, seed=seed)
    train(training.load_all(), arm / "model", settings, cohort_name=training.name, resume=True, progress=progress)
    predict_cases(
        arm / "model",
        test.case_names,
        test.load_images,
        arm / "predictions",
        PredictionSettings(seed=seed),
        resume=True,
        progress=progress,
    )
    evaluation = evaluate(arm / "predictions", test, progress=progress)
    write_scores(arm / "scores.csv", evaluation)
    return evaluation


def main() -> None:
    """Run all arms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    manifest = write_manifest(arguments.data, arguments.out)
    rows = []
    with ConsoleProgress().running() as progress:
        for seed in arguments.seeds:
            for fusion in ARMS:
                evaluation = run_arm(fusion, seed, manifest, arguments.out, arguments.epochs, progress)
                means = {score: evaluation.summary[score]["mean"] for score in SCORES}
                rows.append({"seed": seed, "fusion": fusion.value, "n": len(evaluation.cases), **means})
    write_csv(arguments.out / "table.csv", rows)
    header = ["seed", "fusion", "n", *SCORES]
    print(aligned(header, [[str(r["seed"]), r["fusion"], str(r["n"]), *(number(r[s]) for s in SCORES)] for r in rows]))


if __name__ == "__main__":
    main()
