"""Writes `interfaces.json` from the C++ headers of Slicer and CTK.

    python read_headers.py SLICER_CHECKOUT CTK_CHECKOUT

A checkout is any folder in which `git show HEAD:<path>` works. Of each class it notes what Python code and a `.ui` file
can name: the properties, the signals, and the methods that PythonQt shows (public slots and Q_INVOKABLE).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

SLICER_HEADERS = (
    "Base/QTApp/qSlicerMainWindow.h",
    "Base/QTCore/qSlicerCoreApplication.h",
    "Base/QTCore/qSlicerModuleManager.h",
    "Base/QTGUI/qSlicerApplication.h",
    "Base/QTGUI/qSlicerLayoutManager.h",
    "Base/QTGUI/qSlicerModuleSelectorToolBar.h",
    "Libs/MRML/Widgets/qMRMLLayoutManager.h",
    "Libs/MRML/Widgets/qMRMLNodeComboBox.h",
    "Libs/MRML/Widgets/qMRMLTableView.h",
    "Libs/MRML/Widgets/qMRMLWidget.h",
    "Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h",
)
CTK_HEADERS = tuple(
    f"Libs/Widgets/{name}.h"
    for name in (
        "ctkCollapsibleButton",
        "ctkMessageBox",
        "ctkPathLineEdit",
        "ctkSliderWidget",
    )
)
SECTION = re.compile(r"^\s*(public|protected|private)?\s*(Q_SLOTS|slots|Q_SIGNALS|signals)?\s*:(?!:)")
PROPERTY = re.compile(r"Q_PROPERTY\(\s*([\w:<>*\s]+?[\s*])(\w+)\s+READ")
FUNCTION = re.compile(r"([\w:<>*&,\s]+?[\s*&])(\w+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


def show(checkout: Path, path: str) -> str | None:
    """The file at HEAD, or None where it does not exist."""
    run = subprocess.run(
        ["git", "-C", str(checkout), "show", f"HEAD:{path}"], capture_output=True, encoding="utf-8", check=False
    )
    return run.stdout if run.returncode == 0 else None


def signature(name: str, arguments: str) -> str:
    """As Qt normalises it: no argument names, no defaults, no const references."""
    types = []
    for argument in filter(None, (part.strip() for part in re.split(r",(?![^<]*>)", arguments))):
        type_ = argument.split("=")[0].strip()
        type_ = re.sub(r"\bconst\b\s*|&", "", type_).strip()
        type_ = re.sub(r"^((?:unsigned )?[\w:]+(?:<[^>]*>)?\s*\**)\s*\w*$", r"\1", type_)
        types.append(type_.replace(" ", ""))
    return f"{name}({','.join(types)})"


def read(text: str, className: str) -> dict:
    """Base class, properties, signals and methods of one class."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"//.*", "", text)
    head = re.search(
        rf"^class\s+(?:\w+_EXPORT\s+)?{className}\s*(?::\s*public\s+(\w+)[^{{]*)?\{{", text, flags=re.S | re.M
    )
    if head is None:
        raise ValueError(f"no class {className}")
    body = text[head.end() : text.find("\n};", head.end())]
    properties = {name: type_.strip() for type_, name in PROPERTY.findall(body)}
    signals, methods = set(), set()
    section = ("private", None)
    # Function bodies go, so that one statement is one declaration.
    body = re.sub(r"\{[^{}]*\}", ";", re.sub(r"\{[^{}]*\}", ";", body))
    body = re.sub(r"Q_PROPERTY\(.*\)|^\s*#.*$|Q_OBJECT|Q_FLAGS\(.*\)|Q_ENUMS?\(.*\)", "", body, flags=re.M)
    body = re.sub(SECTION.pattern, r";@\1 \2;", body, flags=re.M)
    for statement in (" ".join(part.split()) for part in body.split(";")):
        if statement.startswith("@"):
            access, _, kind = statement[1:].partition(" ")
            section = (access, kind.replace("Q_", "").lower())
            continue
        function = FUNCTION.search(statement)
        if function is None:
            continue
        if section[1] == "signals":
            signals.add(signature(function[2], function[3]))
        elif section == ("public", "slots") or "Q_INVOKABLE" in statement:
            methods.add(function[2])
    return {
        "base": head[1],
        "properties": dict(sorted(properties.items())),
        "signals": sorted(signals),
        "methods": sorted(methods),
    }


def main(slicer: Path, ctk: Path) -> None:
    """Reads every header and writes the table beside this file."""
    table = {"commits": {}, "classes": {}}
    for project, checkout, headers in (("Slicer", slicer, SLICER_HEADERS), ("CTK", ctk, CTK_HEADERS)):
        commit = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True
        )
        table["commits"][project] = commit.stdout.strip()
        for header in headers:
            text = show(checkout, header)
            if text is None:
                raise FileNotFoundError(f"{project} has no {header}")
            table["classes"][Path(header).stem] = {"header": f"{project}/{header}", **read(text, Path(header).stem)}
    target = Path(__file__).with_name("interfaces.json")
    target.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
