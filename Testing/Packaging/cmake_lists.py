"""The files that the extension installs: what Slicer or a job's worker reaches, and what CMake's lists name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE, LIBRARY = "ObserverUncertainty", "ObserverUncertaintyLib"
ROOMS = (MODULE, LIBRARY)


@dataclass(frozen=True)
class InstalledFiles:
    """What one room installs: paths relative to the room, with forward slashes, sorted."""

    scripts: tuple[str, ...]
    resources: tuple[str, ...]

    @property
    def all(self) -> set[str]:
        return {*self.scripts, *self.resources}


@dataclass(frozen=True)
class Tree:
    """The extension's files below a folder that holds both rooms.

    Slicer imports the module's own file, whose name is the module's. From there a file is reached that a reached one
    imports, at its top or inside a function, but not for types alone; that it names in a text, by its whole dotted name
    as that of the jobs' worker, or behind the package's name that it hands to `import_module`; and the data of a
    package that it hands to `importlib.resources.files`. What the library's `__init__` offers is for other users.
    """

    root: Path

    def to_install(self, room: str) -> InstalledFiles:
        """What is reached of a room, and of the module the files in its folder Resources."""
        folder = self.root / room
        scripts = [self.scripts[name] for name in self.reached]
        data = self.data if room == LIBRARY else (path for path in _files(folder / "Resources"))
        return InstalledFiles(
            scripts=_names((path for path in scripts if path.is_relative_to(folder)), folder),
            resources=_names(data, folder),
        )

    @cached_property
    def scripts(self) -> dict[str, Path]:
        """Every script by the dotted name that Python knows it by."""
        found = {}
        # Slicer puts the module's folder on the path, which in a checkout is not that of the library.
        for room, top in ((MODULE, self.root / MODULE), (LIBRARY, self.root)):
            for path in _files(self.root / room):
                if path.suffix == ".py":
                    name = ".".join(path.relative_to(top).with_suffix("").parts)
                    found[name.removesuffix(".__init__")] = path
        return found

    @cached_property
    def reached(self) -> set[str]:
        """The dotted names of all scripts that Slicer and the worker load, if every path is taken."""
        reached: set[str] = set()
        ahead = [MODULE]
        while ahead:
            name = ahead.pop()
            if name in self.scripts and name not in reached:
                reached.add(name)
                ahead += [name.rpartition(".")[0], *self._named_in(name)]
        return reached

    @cached_property
    def data(self) -> list[Path]:
        """Files beside the scripts of packages whose resources a reached script opens."""
        packages = {
            called.value
            for name in self.reached
            for call in _calls(_syntax(self.scripts[name]), "files")
            if isinstance(called := call.args[0], ast.Constant) and isinstance(called.value, str)
        }
        folders = [self.scripts[package].parent for package in sorted(packages)]
        return [path for folder in folders for path in _files(folder) if path.suffix != ".py"]

    def texts(self, name: str) -> set[str]:
        """The texts in a script."""
        nodes = ast.walk(_syntax(self.scripts[name]))
        return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    def _named_in(self, name: str) -> Iterator[str]:
        tree = _syntax(self.scripts[name])
        texts = self.texts(name)
        yield from texts
        for call in _calls(tree, "import_module"):
            called = call.args[0]
            if isinstance(called, ast.JoinedStr) and isinstance(start := called.values[0], ast.Constant):
                yield from (f"{start.value!s}{text}" for text in texts)
        for node in _at_run_time(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module)
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files_in_cmake(room: Path) -> InstalledFiles:
    """The files that a room's CMakeLists.txt names, in its order."""
    text = (room / "CMakeLists.txt").read_text(encoding="utf-8")
    return InstalledFiles(scripts=_listed(text, "SCRIPTS"), resources=_listed(text, "RESOURCES"))


def refresh(room: Path, files: InstalledFiles) -> bool:
    """Writes files into a room's CMakeLists.txt; returns whether anything changed."""
    path = room / "CMakeLists.txt"
    before = path.read_text(encoding="utf-8")
    text = _with_list(before, "SCRIPTS", files.scripts)
    text = _with_list(text, "RESOURCES", files.resources)
    if text != before:
        path.write_text(text, encoding="utf-8")
    return text != before


@cache
def _syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _files(folder: Path) -> list[Path]:
    """Every file below a folder; caches and hidden files are none."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _names(paths: Iterator[Path] | list[Path], folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """The calls of a function by its plain name or as an attribute, with arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called == name:
                yield node


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """A syntax tree's nodes, without what only type checkers see."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _at_run_time(other)
        else:
            yield from _at_run_time(child)


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
