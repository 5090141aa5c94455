"""Pictures of every step at 200 % scaling, for a person to look at."""

from __future__ import annotations

import states

SCREEN = (3200, 2000)
SCALE = 2


def check_every_step(desktop):
    states.takePictures(desktop, ("light",))


check_every_step.seconds = 1800
