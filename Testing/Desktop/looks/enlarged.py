"""Pictures of every step at 200 % scaling, for a person to look at."""

from __future__ import annotations

import states

SCREEN = (3200, 2000)
SCALE = 2


def check_every_step(desktop):
    def see(name):
        desktop.picture(f"{next(numbers):02}-{name}", SCREEN)

    numbers = iter(range(1, 100))
    states.walk(desktop, see)


check_every_step.seconds = 1800
