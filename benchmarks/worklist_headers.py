"""A worklist of 100 patients (30,000 DICOM files: 5 series of 60 slices each), from the folder to the files written.

Beside it pydicom reads every file's header: once the UIDs of study and series alone, once all of it before the voxels.
The files are small and made for this, and in the system's cache, as they are on a second look.

    python benchmarks/worklist_headers.py
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from measuring import CannotRunError, Machine, Report, Target, interleaved, parser, run, spread
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.worklist.scanning import scan
from ObserverUncertaintyLib.worklist.worklist import make_worklist

PATIENTS, SLICES = 100, 60
DESCRIPTIONS = ("t1_mprage_sag_p2_iso", "t1_mprage_tra_KM", "t2_tse_tra", "t2_tirm_tra_dark-fluid", "ep2d_diff_ADC")
LIMIT_SECONDS = 10.0
OURS, FIELDS, WHOLE = "worklist", "pydicom, two fields of every file", "pydicom, every header"
_NUMBER = b"0000000"
"""In a template, the place of a slice's number; it is as long as each of them."""


def make_patients(folder: Path, patients: int) -> None:
    """Write the files: each series' first is made with pydicom, the others have another number in them."""
    from pydicom.uid import generate_uid

    for patient in range(patients):
        study = generate_uid()
        for number, description in enumerate(DESCRIPTIONS, 1):
            template = _file(patient, study, number, description)
            place = folder / f"patient{patient:03d}" / f"{number}"
            place.mkdir(parents=True)
            for slice_number in range(SLICES):
                text = f"{slice_number + 1:07d}".encode()
                (place / f"{slice_number:05d}.dcm").write_bytes(template.replace(_NUMBER, text))


def _file(patient: int, study: str, number: int, description: str) -> bytes:
    """A slice of 64 x 64 voxels with the fields that scanners write, and 8 kB of the maker's own."""
    import io

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4")
    instance = UID(f"1.2.826.0.1.99.{number}.1{_NUMBER.decode()}")
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = instance
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet, data.ImageType = "ISO_IR 100", ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20200103"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101112.131000"
    data.AccessionNumber, data.Modality, data.Manufacturer = "123456", "MR", "SIEMENS"
    data.InstitutionName, data.StationName, data.StudyDescription = "Hospital", "MR1", "Brain"
    data.SeriesDescription, data.ManufacturerModelName = description, "Skyra"
    data.PatientName, data.PatientID = f"Name{patient:04d}^First", f"ID{patient:06d}"
    data.PatientBirthDate, data.PatientSex, data.PatientAge, data.PatientWeight = "19500217", "F", "070Y", 70
    data.BodyPartExamined, data.ScanningSequence, data.SequenceVariant = "BRAIN", ["GR", "IR"], ["SK", "SP", "MP"]
    data.MRAcquisitionType, data.SequenceName, data.SliceThickness = "3D", "*tfl3d1_16ns", 1
    data.RepetitionTime, data.EchoTime, data.InversionTime, data.FlipAngle = 2300, 2.98, 900, 9
    data.MagneticFieldStrength, data.ProtocolName, data.SoftwareVersions = 3, description, "syngo MR E11"
    data.StudyInstanceUID = study
    data.SeriesInstanceUID, data.FrameOfReferenceUID = generate_uid(), generate_uid()
    data.StudyID, data.SeriesNumber, data.AcquisitionNumber, data.InstanceNumber = "1", number, 1, 1
    data.ImagePositionPatient, data.ImageOrientationPatient = [-100, -100, 10], [1, 0, 0, 0, 1, 0]
    data.Rows = data.Columns = 64
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelSpacing = 1, "MONOCHROME2", [1, 1]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    private = data.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    private.add_new(0x10, "OB", b"\1" * 8192)
    data.PixelData = b"\2\1" * (64 * 64)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def by_worklist(folder: Path) -> int:
    """The whole worklist; the number of its cases."""
    with tempfile.TemporaryDirectory() as out:
        return len(make_worklist(folder, Path(out) / "worklist").cases)


def by_pydicom(files: list[Path], fields: list[str] | None) -> int:
    """Each file's header by pydicom, some of its fields or all; the number of series."""
    import pydicom

    read = (pydicom.dcmread(file, stop_before_pixels=True, specific_tags=fields) for file in files)
    return len({(data.StudyInstanceUID, data.SeriesInstanceUID) for data in read})


def measure(arguments: argparse.Namespace) -> Report:
    """Time of all three in turn."""
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise CannotRunError("pydicom is not installed") from error
    patients = 4 if arguments.quick else PATIENTS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_patients(folder, patients)
        files = sorted(folder.rglob("*.dcm"))
        candidates = {
            OURS: partial(by_worklist, folder),
            FIELDS: partial(by_pydicom, files, ["StudyInstanceUID", "SeriesInstanceUID"]),
            WHOLE: partial(by_pydicom, files, None),
        }
        series = interleaved(candidates, 1 if arguments.quick else arguments.repetitions)
        found = scan(folder, Progress())
        count = by_pydicom(files, None)
    ours, fields, whole = series
    ratios = (fields.over(ours, FIELDS), whole.over(ours, WHOLE))
    sizes = {one.slices for one in found.series}
    targets = (
        Target(f"{PATIENTS} patients within {LIMIT_SECONDS:g} s", f"{ours.median:.2f} s", ours.median <= LIMIT_SECONDS),
        Target(
            f"the series that pydicom finds, each with {SLICES} slices",
            f"{len(found.series)} of {count} series, {', '.join(map(str, sizes))} slices",
            len(found.series) == count and sizes == {SLICES},
        ),
    )
    title = f"A worklist of {patients} patients, {len(files)} DICOM files"
    tables = (spread("seconds", series), spread("times the worklist's", ratios))
    return Report(title, Machine.here(peers=("pydicom",)), tables, (*series, *ratios), (), targets)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=3)
    run(options, measure)
