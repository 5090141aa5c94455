"""An imitation of the Slicer application over PySide6, for what the slicer-core wheel lacks: Qt, `slicer.app`, modules.

Real here: MRML, the module logics, the displayable managers and `slicer.util` (all from the wheel), and plain Qt
widgets, timers and signals (from PySide6). Imitated, and therefore no proof of anything: how PythonQt shows Qt to
Python (`pythonqt.py`), the widgets of CTK and Slicer (`ctk_widgets.py`, `mrml_widgets.py`, `segment_editor.py`), the
application, its main window and its layout manager (`application.py`, `layout_manager.py`), scripted modules and their
life cycle (`scripted_module.py`), `slicer.i18n` and `slicer.packaging`. Dialogs do not wait: they are recorded and
answered by the test (`dialogs.py`).

A stand-in raises on every property, method and signal that it does not model; what it models is checked against
`interfaces.json`, which `read_headers.py` takes from the C++ headers.

What no test in here can show: PythonQt's conversions and ownership, CTK's rounding, what is drawn, how wide and high
anything is, layouts on a screen, the segment editor's effects and keys, module discovery, packaging by CMake,
application exit. The checks in Testing/Desktop show it in the application itself.
"""
