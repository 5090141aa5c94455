"""What a job does and how long it still takes, in words."""

from __future__ import annotations

import time

import pytest

from ObserverUncertaintyLib.jobs import JobProgress
from ObserverUncertaintySlicer.progressTexts import durationText, progressText


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40.4, "40 s"), (200, "3 min"), (7500, "2 h 5 min"), (3 * 86400, "3 days")],
)
def test_durations_are_told_as_people_say_them(seconds, text):
    assert durationText(seconds) == text


def test_no_time_is_told_before_a_part_was_measured():
    assert progressText(JobProgress()) == "Starting"
    # A training that is gone on with has measured nothing of this computer either.
    assert progressText(JobProgress("train", done=50, total=100, already=50, told=time.time())) == "train"


def test_the_time_left_is_what_the_parts_so_far_took():
    progress = JobProgress("predict Anna", done=5, total=20, detail="sample 5/20", seconds=100.0, told=time.time() + 1)
    assert progressText(progress) == "predict Anna, sample 5/20, about 5 min left"
