"""Raters in the scene: segments, or labelmap volumes, under names and colours that tell them apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import COLOR
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.palette import RATER_COLORS, Color
from ObserverUncertaintySlicer.volumes import requireInScene

# Slicer's own name for a segment that nobody named; two names that differ only in their number tell nothing apart.
_UNNAMED = re.compile(r"segment[ _]?\d*", re.IGNORECASE)
# Nearer than this, in red, green and blue of 0..1, two outlines are taken for one rater's.
_COLOR_DISTANCE = 0.25
# Slicer's own for a segment of "tissue", which every imported mask is, and for one of nothing: hardly seen on grey.
_UNCHOSEN_COLORS = ((128 / 255, 174 / 255, 128 / 255), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Rater:
    """One expert's contour in the scene.

    Attributes:
        node: a segmentation node, or a labelmap volume with one label.
        segmentID: the segment; "" for a labelmap volume.
    """

    node: Any
    segmentID: str = ""

    @property
    def isAlive(self) -> bool:
        """Whether node and segment are still in the scene."""
        if self.node is None or not slicer.mrmlScene.IsNodePresent(self.node):
            return False
        return not self.segmentID or self._segment is not None

    @property
    def name(self) -> str:
        """The segment's name; a labelmap volume's own; the segment's ID if it was deleted."""
        if not self.segmentID:
            return self.node.GetName()
        return self._segment.GetName() if self._segment is not None else self.segmentID

    @property
    def color(self) -> Color:
        """Red, green and blue in 0..1: the segment's colour; a labelmap volume's as `setColor` left it."""
        if not self.segmentID:
            found = COLOR.of(self.node, RATER_COLORS[0])
        else:
            found = RATER_COLORS[0] if self._segment is None else self._segment.GetColor()
        red, green, blue = found
        return red, green, blue

    def setColor(self, color: Color) -> None:
        """Give the rater a colour; how a labelmap volume's own layer is coloured stays as it is."""
        if self.segmentID:
            self._segment.SetColor(*color)
        else:
            COLOR.set(self.node, color)

    @property
    def _segment(self):
        return self.node.GetSegmentation().GetSegment(self.segmentID)


def asRaters(raters: Sequence[Any]) -> list[Rater]:
    """Raters from what scripts give: Rater, (segmentation node, segment ID), or labelmap volume node.

    Raises:
        InputError: none or something else is given, a node or segment is gone, or the same rater comes twice.
    """
    found: list[Rater] = []
    for item in raters:
        rater = _asRater(item)
        if rater in found:
            raise InputError(
                _("{name}: the rater of {node} is given twice; expected each rater once.").format(
                    name=rater.name, node=rater.node.GetName()
                )
            )
        found.append(rater)
    if not found:
        raise InputError(_("No rater is given. Choose segments or labelmap volumes as raters."))
    return found


def _asRater(item: Any) -> Rater:
    if isinstance(item, tuple | list) and len(item) == 2:
        item = Rater(*item)
    rater = item if isinstance(item, Rater) else Rater(item)
    node = rater.node
    requireInScene(node, _("a rater"))
    if node.IsA("vtkMRMLSegmentationNode"):
        if rater.isAlive and rater.segmentID:
            return rater
        segmentation = node.GetSegmentation()
        known = ", ".join(
            f"{segmentation.GetNthSegmentID(n)} ({segmentation.GetNthSegment(n).GetName()})"
            for n in range(segmentation.GetNumberOfSegments())
        )
        raise InputError(
            _("{node}: it has no segment {segment!r}; expected (node, segment ID) with one of: {known}.").format(
                node=node.GetName(), segment=rater.segmentID, known=known or _("none, the segmentation is empty")
            )
        )
    if not node.IsA("vtkMRMLLabelMapVolumeNode") or rater.segmentID:
        raise InputError(
            _(
                "{node}: it is a {kind} node; expected (segmentation node, segment ID) or a labelmap volume. A scalar "
                "volume that holds a mask can be converted in the module Volumes (Volume Information)."
            ).format(node=node.GetName(), kind=node.GetNodeTagName())
        )
    return rater


def raterNames(raters: Sequence[Rater]) -> list[str]:
    """Names that tell raters apart.

    The segment's or labelmap's own name; where that is no help (Slicer's "Segment_1", or a name that several have),
    that of the segmentation, which is the file's, and both where a segmentation holds several.
    """
    own = [rater.name for rater in raters]
    shared, nodes = Counter(own), Counter(rater.node.GetID() for rater in raters)
    names: list[str] = []
    for rater, name in zip(raters, own, strict=True):
        title = name
        if rater.segmentID and (shared[name] > 1 or _UNNAMED.fullmatch(name)):
            node = rater.node.GetName()
            title = node if nodes[rater.node.GetID()] == 1 else f"{node}/{name}"
        candidates = [title, *(f"{title} ({number})" for number in range(2, len(raters) + 2))]
        names.append(next(candidate for candidate in candidates if candidate not in names))
    return names


def giveOwnColors(raters: Sequence[Rater], present: Sequence[Rater] = ()) -> None:
    """Give a colour to each rater that has none, Slicer's own, or one that is hard to tell from an earlier rater's.

    Args:
        raters: the new ones; a labelmap volume without a colour gets one.
        present: raters whose colours stay.
    """
    taken = [rater.color for rater in present]
    for rater in raters:
        if not _hasChosenColor(rater) or any(_near(rater.color, other) for other in taken):
            free = [color for color in RATER_COLORS if not any(_near(color, other) for other in taken)]
            rater.setColor(free[0] if free else RATER_COLORS[len(taken) % len(RATER_COLORS)])
        taken.append(rater.color)


def _hasChosenColor(rater: Rater) -> bool:
    if not rater.segmentID:
        return COLOR.of(rater.node) is not None
    return not any(np.allclose(rater.color, unchosen, atol=0.005) for unchosen in _UNCHOSEN_COLORS)


def _near(first: Sequence[float], second: Sequence[float]) -> bool:
    return float(np.linalg.norm(np.subtract(first, second))) < _COLOR_DISTANCE


def ratersOfNode(node) -> list[Rater]:
    """All segments of a segmentation node, or the labelmap volume itself; raises InputError for another node."""
    requireInScene(node, _("a rater"))
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        return [Rater(node, segmentation.GetNthSegmentID(n)) for n in range(segmentation.GetNumberOfSegments())]
    return [_asRater(node)]
