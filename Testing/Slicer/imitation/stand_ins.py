"""What the stand-ins of CTK's and Slicer's classes share: their checked interface, the refusal of everything else."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from PySide6 import QtCore

from . import pythonqt


class NotModelledError(NotImplementedError, AttributeError):
    """The real class has it, the stand-in does not."""


@functools.cache
def interfaces() -> dict:
    """The table that `read_headers.py` wrote: commits, and per class header, base, properties, signals and methods."""
    return json.loads(Path(__file__).with_name("interfaces.json").read_text(encoding="utf-8"))


def members(className: str, kind: str) -> set[str]:
    """Names of a real class's properties, signals or methods, with those of its bases in the table."""
    found: set[str] = set()
    classes = interfaces()["classes"]
    while className in classes:
        found.update(classes[className][kind])
        className = classes[className]["base"]
    return found


class Modelled:
    """A property of a stand-in: typed, with an optional function that the setter calls after a change."""

    def __init__(self, type_, default=None, changed=None, getter=None):
        self.type = type_
        self.default = type_() if default is None else default
        self.changed = changed
        self.getter = getter

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        if instance is None:
            return self
        if self.getter is not None:
            return self.getter(instance)
        return vars(instance).get(f"_{self.name}", self.default)

    def __set__(self, instance, value):
        accepted = {float: (int, float), bool: (bool, int), list: (list, tuple)}.get(self.type, (self.type,))
        if not isinstance(value, accepted):
            raise ValueError(
                f"Property '{self.name}' of type '{self.type.__name__}' does not accept an object of type "
                f"{type(value).__name__}"
            )
        if self.getter is None:
            vars(instance)[f"_{self.name}"] = self.type(value)
        if self.changed is not None:
            self.changed(instance, self.type(value))


class StandIn:
    """Mixed into a Qt class to stand for the class of C++ that `standsFor` names.

    Private state is kept with `keep`; any other attribute that is not modelled raises, when read and when set.
    """

    standsFor = ""
    # Signature of C++ to the name of the Python signal, where PySide6 has no type of that name (vtkMRMLNode*).
    standInSignals: dict[str, str] = {}  # noqa: RUF012

    def keep(self, **state):
        """Sets private state, each under its name with a leading underscore."""
        for name, value in state.items():
            vars(self)[f"_{name}"] = value

    def __getattr__(self, name):
        class_ = type(self).standsFor
        property_ = name[3:4].lower() + name[4:] if name.startswith("set") else ""
        if isinstance(getattr(type(self), property_, None), Modelled) and name in members(class_, "methods"):
            return functools.partial(setattr, self, property_)
        known = members(class_, "properties") | members(class_, "methods")
        known |= {signal.partition("(")[0] for signal in members(class_, "signals")}
        if name in known:
            raise NotModelledError(f"{class_}.{name} exists, but its stand-in does not model it")
        raise AttributeError(f"'{class_}' object has no attribute '{name}'")


def modelledInterface(standIn: type) -> dict[str, set[str]]:
    """What a stand-in adds to its Qt class: names of properties and methods, signatures of signals."""
    found: dict[str, set[str]] = {"properties": set(), "methods": set(), "signals": set(standIn.standInSignals)}
    for class_ in standIn.__mro__:
        if not issubclass(class_, StandIn) or class_ is StandIn:
            continue
        for name, value in vars(class_).items():
            if name.startswith("_") or name in vars(StandIn) or name in vars(QtCore.QObject):
                continue
            if isinstance(value, Modelled):
                found["properties"].add(name)
            elif isinstance(value, QtCore.Signal):
                if name not in standIn.standInSignals.values():
                    found["signals"].add(pythonqt.normalized(str(value).partition(";")[0]))
            elif callable(value) and not isinstance(value, type):
                found["methods"].add(name)
    return found
