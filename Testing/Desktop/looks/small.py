"""Pictures of every step on a screen of 1280x800, for a person to look at."""

from __future__ import annotations

import states

SCREEN = (1280, 800)


def check_every_step(desktop):
    states.takePictures(desktop, ("light", "dark"))


check_every_step.seconds = 1800
