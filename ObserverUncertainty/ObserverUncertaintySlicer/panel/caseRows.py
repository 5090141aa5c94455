"""What a row of the list of cases says."""

from __future__ import annotations

from ObserverUncertaintySlicer.caseList import ListedCase
from ObserverUncertaintySlicer.host import tr as _


def rowCells(case: ListedCase) -> list[str]:
    """What the columns of the list say of a case."""
    prediction, notes = case.prediction, []
    if prediction.unlike_training is not None:
        notes.append(_("unlike"))
    others = len(prediction.warnings) - any(_saysUnlike(case, warning) for warning in prediction.warnings)
    if others:
        notes.append(_("1 warning") if others == 1 else _("{count} warnings").format(count=others))
    return [
        case.name,
        _("nothing") if prediction.expected_dice is None else f"{prediction.expected_dice:.2f}",
        _("{volume:.1f} mL").format(volume=prediction.volume_ml),
        ", ".join(notes),
        ", ".join(case.reviewers),
    ]


def _saysUnlike(case: ListedCase, warning: str) -> bool:
    return case.prediction.unlike_training is not None and case.prediction.unlike_training in warning


def rowToolTip(case: ListedCase) -> str:
    """All that is known of a case."""
    prediction, lines = case.prediction, [case.name]
    if prediction.unlike_training is not None:
        text = _("Unlike the training images: {reason}. The expected Dice says little here.")
        lines.append(text.format(reason=prediction.unlike_training))
    if prediction.expected_dice is None:
        lines.append(_("The model found nothing."))
    lines += [warning for warning in prediction.warnings if not _saysUnlike(case, warning)]
    if case.reviewers:
        lines.append(_("Reviewed by {names}").format(names=", ".join(case.reviewers)))
    lines.append(_("A double click, or Enter, opens the case."))
    return "\n".join(lines)
