"""The names that `import ObserverUncertaintyLib as ou` offers."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
from cohorts import disc_case, write_discs
from test_architecture import CHECKOUT, LIBRARY, ROOMS, WALL, in_fresh_python

import ObserverUncertaintyLib as ou
from ObserverUncertaintyLib.formats import write_mask

SOURCE = CHECKOUT / LIBRARY / "__init__.py"
NAMES = {
    target.name: f"{node.module}"
    for node in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8")))
    if isinstance(node, ast.ImportFrom) and str(node.module).startswith(LIBRARY)
    for target in node.names
    if target.asname
}


def test_type_checkers_see_the_names_that_programs_get():
    assert {name: f"{LIBRARY}.{home}" for name, home in ou._HOMES.items()} == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_its_module_calls_so_and_is_listed(name):
    assert getattr(ou, name) is getattr(import_module(NAMES[name]), name)
    assert name in dir(ou)


def test_no_name_is_that_of_a_room():
    # Python puts a room's package in the place of its name as soon as something in it is imported.
    assert NAMES.keys() & set(ROOMS) == set()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'ObserverUncertaintyLib' has no attribute 'nothing'$"):
        ou.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from ObserverUncertaintyLib import nothing")


def test_the_package_alone_loads_nothing():
    program = f"""
before = set(sys.modules)
import {LIBRARY} as ou
print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names))
"""
    assert in_fresh_python(program).split() == [LIBRARY, f"{LIBRARY}.base", f"{LIBRARY}.base.version"]


def test_the_light_names_need_nothing_that_slicer_lacks_and_the_others_do():
    program = f"""
{WALL}
import {LIBRARY} as ou
ou.expert_entropy, ou.fuse, ou.load_case, ou.weighted_mean_entropy, ou.TrainingSettings
try:
    ou.predict
except ModuleNotFoundError as error:
    print(error)
"""
    assert in_fresh_python(program).splitlines() == ["behind the wall: torch", "behind the wall: torch"]


def test_the_readmes_example_runs(tmp_path):
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(rf"```python\n(import {LIBRARY} as ou\n.*?)```", readme, re.DOTALL)
    folder = write_discs(tmp_path / "work", 3).parent
    case = disc_case(0, slices=2)
    for name, mask in zip(("anna", "ben", "carl"), case.raters, strict=True):
        write_mask(folder / f"{name}.nii.gz", mask, case.grid)

    shown = "print(entropy.shape, prediction.probability.shape, sorted(scores)[:3], result.sensitivity.shape)"
    done = subprocess.run(
        [sys.executable, "-c", f"{example}\n{shown}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 32, 32) (1, 32, 32) ['added_path_mm', 'brier_roi', 'case'] (3,)"
    assert (folder / "model" / "weights.safetensors").is_file()
