"""The command line as a whole: every command explains itself, and help is quick."""

from __future__ import annotations

import subprocess
import sys

from program import run


def test_every_command_explains_itself_with_an_example() -> None:
    commands = (["demo"], ["fuse"], ["disagreement"], ["train"], ["predict"], ["evaluate"])
    commands += (
        *(["review", each] for each in ("cases", "places", "contour", "alternatives", "propagate")),
        ["simulate", "cavities"],
        ["simulate", "shapes"],
        ["experiment", "synthetic"],
        ["experiment", "cavity"],
    )
    for command in commands:
        text = run(*command, "--help").stdout
        assert f"\n    observer-uncertainty {' '.join(command)} " in text, "on a line of its own"
        assert "\\b" not in text
    assert "Research use only" in run("--help").stdout


def test_help_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; import ObserverUncertaintyLib.cli; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
