"""Writes the scripts and resources that lie in the tree into the CMakeLists.txt of both rooms."""

import sys

from cmake_lists import ROOMS, ROOT, refresh

for room in ROOMS:
    changed = refresh(ROOT / room)
    sys.stdout.write(f"{room}/CMakeLists.txt: {'written' if changed else 'was up to date'}\n")
