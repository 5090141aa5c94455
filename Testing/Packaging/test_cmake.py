"""The extension's CMake files: they name what lies in the tree, and install a module that finds its library.

They are configured, built and installed against stubs of Slicer's macros (`stub_slicer/`), since Slicer's build tree is
not at hand here. Where `OBSERVER_UNCERTAINTY_SLICER_SOURCE` and `OBSERVER_UNCERTAINTY_CTK_SOURCE` name checkouts of
Slicer and CTK, the same tests run with their real macros too (current Slicer wants CMake 3.28 or newer for that).
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cmake_lists
import pytest

ROOT = cmake_lists.ROOT
STUB = Path(__file__).parent / "stub_slicer"
MODULES = "lib/Slicer-5.10/qt-scripted-modules"
REAL_SOURCES = {
    "SLICER_SOURCE": os.environ.get("OBSERVER_UNCERTAINTY_SLICER_SOURCE"),
    "CTK_SOURCE": os.environ.get("OBSERVER_UNCERTAINTY_CTK_SOURCE"),
}


@dataclass(frozen=True)
class Extension:
    build: Path
    installed: Path

    @property
    def modules(self) -> Path:
        return self.installed / MODULES


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False
    )


def configure(source: Path, build: Path, macros: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("cmake") is None or not (shutil.which("make") or shutil.which("ninja")):
        pytest.skip("cmake and make (or ninja) are needed to configure the extension")
    options = []
    if macros == "real":
        options = [f"-D{name}={path}" for name, path in REAL_SOURCES.items()]
    # Nothing is compiled, so no compiler is looked for: any program passes for one.
    compilers = [
        f"-DCMAKE_{language}_COMPILER{part}"
        for language in ("C", "CXX")
        for part in (f"={sys.executable}", "_FORCED=TRUE", "_ID_RUN=TRUE")
    ]
    generator = "Unix Makefiles" if shutil.which("make") else "Ninja"
    return run(
        *("cmake", "-G", generator, "-S", source, "-B", build, "-Wno-dev", f"-DSlicer_DIR={STUB}"),
        *(f"-DSTUB_PYTHON={sys.executable}", *compilers, *options),
    )


@pytest.fixture(scope="module", params=["stub", "real"] if all(REAL_SOURCES.values()) else ["stub"])
def extension(request, tmp_path_factory) -> Extension:
    build = tmp_path_factory.mktemp("build")
    installed = tmp_path_factory.mktemp("installed")
    configured = configure(ROOT, build, request.param)
    assert configured.returncode == 0, configured.stderr
    built = run("cmake", "--build", build)
    assert built.returncode == 0, built.stdout + built.stderr
    done = run("cmake", "--install", build, "--prefix", installed)
    assert done.returncode == 0, done.stderr
    return Extension(build, installed)


def run_installed(extension: Extension, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh Python that sees the installed modules before anything else."""
    start = f"import sys; sys.path.insert(0, {str(extension.modules)!r})\n"
    return run(sys.executable, "-I", "-c", start + code, cwd=folder)


@pytest.mark.parametrize("room", cmake_lists.ROOMS)
def test_cmake_names_every_file_of_the_tree_and_no_other(room):
    tree, listed = cmake_lists.files_in_tree(ROOT / room), cmake_lists.files_in_cmake(ROOT / room)

    advice = "run: python Testing/Packaging/refresh_cmake_lists.py"
    new, gone = sorted(tree.all - listed.all), sorted(listed.all - tree.all)
    assert not new, f"{room}/CMakeLists.txt does not name {new}; {advice}"
    assert not gone, f"{room}/CMakeLists.txt names {gone}, which are gone; {advice}"
    assert listed == tree, f"scripts and resources of {room}/CMakeLists.txt in another order; {advice}"


def test_a_new_file_and_a_lost_one_are_noticed_and_a_refresh_settles_it(tmp_path):
    room = tmp_path / "Room"
    (room / "part").mkdir(parents=True)
    (room / "__pycache__").mkdir()
    (room / "__pycache__/old.pyc").write_bytes(b"")
    for name in ("Room.py", "part/new.py", "part/data.json", "README.md"):
        (room / name).write_text("", encoding="utf-8")
    lists = "set(MODULE_PYTHON_SCRIPTS\n  Room.py\n  lost.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  )\n# kept\n"
    (room / "CMakeLists.txt").write_text(lists, encoding="utf-8")

    tree, listed = cmake_lists.files_in_tree(room), cmake_lists.files_in_cmake(room)
    assert tree.all - listed.all == {"part/new.py", "part/data.json"}
    assert listed.all - tree.all == {"lost.py"}

    assert cmake_lists.refresh(room)
    assert cmake_lists.files_in_cmake(room) == cmake_lists.InstalledFiles(
        ("Room.py", "part/new.py"), ("part/data.json",)
    )
    assert (room / "CMakeLists.txt").read_text(encoding="utf-8").endswith("# kept\n")
    assert not cmake_lists.refresh(room)


