"""Runs the benchmarks one after the other and writes RESULTS.md: a section each, or why one cannot run here.

    python benchmarks/run_all.py
    python benchmarks/run_all.py staple fusion    # only these; the other sections stay

Other options (--quick, --device=cpu) are handed to every benchmark. A study of data that you must have (brain_growth)
and what runs in Slicer's Python (slicer_clicks) have commands of their own.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import CANNOT_RUN
from ObserverUncertaintyLib.base.output_files import write_text

FOLDER = Path(__file__).parent
BENCHMARKS = (
    "floor",
    "monte_carlo",
    "balanced_masks",
    "whole_case",
    "compression",
    "training_step",
    "threads",
    "prediction_memory",
    "staple",
    "fusion",
    "measures",
    "imported_samples",
    "worklist_headers",
    "rtstruct",
    "growth",
    "cavity_stages",
)
_HEAD = "# Results of the benchmarks\n\nWritten by `make bench`; each section names the command that makes it.\n"


def section(name: str, options: list[str]) -> str:
    """Run one benchmark and return its section."""
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "section.md"
        command = [sys.executable, str(FOLDER / f"{name}.py"), f"--markdown={file}", *options]
        done = subprocess.run(command, stderr=subprocess.PIPE, encoding="utf-8", check=False)
        sys.stderr.write(done.stderr)
        if file.exists():
            return file.read_text(encoding="utf-8")
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    reason = "cannot run here" if done.returncode == CANNOT_RUN else "failed"
    return f"## {name}\n\n`python benchmarks/{name}.py` {reason}: {lines[-1]}\n"


def earlier_sections(file: Path) -> dict[str, str]:
    """The sections that the file holds, by benchmark."""
    parts = (
        re.split(r"^<!-- (\w+) -->\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE) if file.exists() else []
    )
    return {name: text.strip() + "\n" for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def main() -> None:
    """Run what was asked for and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--out", type=Path, default=FOLDER / "RESULTS.md", help="the file to write")
    arguments, options = parser.parse_known_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    sections = earlier_sections(arguments.out)
    for name in arguments.names or BENCHMARKS:
        sections[name] = section(name, options)
        parts = (f"<!-- {key} -->\n{sections[key]}" for key in BENCHMARKS if key in sections)
        write_text(arguments.out, "\n".join([_HEAD, *parts]))


if __name__ == "__main__":
    main()
