"""Multi-frame images (enhanced MR and CT): a whole series in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ObserverUncertaintyLib.formats.dicom.headers import damaged_object, dicom_package
from ObserverUncertaintyLib.formats.dicom.volumes import on_grid
from ObserverUncertaintyLib.formats.errors import InvalidImageError
from ObserverUncertaintyLib.formats.itk import StoredImage, itk_errors


def frame_count(path: Path) -> int:
    """The number of frames that a DICOM file says it holds; 1 for a slice of a series."""
    with itk_errors(path):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    return int((*reader.GetSize(), 1)[2])


def read_frames(path: Path) -> StoredImage:
    """Read a file of several frames as one volume, each frame with its own rescale slope.

    Raises:
        UnreadableFileError: highdicom is missing, or the file is damaged.
        InvalidImageError: the frames do not form one even stack, or are in colour.
    """
    count = frame_count(path)
    highdicom = dicom_package("highdicom", path, f"a DICOM image of {count} frames")
    with damaged_object(path, f"a DICOM image of {count} frames"):
        image = highdicom.imread(path)
        geometry = image.get_volume_geometry(allow_duplicate_positions=False)
        colours = int(image.get("SamplesPerPixel") or 1)
    if colours > 1:
        raise InvalidImageError(f"{path}: the file holds {count} frames in colour; expected one value per voxel.")
    if geometry is None:
        raise InvalidImageError(
            f"{path}: its {count} frames do not form one even stack of parallel slices (several echoes, time points or "
            "b-values, or no place at all); expected one volume. Split it in 3D Slicer or with dcm2niix, and give the "
            "volume that is meant."
        )
    with damaged_object(path, f"a DICOM image of {count} frames"):
        # As GDCM gives the slices of a series: rescaled, and neither inverted nor in real-world units.
        volume = image.get_volume(
            dtype=np.float64,
            apply_real_world_transform=False,
            apply_voi_transform=False,
            apply_presentation_lut=False,
        )
        array, grid = on_grid(volume.array, volume.affine)
    return StoredImage(array, grid, frame_of_reference=str(image.get("FrameOfReferenceUID") or ""))
