"""Pictures of every step on a screen of 1920x1080, for a person to look at."""

from __future__ import annotations

import states

SCREEN = (1920, 1080)


def check_every_step(desktop):
    states.takePictures(desktop, ("light", "dark"))


check_every_step.seconds = 1800
