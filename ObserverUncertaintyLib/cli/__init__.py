"""The command line: parses, calls the library, prints. Holds no logic of its own."""

from ObserverUncertaintyLib.cli.main import main

__all__ = ["main"]
