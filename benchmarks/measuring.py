"""What every benchmark shares: repetitions in turn, their spread, the machine, a report as text, JSON and Markdown.

A benchmark is a function from its command-line arguments to a `Report`; `run` does the rest:

    def measure(arguments: argparse.Namespace) -> Report: ...

    if __name__ == "__main__":
        run(parser(__doc__), measure)
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.machine import cores
from ObserverUncertaintyLib.base.output_files import write_json, write_text
from ObserverUncertaintyLib.base.tables import aligned, without_nan

LIBRARIES = ("numpy", "scipy", "SimpleITK", "torch")

CANNOT_RUN = 3
"""Exit code of a benchmark that cannot run on this machine."""


class CannotRunError(Exception):
    """This benchmark cannot run on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Machine:
    """Where and when something was measured; `versions` holds Python's, the libraries' and the peers'."""

    cpu: str
    cores: int
    device: str
    date: str
    versions: dict[str, str]

    @classmethod
    def here(cls, device: str = "cpu", peers: Iterable[str] = ()) -> Machine:
        """This machine, today.

        Args:
            device: what computes, in words.
            peers: distributions compared with, besides the libraries.
        """
        names = dict.fromkeys((*LIBRARIES, *peers))
        versions = {"python": platform.python_version(), **{name: _version(name) for name in names}}
        return cls(_cpu_model(), cores(), device, datetime.date.today().isoformat(), versions)

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.date}, {self.cpu}, {self.cores} cores, {self.device}; {versions}"


@dataclass(frozen=True)
class Series:
    """One quantity, measured several times."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one of the values."""
        return statistics.median(self.values)

    def over(self, other: Series, name: str) -> Series:
        """The ratio to another series, repetition by repetition: what disturbs one pair does not disturb the next."""
        return Series(name, tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


@dataclass(frozen=True)
class Table:
    """A heading for each column, and rows of text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """The table for a terminal."""
        return aligned(self.header, self.rows)

    def markdown(self) -> str:
        """The table for a Markdown file."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Target:
    """What was to be reached, what was found, and whether that reaches it."""

    wanted: str
    found: str
    reached: bool

    def __str__(self) -> str:
        return f"{'reached' if self.reached else 'MISSED'}: {self.wanted}; found {self.found}"


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes:
        title: what was measured.
        machine: where and when.
        tables: what people read.
        repetitions: every repetition of every quantity, for the JSON file.
        notes: what has to be known to read the tables.
        targets: what was to be reached.
    """

    title: str
    machine: Machine
    tables: tuple[Table, ...]
    repetitions: tuple[Series, ...]
    notes: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()

    def text(self) -> str:
        """The report for a terminal."""
        points = "\n".join([*self.notes, *map(str, self.targets)])
        return "\n\n".join([self.title, str(self.machine), *(table.text() for table in self.tables), points]).rstrip()

    def markdown(self, command: str) -> str:
        """The report as a section of a Markdown file, under the command that made it."""
        points = "\n".join(f"- {point}" for point in (*self.notes, *self.targets))
        parts = [f"## {self.title}", f"`{command}`", str(self.machine), *(table.markdown() for table in self.tables)]
        return "\n\n".join([*parts, points]).rstrip() + "\n"


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    warm: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Series, ...]:
    """Seconds of each candidate, in turn (A B A B ...), after one call of each that is not measured.

    Args:
        candidates: what to call, by name; on a GPU it must wait until the work is done.
        repetitions: how often each is measured.
        warm: call each once more, unmeasured, right before each measured call (A A B B ...), where what one leaves
            behind in caches and in the system's memory would be charged to the other.
        clock: gives the time in seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(repetitions + 1):
        for name, call in candidates.items():
            if warm and repetition:
                call()
            started = clock()
            kept = call()
            ended = clock()
            del kept  # freeing what it made is not a part of the work
            if repetition:
                seconds[name].append(ended - started)
    return tuple(Series(name, tuple(values)) for name, values in seconds.items())


def spread(title: str, series: Sequence[Series], digits: int = 3) -> Table:
    """Median, minimum and maximum of each series, with so many significant digits."""
    rows = ((s.name, *(f"{value:.{digits}g}" for value in (s.median, min(s.values), max(s.values)))) for s in series)
    return Table((title, "median", "min", "max"), tuple(rows))


@dataclass(frozen=True)
class Floor:
    """What some work takes at least.

    Attributes:
        work: which work.
        amount: floating-point operations, or bytes read and written.
        rate: how many of them this machine does in a second.
        measured: seconds that were taken.
    """

    work: str
    amount: float
    rate: float
    measured: Series

    @property
    def seconds(self) -> float:
        """At least."""
        return self.amount / self.rate

    @property
    def ratio(self) -> float:
        """Measured time over the floor."""
        return self.measured.median / self.seconds

    @staticmethod
    def table(floors: Sequence[Floor], unit: str = "FLOP") -> Table:
        """Measured time, floor and their ratio, in thousands of millions of FLOP, or of bytes ("B")."""
        header = ("floor of", f"G{unit}", f"G{unit}/s", "floor (s)", "measured (s)", "measured / floor")
        rows = tuple(
            (
                floor.work,
                *(f"{figure:.3g}" for figure in (floor.amount / 1e9, floor.rate / 1e9, floor.seconds)),
                f"{floor.measured.median:.3g}",
                f"{floor.ratio:.2f}",
            )
            for floor in floors
        )
        return Table(header, rows)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has; it may add its own."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[_output_options()]
    )
    options.add_argument("--quick", action="store_true", help="smaller and fewer: shows that it runs, not how fast")
    return options


def run(options: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Report]) -> None:
    """Measure, print the report, write what was asked for; exits with 1 if a target is missed, 3 if it cannot run."""
    arguments = options.parse_args()
    try:
        report = measure(arguments)
    except CannotRunError as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT_RUN)
    # Where the output goes is no setting.
    _, others = _output_options().parse_known_args()
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *others])
    settings = {name: value for name, value in vars(arguments).items() if name not in ("json", "markdown")}
    print(report.text())
    if arguments.json:
        plain = json.loads(json.dumps(settings, default=str))  # paths as text
        write_json(arguments.json, without_nan({"command": command, "settings": plain, **asdict(report)}))
    if arguments.markdown:
        write_text(arguments.markdown, report.markdown(command))
    # A few hurried repetitions of less work say nothing about a target.
    sys.exit(not arguments.quick and not all(target.reached for target in report.targets))


def _output_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--json", type=Path, help="write machine, settings and every repetition to this file")
    options.add_argument("--markdown", type=Path, help="write the report as a Markdown section to this file")
    return options


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
