"""Whether a job's artifact is there as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import SimpleITK as sitk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.itk import quiet
from ObserverUncertaintyLib.model.description import WEIGHTS_FILE, read_description


def artifact_problem(path: Path, expected_bytes: int | None) -> str | None:
    """What is wrong with an artifact; None if it can be read.

    Reads headers only, so that asking is quick: a file that was cut off has another size.

    Args:
        path: the file, or a model's folder.
        expected_bytes: the file's size when it was complete; None for a folder.
    """
    if not path.exists():
        return f"{path} is missing, though the job wrote it."
    try:
        if expected_bytes is not None and path.stat().st_size != expected_bytes:
            found = path.stat().st_size
            return f"{path} has {found} bytes, the job wrote {expected_bytes}: it is damaged or was changed."
        if path.is_dir():
            read_description(path)
            if not (path / WEIGHTS_FILE).is_file():
                return f"{path} holds no {WEIGHTS_FILE}, though the job wrote it."
        elif path.suffix == ".nrrd":
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            with quiet():
                reader.ReadImageInformation()
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, InputError) as error:
        return f"{path} cannot be read: {error}"
    return None
