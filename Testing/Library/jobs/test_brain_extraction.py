"""The brain as another program finds it: a small script stands in for SynthStrip and HD-BET, in a real job."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stand_in_brain import command, write_program
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintyLib.jobs import BrainExtractionRequest, Job, JobFailure, JobState, start_job
from ObserverUncertaintyLib.jobs.brain_extraction import program_and_arguments
from ObserverUncertaintyLib.jobs.folder import LOG_FILE

GRID = Grid((40, 44, 16), (1.5, 1.4, 4.0), (10.0, -20.0, 5.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
FINER = Grid((80, 88, 16), (0.75, 0.7, 4.0), GRID.origin, GRID.direction)


def head(grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A bright scalp around a brain with a hole of 0, and where the brain is."""
    k, j, i = np.mgrid[:1:16j, -1 : 1 : complex(grid.size[1]), -1 : 1 : complex(grid.size[0])]
    distance = np.hypot(i, j)
    brain = (distance < 0.5) & (k > 0.1) & (k < 0.9)
    image = np.where(brain, 200, np.where((distance > 0.6) & (distance < 0.8), 400, 20)).astype(np.float32)
    image[8, grid.size[1] // 2, grid.size[0] // 2] = 0
    return image, brain


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return write_program(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> dict[str, str]:
    write_image(tmp_path / "t1c.nrrd", head(GRID)[0], GRID)
    write_image(tmp_path / "t2.nrrd", head(FINER)[0], FINER)
    write_image(tmp_path / "flair.nrrd", head(GRID)[0] - 100, GRID)
    return {"T1c": str(tmp_path / "t1c.nrrd"), "T2/x": str(tmp_path / "t2.nrrd"), "FLAIR": str(tmp_path / "flair.nrrd")}


def extracted(
    images: dict[str, str], program: Path, mode: str, target: str = "{output}", reference: str = "T1c"
) -> Job:
    request = BrainExtractionRequest(images, reference, command(program, mode, target))
    return start_job(request, program.parents[1] / "job", name="brain")


def failed(job: Job) -> JobFailure:
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    return job.failure


@pytest.mark.parametrize(("mode", "target"), [("stripped", "{output}"), ("mask", "{mask}")])
def test_every_image_keeps_its_grid_and_the_brain_only(
    images: dict[str, str], program: Path, mode: str, target: str
) -> None:
    job = extracted(images, program, mode, target)
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    files = job.result()
    assert sorted(files) == ["FLAIR", "T1c", "T2/x", "brain_mask", "report"]
    image, brain = head(GRID)
    # What the brain encloses belongs to it, even where the image is 0.
    assert (read_mask(files["brain_mask"]).array == brain).all()
    for sequence, values in (("T1c", image), ("FLAIR", image - 100)):
        np.testing.assert_array_equal(read_image(files[sequence]).array, np.where(brain, values, 0))
    other = read_image(files["T2/x"])
    assert same_grid(other.grid, FINER)
    fine, fine_brain = head(FINER)
    kept = other.array != 0
    # Half a voxel of the coarser grid at the border.
    assert np.count_nonzero(kept ^ (fine_brain & (fine != 0))) < 0.1 * fine_brain.sum()
    np.testing.assert_array_equal(other.array[kept], fine[kept])
    report = json.loads(files["report"].read_text(encoding="utf-8"))
    assert report["volume_ml"] == pytest.approx(brain.sum() * GRID.voxel_volume_ml)
    assert "found the brain in T1c" in report["notes"][0]
    assert "resampled (nearest) onto the grid of T2/x" in report["notes"][1]
    assert len(report["notes"]) == 2
    assert "strip version 0" in (job.folder / LOG_FILE).read_text(encoding="utf-8")
    assert not list(job.folder.glob("program-*")), "the patient's image that the program was given"


def test_the_program_sees_nothing_below_0_so_that_0_is_outside_the_brain(images: dict[str, str], program: Path) -> None:
    job = extracted(images, program, "stripped", reference="FLAIR")  # the script looks for values below 0
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    assert (read_mask(job.result()["brain_mask"]).array == head(GRID)[1]).all()


@pytest.mark.parametrize(
    ("mode", "found", "advice"),
    [
        ("fail", "ended with exit code 1. It printed:\nstrip version 0", "no model file: set STRIP_HOME"),
        ("nothing", "wrote no output.nii.gz.", "strip version 0"),
        ("elsewhere", "wrote no output.nii.gz, only input_bet.nii.gz", "writes its stripped image to {output}"),
        ("grid", "on another grid: 40 x 44 x 15 voxels", "expected that of the image it was given: 40 x 44 x 16"),
        ("empty", "found no brain", "0 everywhere"),
        ("everything", "took everything for brain", "{mask} in its command"),
    ],
)
def test_what_is_no_brain_is_told_with_what_to_do(
    images: dict[str, str], program: Path, mode: str, found: str, advice: str
) -> None:
    job = extracted(images, program, mode)
    failure = failed(job)
    assert failure.code == "input"
    assert found in failure.text
    assert advice in failure.text
    assert not list(job.folder.glob("program-*"))


def test_a_program_that_is_not_there_is_named(images: dict[str, str], tmp_path: Path) -> None:
    request = BrainExtractionRequest(images, "T1c", "no-such-strip -i {input} -o {output}")
    failure = failed(start_job(request, tmp_path / "job", name="brain"))
    assert "The program no-such-strip for brain extraction cannot be started" in failure.text
    assert "whole path" in failure.text


def test_a_program_that_hangs_is_ended_with_the_job(images: dict[str, str], program: Path) -> None:
    job = extracted(images, program, "hang")
    wait_for(program.with_name("started").exists)
    assert job.state is JobState.RUNNING
    job.cancel(grace=PATIENCE)  # the worker itself ends it
    assert job.wait(PATIENCE) is JobState.CANCELLED
    assert not list(job.folder.glob("program-*"))


def test_a_command_is_read_as_its_system_does() -> None:
    assert program_and_arguments("'/my tools/strip' -i {input} -m {mask}") == [
        *("/my tools/strip", "-i", "{input}", "-m", "{mask}")
    ]
    words = program_and_arguments(r'"C:\my tools\strip.exe" -i {input} -o {output}', windows=True)
    assert words == [r"C:\my tools\strip.exe", "-i", "{input}", "-o", "{output}"]
    for wrong in ("", "strip {input}", "strip -o {output}"):
        with pytest.raises(InputError, match=r"\{input\} for the image"):
            program_and_arguments(wrong)
    with pytest.raises(InputError, match="each quote to be closed"):
        program_and_arguments("'strip {input} {output}")


def test_a_request_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="T3 is none of the images: T1"):
        BrainExtractionRequest({"T1": "a"}, "T3", "x {input} {output}")
    with pytest.raises(InputError, match='cannot be called "brain_mask"'):
        BrainExtractionRequest({"brain_mask": "a"}, "brain_mask", "x {input} {output}")
