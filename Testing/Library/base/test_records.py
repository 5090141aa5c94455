from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pytest

from ObserverUncertaintyLib.base.records import changed, field_names, from_json, inline, to_json


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Pen:
    width: float = 1.0
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Drawing:
    name: str
    pen: Pen = inline(Pen())
    frame: Pen | None = None
    size: tuple[int, int] | None = None
    layers: tuple[Colour, ...] = ()
    files: Mapping[str, str] | None = None


FULL = Drawing("a", Pen(2.0, Colour.BLUE), Pen(3.0), (4, 5), (Colour.RED, Colour.BLUE), {"x": "y"})


@pytest.mark.parametrize("record", [Drawing("b"), FULL])
def test_what_is_written_is_read_again(record: Drawing) -> None:
    assert from_json(Drawing, json.loads(json.dumps(to_json(record)))) == record


def test_inline_fields_stand_among_the_outer_ones() -> None:
    assert to_json(Drawing("a", Pen(2.0, Colour.BLUE), size=(1, 2))) == {
        "name": "a",
        "width": 2.0,
        "colour": "blue",
        "frame": None,
        "size": [1, 2],
        "layers": [],
        "files": None,
    }
    assert field_names(Drawing) == ["name", "width", "colour", "frame", "size", "layers", "files"]


def test_what_is_left_out_has_its_default() -> None:
    assert from_json(Drawing, {"name": "a", "colour": "blue"}) == Drawing("a", Pen(colour=Colour.BLUE))


def test_a_change_reaches_inline_fields() -> None:
    assert changed(FULL, {"colour": "red", "size": (6, 7)}) == Drawing(
        "a", Pen(2.0, Colour.RED), FULL.frame, (6, 7), FULL.layers, FULL.files
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "name is missing"),
        ({"name": "a", "colours": "red"}, "unknown: colours"),
        ({"name": "a", "colour": "green"}, "'green' is not a valid Colour"),
        ({"name": "a", "size": [1, 2, 3]}, "zip"),
        ({"name": "a", "frame": {"height": 1}}, "unknown: height"),
    ],
)
def test_what_does_not_fit_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Drawing, content)