def test_a_name_that_cmake_would_take_apart_is_refused(tmp_path):
    (tmp_path / "two words.py").write_text("", encoding="utf-8")
    lists = "set(MODULE_PYTHON_SCRIPTS\n  )\nset(MODULE_PYTHON_RESOURCES\n  )\n"
    (tmp_path / "CMakeLists.txt").write_text(lists, encoding="utf-8")

    with pytest.raises(ValueError, match=r"two words\.py"):
        cmake_lists.refresh(tmp_path)


def test_the_module_file_is_the_only_script_directly_in_its_folder():
    # Slicer takes every Python file in a module folder for a module.
    scripts = [path.name for path in (ROOT / "ObserverUncertainty").glob("*.py")]

    assert scripts == ["ObserverUncertainty.py"]


@pytest.mark.parametrize("room", cmake_lists.ROOMS)
def test_every_folder_of_scripts_is_a_package(room):
    scripts = cmake_lists.files_in_tree(ROOT / room).scripts
    top = "." if room == "ObserverUncertainty" else None
    folders = {Path(name).parent.as_posix() for name in scripts} - {top}

    assert not [folder for folder in sorted(folders) if f"{folder}/__init__.py".removeprefix("./") not in scripts]


def test_a_listed_file_that_is_gone_stops_the_configuration(tmp_path):
    source = tmp_path / "source"
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "Testing/CMakeLists.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    for room in cmake_lists.ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    cases = source / "ObserverUncertaintyLib/cases.py"
    cases.unlink()

    configured = configure(source, tmp_path / "build", "stub")

    assert configured.returncode != 0
    assert "nonexistent" in configured.stderr
    assert "cases.py" in configured.stderr


def test_the_module_is_installed_with_the_library_as_a_package_beside_it(extension):
    installed = {
        path.relative_to(extension.modules).as_posix()
        for path in extension.modules.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    module = cmake_lists.files_in_cmake(ROOT / "ObserverUncertainty").all
    library = cmake_lists.files_in_cmake(ROOT / "ObserverUncertaintyLib").all
    assert installed == module | {f"ObserverUncertaintyLib/{name}" for name in library}


def test_installed_files_are_the_trees_bytes(extension):
    for room, prefix in (("ObserverUncertainty", ""), ("ObserverUncertaintyLib", "ObserverUncertaintyLib/")):
        for name in cmake_lists.files_in_cmake(ROOT / room).all:
            assert (extension.modules / f"{prefix}{name}").read_bytes() == (ROOT / room / name).read_bytes(), name


def test_the_installed_library_works_and_finds_its_data(extension, tmp_path):
    code = (
        "import ObserverUncertaintyLib.cohort.loading as cases, ObserverUncertaintyLib.jobs\n"
        "from ObserverUncertaintyLib.formats.images import read_image\n"
        "from pathlib import Path\n"
        "folder = Path(cases.__file__).parent\n"
        "image = read_image(folder / 'simulation/template/brain.nii.gz')\n"
        "print(folder)\n"
        "print(image.array.ndim, image.array.max() > 0)\n"
    )

    done = run_installed(extension, code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(extension.modules / "ObserverUncertaintyLib"), "3 True"]


def test_the_installed_module_finds_its_own_scripts_and_the_installed_library(extension, tmp_path):
    code = (
        "from importlib.util import find_spec\n"
        "for name in ('ObserverUncertainty', 'ObserverUncertaintySlicer', 'ObserverUncertaintyLib'):\n"
        "    print(find_spec(name).origin)\n"
    )

    done = run_installed(extension, code, tmp_path)

    assert done.returncode == 0, done.stderr
    names = ("ObserverUncertainty.py", "ObserverUncertaintySlicer/__init__.py", "ObserverUncertaintyLib/__init__.py")
    assert done.stdout.splitlines() == [str(extension.modules / name) for name in names]


def test_the_test_class_is_registered_for_the_application_with_the_built_module(extension):
    listed = json.loads(run("ctest", "--show-only=json-v1", cwd=extension.build).stdout)

    commands = {test["name"]: test["command"] for test in listed["tests"]}
    assert {"py_ObserverUncertainty", "py_nomainwindow_qSlicerObserverUncertaintyModuleGenericTest"} == set(commands)
    built = str(extension.build / MODULES)
    assert built in commands["py_ObserverUncertainty"]
    assert any(f"'{built}'], 'ObserverUncertainty')" in part for part in commands["py_ObserverUncertainty"])


def test_the_description_that_the_extensions_manager_reads_is_complete(extension):
    text = (extension.installed / "share/Slicer-5.10/ObserverUncertainty.s4ext").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    fields = {key: value.strip() for key, _, value in (line.partition(" ") for line in lines)}

    assert fields["category"] == "Segmentation"
    assert fields["depends"] == "PyTorch"
    assert fields["build_subdirectory"] == "."
    assert fields["contributors"] == "The ObserverUncertainty contributors"
    assert fields["description"].startswith("Segmentation uncertainty that keeps the experts' disagreement")
    assert fields["description"].endswith("Research use only, not a medical device.")


def test_other_extensions_find_this_one_in_the_build_tree(extension):
    assert (extension.build / "ObserverUncertaintyConfig.cmake").is_file()
