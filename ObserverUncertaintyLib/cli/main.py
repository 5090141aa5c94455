"""The program `observer-uncertainty`: its commands, and what an error looks like."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import Cancelled, InputError, ObserverUncertaintyError, works_of
from ObserverUncertaintyLib.base.privacy import traceback_without_messages
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.cli import (
    calibrating,
    cohorts,
    experiments,
    export,
    imports,
    models,
    raters,
    review,
    training,
    worklist,
)

app = typer.Typer(
    help="Segmentation uncertainty that keeps the experts' disagreement (Jungo et al., MICCAI 2018).\n\n"
    "Research use only. Not a medical device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command()(cohorts.demo)
app.command()(worklist.worklist)
app.command()(raters.fuse)
app.command()(raters.disagreement)
app.command()(raters.agreement)
app.command()(training.train)
app.command()(models.predict)
app.command()(calibrating.calibrate)
app.command("import-samples")(imports.import_samples)
app.command()(models.evaluate)
app.add_typer(review.review, name="review")
app.command()(export.export)
app.add_typer(cohorts.simulate, name="simulate")
app.add_typer(experiments.experiment, name="experiment")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"observer-uncertainty {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exit with 0 when done, 2 when the input is wrong, 1 for anything else."""
    keep_freed_memory()
    try:
        app()
    except InputError as error:
        _fail(f"error: {error}", 2)
    except Cancelled as error:
        _fail(str(error), 1)
    except ObserverUncertaintyError as error:
        _fail(f"error: {error}", 1)
    except OSError as error:
        # What the system says of a file is about the user's files, not about the program.
        _fail(_unforeseen(error), 1 if error.filename is None else 2)
    except Exception as error:  # noqa: BLE001  (the one place that catches what nobody foresaw)
        _fail(_unforeseen(error), 1)


def _unforeseen(error: Exception) -> str:
    """What a user is told of an error that nobody foresaw: what was in work, and where the traceback lies."""
    files = [str(file) for file in (getattr(error, "filename", None),) if file is not None]
    works = list(dict.fromkeys([*files, *works_of(error)]))
    place = f" at {', in '.join(works)}" if works else ""
    if isinstance(error, OSError) and files:
        what = (
            f"error: {place.removeprefix(' at ')}: {error.strerror or error}. Check the file, its folder and the disk."
        )
    elif isinstance(error, MemoryError):
        what = f"error: the memory is not enough{place}. Close other programs, or give smaller images."
    else:
        what = f"error: this should not have happened{place}: {type(error).__name__}: {error}"
    return f"{what}\n{_log(error)}"


def _log(error: Exception) -> str:
    """Keep the traceback in a file of its own, and say where it lies; files and what they say are not named there."""
    text = traceback_without_messages(error)
    command = [part.partition("=")[0] for part in sys.argv[1:] if part.startswith("--")]
    command = [*(part for part in sys.argv[1:3] if part.isalpha() and not Path(part).exists()), *command]
    about = f"observer-uncertainty {VERSION}, Python {platform.python_version()}, {platform.platform()}"
    try:
        handle, name = tempfile.mkstemp(prefix="observer-uncertainty-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{about}\n{' '.join(command)}\n\n{text}")
    except OSError:
        return text
    return f"What helps to find the reason is in {name}; it names no file of yours."


def _fail(text: str, code: int) -> None:
    print(text, file=sys.stderr)  # noqa: T201
    sys.exit(code)
