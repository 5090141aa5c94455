"""The extension's CMake files: they name what lies in the tree, and install a module that finds its library.

They are configured, built and installed against stubs of Slicer's macros (`stub_slicer/`), since Slicer's build tree is
not at hand here. Where `OBSERVER_UNCERTAINTY_SLICER_SOURCE` and `OBSERVER_UNCERTAINTY_CTK_SOURCE` name checkouts of
Slicer and CTK, the same tests run with their real macros too (current Slicer wants CMake 3.28 or newer for that).
"""

import json
import os
import re
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
    """Runs code in a fresh Python that sees the installed modules, and the checkout's not at all."""
    start = (
        f"import sys; sys.path.insert(0, {str(extension.modules)!r})\n"
        # An editable installation would find in the checkout whatever is missing here.
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in getattr(f, '__module__', '')]\n"
    )
    return run(sys.executable, "-I", "-c", start + code, cwd=folder)


@pytest.mark.parametrize("room", cmake_lists.ROOMS)
def test_cmake_names_every_file_that_is_reached_and_no_other(room):
    tree, listed = cmake_lists.Tree(ROOT).to_install(room), cmake_lists.files_in_cmake(ROOT / room)

    advice = "run: python Testing/Packaging/refresh_cmake_lists.py"
    new, gone = sorted(tree.all - listed.all), sorted(listed.all - tree.all)
    assert not new, f"{room}/CMakeLists.txt does not name {new}; {advice}"
    assert not gone, f"{room}/CMakeLists.txt names {gone}, which nothing in Slicer needs; {advice}"
    assert listed == tree, f"scripts and resources of {room}/CMakeLists.txt in another order; {advice}"


def make_tree(root: Path, **others: str) -> None:
    """A module and a library of a few lines, with files that are reached in each of the ways and two that are not."""
    lists = "set(MODULE_PYTHON_SCRIPTS\n  lost.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  )\n# kept\n"
    files = {
        "ObserverUncertainty/ObserverUncertainty.py": "import ObserverUncertaintySlicer.logic as logic\n",
        "ObserverUncertainty/README.md": "",
        "ObserverUncertainty/ObserverUncertaintySlicer/__init__.py": "",
        "ObserverUncertainty/ObserverUncertaintySlicer/logic.py": (
            "from importlib import import_module\n"
            "def step(name):\n    return import_module(f'ObserverUncertaintySlicer.{name}')\n"
            "def run():\n    step('late').run()\n"
        ),
        "ObserverUncertainty/ObserverUncertaintySlicer/late.py": (
            "WORKER = ('-m', 'ObserverUncertaintyLib.jobs.worker')\n"
        ),
        "ObserverUncertainty/ObserverUncertaintySlicer/other.py": "",
        "ObserverUncertainty/Resources/UI/Panel.ui": "",
        "ObserverUncertaintyLib/__init__.py": "OFFERED = {'train': 'training'}\n",
        "ObserverUncertaintyLib/py.typed": "",
        "ObserverUncertaintyLib/jobs/__init__.py": "",
        "ObserverUncertaintyLib/jobs/worker.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from ObserverUncertaintyLib.training import Model\n"
            "def work():\n    from ObserverUncertaintyLib.data import reading\n"
        ),
        "ObserverUncertaintyLib/training.py": "",
        "ObserverUncertaintyLib/data/__init__.py": "",
        "ObserverUncertaintyLib/data/brain.nii": "",
        "ObserverUncertaintyLib/data/make.py": "",
        "ObserverUncertaintyLib/data/reading.py": (
            "from importlib.resources import files\nFOLDER = files('ObserverUncertaintyLib.data')\n"
        ),
        **{f"{room}/CMakeLists.txt": lists for room in cmake_lists.ROOMS},
    }
    for name, text in (files | others).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_what_is_imported_named_or_opened_is_reached_and_nothing_else(tmp_path):
    make_tree(tmp_path)
    tree = cmake_lists.Tree(tmp_path)

    assert tree.to_install("ObserverUncertainty") == cmake_lists.InstalledFiles(
        (
            "ObserverUncertainty.py",
            "ObserverUncertaintySlicer/__init__.py",
            "ObserverUncertaintySlicer/late.py",
            "ObserverUncertaintySlicer/logic.py",
        ),
        ("Resources/UI/Panel.ui",),
    )
    assert tree.to_install("ObserverUncertaintyLib") == cmake_lists.InstalledFiles(
        ("__init__.py", "data/__init__.py", "data/reading.py", "jobs/__init__.py", "jobs/worker.py"),
        ("data/brain.nii",),
    )


