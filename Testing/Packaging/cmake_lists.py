"""The files that the extension installs: as they lie in the tree, and as CMake's lists name them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ObserverUncertainty", "ObserverUncertaintyLib")
# Files at the top of a room that are for its readers and builders.
NOT_INSTALLED = {"CMakeLists.txt", "README.md"}


@dataclass(frozen=True)
class InstalledFiles:
    """What one room installs: paths relative to the room, with forward slashes, sorted."""

    scripts: tuple[str, ...]
    resources: tuple[str, ...]

    @property
    def all(self) -> set[str]:
        return {*self.scripts, *self.resources}


def files_in_tree(room: Path) -> InstalledFiles:
    """Every file below a room that is to be installed; caches and hidden files are not."""
    paths = [path.relative_to(room) for path in room.rglob("*") if path.is_file()]
    names = sorted(
        path.as_posix()
        for path in paths
        if not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
        and path.as_posix() not in NOT_INSTALLED
    )
    return InstalledFiles(
        scripts=tuple(name for name in names if name.endswith(".py")),
        resources=tuple(name for name in names if not name.endswith(".py")),
    )


def files_in_cmake(room: Path) -> InstalledFiles:
    """The files that a room's CMakeLists.txt names, in its order."""
    text = (room / "CMakeLists.txt").read_text(encoding="utf-8")
    return InstalledFiles(scripts=_listed(text, "SCRIPTS"), resources=_listed(text, "RESOURCES"))


def refresh(room: Path) -> bool:
    """Writes the tree's files into a room's CMakeLists.txt; returns whether anything changed."""
    path = room / "CMakeLists.txt"
    before = path.read_text(encoding="utf-8")
    found = files_in_tree(room)
    text = _with_list(before, "SCRIPTS", found.scripts)
    text = _with_list(text, "RESOURCES", found.resources)
    if text != before:
        path.write_text(text, encoding="utf-8")
    return text != before


def _pattern(kind: str) -> re.Pattern[str]:
    return re.compile(rf"^set\(MODULE_PYTHON_{kind}\n(?P<files>(?:  [^\s()]+\n)*)  \)$", re.MULTILINE)


def _listed(text: str, kind: str) -> tuple[str, ...]:
    found = _pattern(kind).search(text)
    if found is None:
        raise ValueError(f"CMakeLists.txt has no list set(MODULE_PYTHON_{kind} …) with one file a line")
    return tuple(found["files"].split())


def _with_list(text: str, kind: str, names: tuple[str, ...]) -> str:
    _listed(text, kind)  # refuses a file whose list was given another form
    unsafe = [name for name in names if re.search(r'[\s()"#$;\\|]', name)]
    if unsafe:
        raise ValueError(f"names with blanks or signs that CMake reads as its own: {unsafe}")
    lines = "".join(f"  {name}\n" for name in names)
    return _pattern(kind).sub(lambda _: f"set(MODULE_PYTHON_{kind}\n{lines}  )", text)
