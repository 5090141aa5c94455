"""Pictures of every step, in windows of 1280x800 and 1920x1080 and in both themes, for a person to look at."""

from __future__ import annotations

import states

SCREEN = (1920, 1080)
SMALL = (1280, 800)
WIDTH = 420


def check_every_step(desktop):
    def see(name):
        number = next(numbers)
        for size in (SMALL, SCREEN):
            desktop.takeRoom(*size) if size == SMALL else desktop.fillScreen()
            desktop.panelWidth = WIDTH
            wide = desktop.window.frameGeometry.width()
            if wide > size[0]:
                desktop.tell(f"{name}: the window is {wide} px wide, and should be {size[0]}")
            for theme in ("light", "dark"):
                desktop.useTheme(theme)
                desktop.picture(f"{number:02}-{name}-{size[0]}-{theme}", size)
        desktop.useTheme("light")

    numbers = iter(range(1, 100))
    states.walk(desktop, see)


check_every_step.seconds = 1800
