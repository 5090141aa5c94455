"""PythonQt's look at Qt, put over PySide6: properties are attributes, signals are connected by their C++ signature.

`w.text` is the text, `w.text()` fails because a string cannot be called, `w.text = "a"` sets it, and an attribute that
the C++ class does not have is an error when read and when set. The changes are made to the PySide6 classes themselves
and stay for the process's lifetime.
"""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import os
import re
import sys
import types

import shiboken6

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtWidgets

# Shiboken reads these names to find Python's overrides of virtual functions: see `getAttribute`.
VIRTUAL = {"sizeHint", "minimumSizeHint"}

# Stricter than PythonQt, which turns anything into a string: a test should see that.
ACCEPTED = {"QString": (str,), "bool": (bool, int), "int": (int,), "uint": (int,), "double": (int, float)}

_connections: dict[int, list] = {}
_installed: list[bool] = []
_loading: list[bool] = []
_asking: list[bool] = []


class QtProperty:
    """A property of a Qt class as attribute of its objects; on the class, whatever PySide6 has under that name."""

    def __init__(self, meta, original):
        self.meta = meta
        self.original = original

    def __get__(self, instance, owner):
        if instance is not None:
            return self.meta.read(instance)
        if self.original is None:
            raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self.meta.name()}'")
        return getattr(self.original, "__func__", self.original)

    def __set__(self, instance, value):
        name, typeName = self.meta.name(), self.meta.typeName()
        if not self.meta.isWritable():
            raise AttributeError(f"Property '{name}' of type '{type(instance).__name__}' is not writable")
        accepted = ACCEPTED.get(typeName)
        if (accepted and not isinstance(value, accepted)) or not self.meta.write(instance, value):
            raise ValueError(
                f"Property '{name}' of type '{typeName}' does not accept an object of type {type(value).__name__}"
            )


def qtClasses():
    """Every QObject class of PySide6's core, base classes before derived ones."""
    classes = set()
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            class_ = getattr(module, name)
            if isinstance(class_, type) and issubclass(class_, QtCore.QObject):
                classes.add(class_)
    return sorted(classes, key=lambda class_: len(class_.__mro__))


def normalized(signature: str) -> str:
    """A signature as Qt writes it, without spaces and const references."""
    return re.sub(r"\bconst\b|&|\s", "", signature)


def signalOf(sender, signature: str):
    """The signal of an object by its C++ signature; ValueError where there is none."""
    signature = normalized(signature)
    name, _, arguments = signature.rstrip(")").partition("(")
    missing = ValueError(f"signal {signature} does not exist on {className(sender)}")
    standIn = getattr(type(sender), "standInSignals", {}).get(signature)
    if standIn is not None:
        return getattr(sender, standIn)
    # Not `sender.metaObject()`: PySide6 lets it die with the sender, and the class's own with it.
    if type(sender).staticMetaObject.indexOfSignal(signature) < 0:
        raise missing
    signal = getattr(sender, name)
    return signal[arguments] if arguments else signal


def className(instance) -> str:
    """Name of the C++ class."""
    return getattr(type(instance), "standsFor", None) or type(instance).__name__


def connect(sender, signature, target, slot=None) -> bool:
    """`sender.connect("clicked(bool)", function)`, or with a receiver and its slot's signature."""
    if slot is not None:
        target = getattr(target, slot.partition("(")[0])
    if not callable(target):
        raise ValueError(f"{target!r} cannot be connected to {signature}: it is not callable")
    signal = signalOf(sender, signature)
    # Only the declared arguments are passed, so "clicked()" passes none although Qt's signal carries one.
    function = (lambda *_arguments: target()) if normalized(signature).endswith("()") else fitted(target)
    signal.connect(function)
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _connections:
        _connections[address] = []
        sender.destroyed.connect(lambda *_arguments: _connections.pop(address, None))
    _connections[address].append((normalized(signature), target, function))
    return True


def fitted(target):
    """A method of a Python class derived from Qt is wrapped: PySide6 would look for a slot of the C++ class."""
    if not isinstance(target, types.MethodType) or not isinstance(target.__self__, QtCore.QObject):
        return target
    code = target.__func__.__code__
    if code.co_flags & inspect.CO_VARARGS:
        return lambda *arguments: target(*arguments)
    return lambda *arguments: target(*arguments[: code.co_argcount - 1])


def disconnect(sender, signature, target, slot=None) -> bool:
    """Undoes one `connect` with the same arguments; False where there was none."""
    if slot is not None:
        target = getattr(target, slot.partition("(")[0])
    signal = signalOf(sender, signature)
    connections = _connections.get(shiboken6.getCppPointer(sender)[0], [])
    for connection in connections:
        if connection[0] == normalized(signature) and connection[1] == target:
            signal.disconnect(connection[2])
            connections.remove(connection)
            return True
    return False


def setAttribute(instance, name, value):
    """PythonQt refuses to add attributes to objects of C++ classes; Python classes derived from them may have any."""
    for class_ in type(instance).__mro__:
        descriptor = class_.__dict__.get(name)
        if descriptor is not None and hasattr(type(descriptor), "__set__"):
            descriptor.__set__(instance, value)
            return
    if _loading and isinstance(value, QtCore.QObject):
        return
    isSignal = isinstance(value, QtCore.SignalInstance)
    if not isSignal and (type(instance).__module__.startswith("PySide6") or "standsFor" in vars(type(instance))):
        raise AttributeError(
            f"Attribute '{name}' does not exist on {className(instance)} and creating new attributes on C++ objects "
            "is not allowed"
        )
    vars(instance)[name] = value


@contextlib.contextmanager
def loading():
    """PySide6's loader makes every widget of a `.ui` file an attribute of the root; PythonQt's does not."""
    _loading.append(True)
    try:
        yield
    finally:
        _loading.pop()


def keepConstants() -> None:
    """Gives True, False and None references to spare.

    PySide6 6.12 drops one of True or False with every emission of a Python signal that carries a bool. Before Python
    3.12, which never frees them, the process ends when none is left.
    """
    if sys.version_info < (3, 12):
        for constant in (True, False, None):
            for _ in range(100_000):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(constant))


def install() -> None:
    """Changes the PySide6 classes, once a process."""
    if _installed:
        return
    _installed.append(True)
    keepConstants()
    for class_ in qtClasses():
        meta = class_.staticMetaObject
        for index in range(meta.propertyCount()):
            property_ = meta.property(index)
            name = property_.name()
            own = index >= meta.propertyOffset()
            if name not in VIRTUAL and (own or name in class_.__dict__):
                setattr(class_, name, QtProperty(property_, class_.__dict__.get(name)))
    base = QtCore.QObject
    base.name = QtProperty(base.staticMetaObject.property(base.staticMetaObject.indexOfProperty("objectName")), None)
    base.className = className
    base.delete = lambda self: shiboken6.delete(self)
    # Shiboken gives `connect` of an object special treatment, so it has to be caught before it is looked up.
    methods = {"connect": connect, "disconnect": disconnect}
    ordinary = base.__getattribute__

    def getAttribute(instance, name):
        method = methods.get(name)
        if method:
            return method.__get__(instance)
        found = ordinary(instance, name)
        if name not in VIRTUAL or not isinstance(found, types.BuiltinMethodType) or _asking:
            return found
        # A size hint is a property to PythonQt. Qt, asked for it, looks for an override by this very name.
        _asking.append(True)
        try:
            return found()
        finally:
            _asking.pop()

    base.__getattribute__ = getAttribute
    for class_ in qtClasses():
        class_.__setattr__ = setAttribute
