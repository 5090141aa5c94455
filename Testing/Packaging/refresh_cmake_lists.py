"""Writes the scripts and resources that the extension installs into the CMakeLists.txt of both rooms."""

import sys

from cmake_lists import ROOMS, ROOT, Tree, refresh

tree = Tree(ROOT)
for room in ROOMS:
    changed = refresh(ROOT / room, tree.to_install(room))
    sys.stdout.write(f"{room}/CMakeLists.txt: {'written' if changed else 'was up to date'}\n")
