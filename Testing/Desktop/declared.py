"""The checks that a file declares, read from its text: what Slicer does not get to is not forgotten."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

PREFIX = "check_"


@dataclass(frozen=True)
class Surroundings:
    """What a file's checks want around them.

    Attributes:
        screen: width and height in pixels; `SCREEN = (1920, 1080)` in the file.
        scale: how much larger than usual everything is drawn; `SCALE = 2` in the file.
    """

    screen: tuple[int, int] = (1600, 1000)
    scale: float = 1.0


def declaredChecks(path: Path) -> list[str]:
    """The names of a file's checks in order, without `check_`; two of one name, which hide each other, are refused."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = [name.removeprefix(PREFIX) for name in functions if name.startswith(PREFIX)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise SystemExit(f"{path}: " + (f"declared twice: {', '.join(twice)}" if twice else "declares no check"))
    return names


def declaredSurroundings(path: Path) -> Surroundings:
    """The screen and the scale that a file declares, each in a line of its own; the usual ones if it does not."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    lines = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    values = {name: ast.literal_eval(lines[name]) for name in ("SCREEN", "SCALE") if name in lines}
    usual = Surroundings()
    return Surroundings(values.get("SCREEN", usual.screen), values.get("SCALE", usual.scale))
