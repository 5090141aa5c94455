"""A cohort on the disk with predictions as `observer-uncertainty predict` writes them, for the tests of the list."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from correct_step import modelsProbability
from section_case import GRID, RATERS, head

from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.scores.entropy import binary_entropy

WEIGHTS = "712422b2"
SEQUENCES = ("T1", "T2")


def writeCohort(folder, cases, raters=RATERS):
    """Cases with two images of their own and the same raters; returns the manifest."""
    folder.mkdir(parents=True)
    for number, case in enumerate(cases):
        for place, sequence in enumerate(SEQUENCES):
            write_image(folder / case / f"{sequence}.nrrd", image(number, place), GRID)
        for name, mask in raters.items():
            write_mask(folder / case / f"rater_{name}.nrrd", mask, GRID)
    lines = ["[cohort]", 'name = "a cohort"', f"cases = {json.dumps(list(cases))}", "[images]"]
    lines += [f'{sequence} = "{sequence}.nrrd"' for sequence in SEQUENCES]
    lines += ["[raters]", *(f'{name} = "rater_{name}.nrrd"' for name in raters)]
    (folder / "cohort.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "cohort.toml"


def image(number, place):
    """The image of a case, by the numbers of case and sequence."""
    return head((place, number, 0))


def writePrediction(folder, number, dice, grid=GRID, **report):
    """The prediction of a case, by the case's number; `report` changes what it says."""
    probability = np.roll(modelsProbability(), number, axis=1)
    entropy = binary_entropy(probability).astype(np.float32)
    maps = {
        "probability": probability,
        "predictive_entropy": entropy,
        "expected_entropy": (0.75 * entropy).astype(np.float32),
        "mutual_information": (0.25 * entropy).astype(np.float32),
    }
    for name, values in maps.items():
        write_image(folder / f"{name}.nii.gz", values, grid)
    write_mask(folder / "segmentation.nii.gz", probability > 0.5, grid)
    images = np.stack([image(number, place) for place in range(len(SEQUENCES))])
    content = {
        "notice": "Research use only. Not a medical device.",
        "case": folder.name,
        "label": "cavity",
        "fusion": "none",
        "samples": 5,
        "dropout_masks": "balanced",
        "sequences": list(SEQUENCES),
        "volume_ml": float((probability > 0.5).sum() * 0.01),
        "expected_dice": dice,
        "notes": [],
        "warnings": [],
        "unlike_training": None,
        "weights": WEIGHTS,
        "made_from": {"images": hashlib.sha256(images.data).hexdigest()[:32]},
        **report,
    }
    (folder / "prediction.json").write_text(json.dumps(content), encoding="utf-8")


def writeList(folder):
    """Three cases, the worst of which is case02; returns manifest and folder of predictions."""
    manifest = writeCohort(folder / "Müller cohort", ["case01", "case02", "case03"])
    predictions = folder / "its predictions"
    for number, dice in enumerate((0.9, 0.7, 0.8)):
        writePrediction(predictions / f"case{number + 1:02d}", number, dice)
    return manifest, predictions
