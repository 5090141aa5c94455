"""Which files of the module know which others, read from their syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "ObserverUncertainty"
PANEL = "ObserverUncertaintySlicer.panel"
TREES = {
    ".".join(file.relative_to(MODULE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        file.read_text(encoding="utf-8")
    )
    for file in sorted(MODULE.rglob("*.py"))
}


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a syntax tree imports: at its top, inside functions, and for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in TREES else str(node.module) for name in names)


def steps() -> set[str]:
    """The files of the panel's steps."""
    return {
        name
        for name, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Section" for base in node.bases)
    }


def reachedBeyond(tree: ast.AST, offered: set[str]) -> list[str]:
    """What a file asks of a context that it does not offer, and every mention of the panel or of its sections."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in ("panel", "sections") or (holder == "context" and node.attr not in offered):
                found.append(ast.unparse(node))
        elif (isinstance(node, ast.Name) and node.id == "panel") or (isinstance(node, ast.arg) and node.arg == "panel"):
            found.append("panel")
    return found


def test_no_module_imports_itself_in_a_circle():
    graph = {
        module: {name for name in imported(tree) if name in TREES and name != module} for module, tree in TREES.items()
    }
    assert graph["ObserverUncertainty"], "the module's own file is among them"
    TopologicalSorter(graph).prepare()  # raises CycleError, which shows the circle


def test_the_panel_and_its_one_button_for_several_steps_alone_know_the_steps():
    assert len(steps()) == 7
    assert steps() <= set(imported(TREES[f"{PANEL}.panel"]))
    knowing = (f"{PANEL}.panel", f"{PANEL}.showUncertainty")
    others = {name: tree for name, tree in TREES.items() if name.startswith(PANEL) and name not in knowing}
    known = {name: set(imported(tree)) & {*steps(), f"{PANEL}.panel"} for name, tree in others.items()}
    assert {name: modules for name, modules in known.items() if modules} == {}


def test_steps_reach_nothing_but_what_their_context_offers(slicerApplication):
    from ObserverUncertaintySlicer.panel.context import Context

    state = {field.name for field in fields(Context)}
    offered = state | {name for name in vars(Context) if not name.startswith("_")}
    # Small on purpose: a step that needs another one's help gets it from the panel, by name, when it is made.
    assert offered == {
        *("logic", "parameters", "update", "poll", "jobsChanged", "isEntered", "isUpdating"),
        *("errorsShown", "keep"),
    }
    found = {
        name: reachedBeyond(tree, offered)
        for name, tree in TREES.items()
        if name.startswith(PANEL) and name != f"{PANEL}.panel"
    }
    assert {name: reached for name, reached in found.items() if reached} == {}


@pytest.mark.parametrize(
    ("source", "isFound"),
    [
        ("self.panel.update()", True),
        ("def __init__(self, panel): pass", True),
        ("self.context.model.missing()", True),
        ("context.sections[0]", True),
        ("self.context.update()", False),
        ("self.logic.compare(a, b)", False),
        ("self._model.missing()", False),
    ],
)
def test_what_reaches_further_is_found(source, isFound):
    assert bool(reachedBeyond(ast.parse(source), {"update"})) is isFound
