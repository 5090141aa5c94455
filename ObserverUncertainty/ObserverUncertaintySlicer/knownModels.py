"""The models that the panel offers: the shipped one, and those used before, which outlive scene and session."""

from __future__ import annotations

import json
from pathlib import Path

from ObserverUncertaintyLib.model.description import DESCRIPTION_FILE
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer.host import saveSetting, setting

MOST_REMEMBERED = 8
_SETTING = "RecentModels"


def knownModels() -> list[Path]:
    """Folders of the shipped model and of those used before that are still there, the latest first."""
    return [shipped_model(), *filter(_isThere, _remembered())]


def rememberModel(folder: Path) -> None:
    """Offer a model also in later sessions."""
    folder = folder.absolute()
    if folder != shipped_model():
        paths = [folder, *(path for path in _remembered() if path != folder)]
        saveSetting(_SETTING, json.dumps([str(path) for path in paths[:MOST_REMEMBERED]]))


def _isThere(folder: Path) -> bool:
    try:
        return (folder / DESCRIPTION_FILE).is_file()
    except OSError:  # such as on a share that is not to be looked at now
        return False


def _remembered() -> list[Path]:
    try:
        return [Path(text) for text in json.loads(setting(_SETTING, "[]"))]
    except (ValueError, TypeError):  # written by another version: there is nothing to offer
        return []
