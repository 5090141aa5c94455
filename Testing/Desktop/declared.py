"""The checks that a file declares, read from its text: what Slicer does not get to is not forgotten."""

from __future__ import annotations

import ast
from pathlib import Path

PREFIX = "check_"


def declaredChecks(path: Path) -> list[str]:
    """The names of a file's checks in order, without `check_`; two of one name, which hide each other, are refused."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = [name.removeprefix(PREFIX) for name in functions if name.startswith(PREFIX)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise SystemExit(f"{path}: " + (f"declared twice: {', '.join(twice)}" if twice else "declares no check"))
    return names
