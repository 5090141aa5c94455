from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LIBRARY = "ObserverUncertaintyLib"

# From the ground up: a room imports only from rooms that stand before it, and from its own files without circles.
ROOMS = [
    "base",
    "images",
    "formats",
    "raters",
    "scores",
    "cohort",
    "worklist",
    "review",
    "export",
    "model",
    "network",
    "cpu",
    "training",
    "prediction",
    "evaluation",
    "simulation",
    "jobs",
    "studies",
    "cli",
]

LIGHT = [
    "",
    ".images.grid",
    ".model.calibration",
    ".prediction.imported",
    ".cohort.cohort",
    ".worklist.worklist",
    ".raters.fusion",
    ".scores.entropy",
    ".scores.metrics",
    ".export.case",
    ".jobs",
]
HEAVY = ["torch", "matplotlib", "typer", "click", "rich", "safetensors"]
# The start of a program: nothing can be imported that Slicer lacks.
WALL = f"""
allowed = sys.stdlib_module_names | {{"numpy", "scipy", "SimpleITK", "{LIBRARY}"}}
class Wall:
    def find_spec(self, name, path=None, target=None):
        # _sysconfigdata_... is a part of the standard library whose name depends on the machine.
        if name.split(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError("behind the wall: " + name, name=name)
sys.meta_path.insert(0, Wall())
try:
    import torch
except ModuleNotFoundError as error:
    print(error)
"""
SLICER = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "PythonQt", "mrml"}

_DEVELOPERS_PATH = re.compile(r"(?<![\w.:/~-])/(?:home|Users|root|work|mnt|media)/\w|\b[A-Za-z]:\\+Users\b")


@cache
def sources() -> dict[str, ast.Module]:
    """Every file of the library as dotted module name and syntax tree."""
    files = sorted((CHECKOUT / LIBRARY).rglob("*.py"))
    return {
        ".".join(file.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            file.read_text(encoding="utf-8")
        )
        for file in files
    }


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a syntax tree imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            # `from package import name` may import a module or something in the package.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in sources() else str(node.module) for name in names)


def room(module: str) -> str:
    """The entry of the table that a module of the library belongs to; "" for the package itself."""
    return module.removeprefix(LIBRARY).removeprefix(".").split(".")[0]


def in_fresh_python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n{program}"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source_files() -> list[Path]:
    """Every file that git tracks, or would."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        pytest.skip("the list of source files comes from git, and this is no checkout")
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [CHECKOUT / name for name in listed.stdout.split("\0") if name and (CHECKOUT / name).is_file()]


def test_the_folders_of_the_library_are_the_rooms():
    assert {room(module) for module in sources()} - {""} == set(ROOMS)
    assert {path.name for path in (CHECKOUT / LIBRARY).iterdir() if path.is_file()} == {
        "__init__.py",
        "CMakeLists.txt",
        "py.typed",
    }


def test_a_room_imports_only_from_rooms_that_stand_before_it():
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources().items()
        for name in imported(tree)
        if name.startswith(LIBRARY) and room(module) and room(name) != room(module)
        # The package's own __init__ lies below everything: whoever imports any module runs it first.
        if room(name) not in ROOMS[: ROOMS.index(room(module))]
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    graph = {
        module: {name for name in imported(tree) if name in sources() and name != module}
        for module, tree in sources().items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which shows the circle


def test_the_library_knows_neither_slicer_nor_qt():
    found = {module: {name.split(".")[0] for name in imported(tree)} & SLICER for module, tree in sources().items()}
    assert {module: names for module, names in found.items() if names} == {}


def test_the_light_modules_load_nothing_heavy():
    program = f"""
import importlib
for module in {LIGHT}:
    importlib.import_module("{LIBRARY}" + module)
    print(module or "the package", *[name for name in {HEAVY} if name in sys.modules])
"""
    found = in_fresh_python(program).splitlines()
    assert found == [module or "the package" for module in LIGHT]


def test_the_light_modules_need_numpy_scipy_and_simpleitk_only():
    program = f"""
{WALL}
import importlib
for module in {LIGHT}:
    importlib.import_module("{LIBRARY}" + module)
print("done")
"""
    assert in_fresh_python(program).splitlines() == ["behind the wall: torch", "done"]


def test_only_the_command_line_and_its_studies_name_options():
    """Whoever calls the library otherwise, such as the panel in Slicer, has no options."""
    found = [
        f"{module}: {node.value}"
        for module, tree in sources().items()
        if room(module) not in ("cli", "studies")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"(?<!\S)--[a-z]", node.value)
    ]
    assert found == []


def test_no_source_names_a_folder_of_a_developers_machine(source_files):
    found = []
    for file in source_files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture or an archive
            continue
        lines = text.splitlines()
        found += [
            f"{file.relative_to(CHECKOUT)}:{n}: {line.strip()}"
            for n, line in enumerate(lines, 1)
            if _DEVELOPERS_PATH.search(line)
        ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("'/" + "home/ann/data'", True),
        ("/" + "Users/ann/x", True),
        ("C:\\" + "Users\\ann", True),
        ("https://example.org/home/ann", False),
        ("../shared/data", False),
        ("data/home/x", False),
    ],
)
def test_a_developers_folder_is_recognised(text, is_one):
    assert bool(_DEVELOPERS_PATH.search(text)) is is_one