def test_a_refresh_writes_what_is_reached_and_keeps_the_rest(tmp_path):
    make_tree(tmp_path)
    library = tmp_path / "ObserverUncertaintyLib"
    reached = cmake_lists.Tree(tmp_path).to_install("ObserverUncertaintyLib")

    assert cmake_lists.refresh(library, reached)
    assert cmake_lists.files_in_cmake(library) == reached
    assert (library / "CMakeLists.txt").read_text(encoding="utf-8").endswith("# kept\n")
    assert not cmake_lists.refresh(library, reached)


def test_a_name_that_cmake_would_take_apart_is_refused(tmp_path):
    make_tree(tmp_path)

    with pytest.raises(ValueError, match=r"two words\.py"):
        cmake_lists.refresh(tmp_path / "ObserverUncertaintyLib", cmake_lists.InstalledFiles(("two words.py",), ()))


def test_the_worker_is_reached_and_neither_the_command_line_nor_the_studies():
    reached = cmake_lists.Tree(ROOT).reached

    assert "ObserverUncertaintyLib.jobs.worker" in reached
    assert {"ObserverUncertaintyLib.cli", "ObserverUncertaintyLib.studies"} & reached == set()


def test_the_module_takes_no_name_from_the_librarys_init_whose_home_may_not_be_installed():
    tree = cmake_lists.Tree(ROOT)
    sources = {name: tree.scripts[name].read_text(encoding="utf-8") for name in tree.reached}

    pattern = re.compile(r"^\s*(from ObserverUncertaintyLib import|import ObserverUncertaintyLib( as|$))", re.MULTILINE)
    assert [name for name, source in sources.items() if pattern.search(source)] == []


def test_every_file_of_the_modules_resources_is_named_by_a_script():
    tree = cmake_lists.Tree(ROOT)
    texts = {text for name in tree.reached for text in tree.texts(name)}

    resources = [Path(name) for name in tree.to_install("ObserverUncertainty").resources]
    assert resources
    assert [path for path in resources if not {path.name, path.stem, path.parent.name} & texts] == []


def test_the_module_file_is_the_only_script_directly_in_its_folder():
    # Slicer takes every Python file in a module folder for a module.
    scripts = [path.name for path in (ROOT / "ObserverUncertainty").glob("*.py")]

    assert scripts == ["ObserverUncertainty.py"]


@pytest.mark.parametrize("room", cmake_lists.ROOMS)
def test_every_folder_of_scripts_is_a_package(room):
    scripts = cmake_lists.files_in_cmake(ROOT / room).scripts
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
    (source / "ObserverUncertaintyLib/cohort/case.py").unlink()

    configured = configure(source, tmp_path / "build", "stub")

    assert configured.returncode != 0
    assert "nonexistent" in configured.stderr
    assert "cohort/case.py" in configured.stderr


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


def test_every_installed_script_of_the_library_is_loaded_from_what_is_installed(extension, tmp_path):
    library = extension.modules / "ObserverUncertaintyLib"
    names = cmake_lists.files_in_cmake(ROOT / "ObserverUncertaintyLib").scripts
    modules = [
        ".".join(("ObserverUncertaintyLib", *Path(name).with_suffix("").parts)).removesuffix(".__init__")
        for name in names
    ]
    code = (
        "import importlib\n"
        f"for name in {modules}:\n"
        "    print(importlib.import_module(name).__file__)\n"
        "try:\n"
        "    import ObserverUncertaintyLib.cli\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)\n"
    )

    done = run_installed(extension, code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(str(library / name) for name in names), "ObserverUncertaintyLib.cli"]


def test_the_installed_worker_does_its_work_and_finds_its_data(extension, tmp_path):
    code = (
        "from pathlib import Path\n"
        "from ObserverUncertaintyLib.model.shipped import shipped_model\n"
        "from ObserverUncertaintyLib.jobs import PredictRequest, ProbeRequest, SimulateRequest, TrainRequest\n"
        "from ObserverUncertaintyLib.jobs.work import Reporter, do\n"
        "from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings\n"
        "here = Path.cwd()\n"
        "class Told(Reporter):\n"
        "    def artifact(self, name, path):\n"
        "        print(name, path.relative_to(here).as_posix())\n"
        "do(ProbeRequest(), here / 'probe', Told())\n"
        "do(SimulateRequest(), here / 'case', Told())\n"
        "case = here / 'case/result/case01'\n"
        "images = {name: str(case / f'{name}.nii.gz') for name in ('T1', 'T1c', 'T2', 'FLAIR')}\n"
        "model = str(shipped_model())\n"
        "do(PredictRequest(images, model, samples=1, device='cpu'), here / 'maps', Told())\n"
        "settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=2))\n"
        "manifest = str(case.parent / 'cohort.toml')\n"
        "do(TrainRequest(manifest, str(here / 'model'), settings, device='cpu'), here / 'training', Told())\n"
    )

    done = run_installed(extension, code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "manifest case/result/cohort.toml" in done.stdout
    assert "predictive_entropy maps/result/" in done.stdout
    assert "model model" in done.stdout


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
