"""What the files of a plain folder are, as far as their names tell: sequences, raters' masks, or no rater's.

A name's words are what letters and digits make of it: "T1_post" has two. docs/data.md has the whole rule.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import Path

from ObserverUncertaintyLib.formats.prediction_files import NOT_LOOKED_AT, REPORT_FILE
from ObserverUncertaintyLib.formats.references import stem
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.worklist.rules import SequenceRules, shipped_rules, words_of

_PERSON_WORDS = {"rater", "raters", "annotator", "observer", "expert", "reader"}
_RATER_WORDS = _PERSON_WORDS | {"seg", "segmentation", "mask", "label", "labels", "contour"}
# Masks that were made from raters' or that raters are compared with.
_REFERENCE_WORDS = {
    *("truth", "groundtruth", "gt", "gold", "goldstandard", "reference"),
    *("consensus", "fused", "fusion"),
    # But none and mean, which are everyday words.
    *(method.value for method in FusionMethod if method not in (FusionMethod.NONE, FusionMethod.MEAN)),
}
# Maps and masks that were computed; that a name speaks of a sequence too only tells of which.
_COMPUTED_WORDS = {
    *("prediction", "predictions", "predicted", "predictive", "pred", "probability", "probabilities", "prob"),
    *("entropy", "uncertainty", "disagreement", "variance", "mutual", "difference"),
}
# What the module calls its results in the scene, and thus their files.
_COMPUTED_NAMES = re.compile(
    r"\b(of \d+ raters|segmentation model|working copy|at the start|corrected by|reviewed by)\b"
)
_BODY_MASK = re.compile(r"\b(brain|head|body|skull) ?mask\b")


class FileKind(Enum):
    """What a file's name says."""

    NOT_DRAWN = "a result or a reference"
    MASKS = "masks of raters"
    SEQUENCE = "one sequence"
    UNCLEAR = "several sequences"
    UNKNOWN = "nothing"


def kind_by_name(file: Path, rules: SequenceRules | None = None) -> FileKind:
    """What a file's name says that it is; the files beside it tell what was computed or exported."""
    name = stem(file)
    meant = (rules or shipped_rules()).meaning(name).sequences
    is_mask = file.name.lower().endswith(".seg.nrrd") or _has_word(name, _RATER_WORDS)
    is_reference = is_reference_name(name)
    if _is_result(file) or is_computed_name(name) or (is_reference and (is_mask or not meant)):
        return FileKind.NOT_DRAWN
    if is_mask:
        return FileKind.MASKS
    if len(meant) > 1:
        return FileKind.UNCLEAR
    return FileKind.SEQUENCE if meant else FileKind.UNKNOWN


def is_reference_name(name: str) -> bool:
    """Whether a name is that of a mask that raters are compared with, such as a consensus."""
    return _has_word(name, _REFERENCE_WORDS)


def is_computed_name(name: str) -> bool:
    """Whether a name is that of something that a program computed."""
    plain = " ".join(words_of(name))
    if _BODY_MASK.search(plain) and not _has_word(name, _PERSON_WORDS):
        return True
    return _has_word(name, _COMPUTED_WORDS) or _COMPUTED_NAMES.search(plain) is not None


def _has_word(name: str, known: set[str]) -> bool:
    return any(word.rstrip("0123456789") in known for word in words_of(name))


def _is_result(file: Path) -> bool:
    """Whether the module or the command line wrote a file as a result, which its name need not say."""
    if stem(file) in ("segmentation", NOT_LOOKED_AT) and (file.parent / REPORT_FILE).is_file():
        return True
    try:
        record = json.loads(file.with_name(file.name + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and str(record.get("notice", "")).startswith("ObserverUncertainty")
