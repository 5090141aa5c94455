"""The program `observer-uncertainty`: its commands, and what an error looks like."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ObserverUncertaintyLib import __version__
from ObserverUncertaintyLib.cli import cohorts, experiments, models, raters
from ObserverUncertaintyLib.errors import Cancelled, InputError, ObserverUncertaintyError
from ObserverUncertaintyLib.memory import keep_freed_memory

app = typer.Typer(
    help="Segmentation uncertainty that keeps the experts' disagreement (Jungo et al., MICCAI 2018).\n\n"
    "Research use only. Not a medical device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command()(cohorts.demo)
app.command()(raters.fuse)
app.command()(raters.disagreement)
app.command()(models.train)
app.command()(models.predict)
app.command()(models.evaluate)
app.add_typer(cohorts.simulate, name="simulate")
app.add_typer(experiments.experiment, name="experiment")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"observer-uncertainty {__version__}")
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


def _fail(text: str, code: int) -> None:
    print(text, file=sys.stderr)  # noqa: T201
    sys.exit(code)
