"""What the random walk does: an action draws an argument from what is there, and is done again from it alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import found
import qt
import slicer
import views
from desktop import MODULE, Desktop

_KINDS = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTableNode", "vtkMRMLPlotSeriesNode")
_MODULES = ("Data", "Volumes", "Segmentations", "SegmentEditor", "Models")
_LAYOUTS = (2, 3, 4, 6, 7, 8, 9, 15, 25)
# The buttons that lead through the steps; chance alone would seldom get far.
_LEADING = (
    ("disagreement", "expertEntropyButton"),
    ("uncertainty", "runButton"),
    ("compare", "compareButton"),
    ("compare", "metricsButton"),
    ("correct", "startButton"),
    ("correct", "nextButton"),
    ("correct", "acceptButton"),
    ("correct", "saveButton"),
)
_EFFECTS = ("Paint", "Paint", "Paint", "Erase", "Erase", "as it is", "none")
_FATIGUE = 6
"""How much less often something is used again."""
_ORIENTATIONS = ("volume", "Axial", "Sagittal", "Coronal")


@dataclass(frozen=True)
class Action:
    """One thing that a user does.

    Attributes:
        weight: how often, compared with the others.
        draw: the argument; None if there is nothing to do it with.
        do: does it; what it chooses besides comes from the given random numbers.
    """

    weight: float
    draw: Callable[[Random], str | None]
    do: Callable[[str, Random], None]


class Actions:
    """The actions by name.

    Args:
        desktop: the application.
        work: a folder for the scenes that are saved.
    """

    def __init__(self, desktop: Desktop, work) -> None:
        self.desktop, self.work = desktop, work
        self._uses: Counter[str] = Counter()
        weights = {"click": 34, "choose": 8, "number": 6, "type": 3, "table": 5}
        self.all = {name: Action(weight, *self._onWidget(name)) for name, weight in weights.items()}
        self.all |= {
            "lead": Action(10, self._drawLead, self._lead),
            "load": Action(1, self._drawLoad, self._load),
            "paint": Action(9, self._drawPaint, self._paint),
            "undo": Action(3, self._drawUndo, self._undo),
            "scroll": Action(3, self._onView(lambda random: f"{random.uniform(-60, 60):.1f}"), self._scroll),
            "rotate": Action(2, self._onView(lambda random: random.choice(_ORIENTATIONS)), self._rotate),
            "layout": Action(2, lambda random: str(random.choice(_LAYOUTS)), self._layout),
            "module": Action(4, lambda random: random.choice(_MODULES), self._module),
            "rename": Action(1, self._drawNode, lambda name, _random: self._node(name, self._rename)),
            "hide": Action(2, self._drawNode, lambda name, _random: self._node(name, self._hide)),
            "delete": Action(1, self._drawNode, lambda name, _random: self._node(name, slicer.mrmlScene.RemoveNode)),
            "close": Action(0.4, lambda _random: "scene", lambda _argument, _random: slicer.mrmlScene.Clear(0)),
            "scene": Action(1.5, lambda random: random.choice(("save", "load", "load", "import")), self._scene),
            "reload": Action(0.7, lambda _random: "module", self._reload),
            "wait": Action(2, lambda random: f"{random.uniform(0, 2):.2f}", lambda time, _random: self._wait(time)),
        }

    def next(self, random: Random, first: bool) -> tuple[str, str]:
        """An action that can be done now, and its argument; the first one loads a case, and one does not stay away."""
        if first:
            return "load", "sample"
        if slicer.util.selectedModule() != MODULE and random.random() < 0.5:
            return "module", MODULE
        while True:
            name = random.choices(list(self.all), [action.weight for action in self.all.values()])[0]
            argument = self.all[name].draw(random)
            if argument is not None:
                return name, argument

    def _onWidget(self, use: str):
        classes, do = found.USES[use]

        def draw(random: Random) -> str | None:
            widgets = found.reachable(classes)
            names = sorted(widgets)
            if not names:
                return None
            return self._lessUsed(random, names, [found.weight(widgets[name]) for name in names])

        def doIt(name: str, random: Random) -> None:
            widget = found.reachable(classes).get(name)
            if widget is not None:
                do(widget, random)

        return draw, doIt

    def _lessUsed(self, random: Random, names: list[str], weights: list[float]) -> str:
        """What was not used yet comes sooner, so that the walk gets through all steps."""
        tired = [weight / (1 + _FATIGUE * self._uses[name]) for name, weight in zip(names, weights, strict=True)]
        name = random.choices(names, tired)[0]
        self._uses[name] += 1
        return name

    def _button(self, name: str):
        section, button = name.split(".")
        return getattr(getattr(self.desktop.panel, section).ui, button)

    def _drawLead(self, random: Random) -> str | None:
        names = [f"{section}.{button}" for section, button in _LEADING]
        enabled = [name for name in names if self._button(name).enabled]
        if not enabled or slicer.util.selectedModule() != MODULE:
            return None
        return self._lessUsed(random, enabled, [1.0] * len(enabled))

    def _lead(self, name: str, _random: Random) -> None:
        getattr(self.desktop.panel, name.split(".")[0]).ui.sectionButton.collapsed = False
        if name == "correct.saveButton" and not self.desktop.panel.correct.ui.authorEdit.text:
            self.desktop.panel.correct.ui.authorEdit.text = "walk"
        self._button(name).click()

    def _drawLoad(self, random: Random) -> str | None:
        return random.choice(("sample", "cohort", "folder")) if slicer.util.selectedModule() == MODULE else None

    def _load(self, what: str, _random: Random) -> None:
        self._uses.clear()  # with another case everything is new, and the first model, the shipped one, can run
        views.press(self.desktop.panel.model.ui.modelCombo, qt.Qt.Key_Home)
        loading = self.desktop.panel.case.ui
        {"sample": loading.loadSampleButton, "cohort": loading.loadCohortButton, "folder": loading.loadFolderButton}[
            what
        ].click()

    def _drawPaint(self, random: Random) -> str | None:
        shown = self.desktop.shownViews()
        if not shown:
            return None
        corners = " ".join(f"{random.uniform(0.2, 0.8):.2f}" for _ in range(4))
        return f"{random.choice(shown)} {corners} {random.choice(_EFFECTS)}"

    def _paint(self, argument: str, _random: Random) -> None:
        view, x0, y0, x1, y1, effect = argument.split(" ", 5)
        editor = self.desktop.panel.correct.ui.editor
        if editor.enabled and editor.mrmlSegmentEditorNode() is not None and effect != "as it is":
            editor.setActiveEffectByName("" if effect == "none" else effect)
        if view in self.desktop.shownViews():
            views.drag(view, [(float(x0), float(y0)), (float(x1), float(y1))])

    def _drawUndo(self, random: Random) -> str | None:
        return random.choice(("undo", "undo", "redo")) if self.desktop.panel.correct.ui.editor.enabled else None

    def _undo(self, what: str, _random: Random) -> None:
        editor = self.desktop.panel.correct.ui.editor
        (editor.undo if what == "undo" else editor.redo)()

    def _onView(self, draw: Callable[[Random], str]):
        def drawBoth(random: Random) -> str | None:
            shown = self.desktop.shownViews()
            return f"{random.choice(shown)} {draw(random)}" if shown else None

        return drawBoth

    def _scroll(self, argument: str, _random: Random) -> None:
        view, offset = argument.split()
        if view in self.desktop.shownViews():
            views.sliceView(view).mrmlSliceNode().SetSliceOffset(float(offset))

    def _rotate(self, argument: str, _random: Random) -> None:
        view, how = argument.split()
        if view not in self.desktop.shownViews():
            return
        node, volume = views.sliceView(view).mrmlSliceNode(), self.desktop.panel.parameters.reference
        if how != "volume":
            node.SetOrientation(how)
        elif volume is not None:
            node.RotateToVolumePlane(volume)

    def _layout(self, number: str, _random: Random) -> None:
        slicer.app.layoutManager().setLayout(int(number))

    def _module(self, name: str, _random: Random) -> None:
        slicer.util.selectModule(name)

    def _drawNode(self, random: Random) -> str | None:
        nodes = [node for kind in _KINDS for node in slicer.util.getNodesByClass(kind)]
        names = sorted(node.GetID() for node in nodes if not node.GetHideFromEditors())
        return random.choice(names) if names else None

    def _node(self, identity: str, do: Callable[[object], None]) -> None:
        node = slicer.mrmlScene.GetNodeByID(identity)
        if node is not None:
            do(node)

    def _rename(self, node) -> None:
        node.SetName(node.GetName()[:40] + " renamed")

    def _hide(self, node) -> None:
        display = node.GetDisplayNode() if node.IsA("vtkMRMLDisplayableNode") else None
        if display is not None:
            display.SetVisibility(not display.GetVisibility())

    def _scene(self, what: str, _random: Random) -> None:
        path = str(self.work / "scene.mrb")
        slicer.util.saveScene(path)
        if what != "save":
            slicer.util.loadScene(path, {"clear": what == "load"})

    def _reload(self, _argument: str, _random: Random) -> None:
        slicer.util.reloadScriptedModule(MODULE)

    def _wait(self, seconds: str) -> None:
        self.desktop.settle(float(seconds))
