"""Packages: what is missing is found without importing it, and installed by who is responsible for it."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import dependencies, devices, host


@pytest.fixture(autouse=True)
def ownPython(monkeypatch, request):
    if "workerPython" not in request.fixturenames:
        monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)
    devices.forgetDevices()
    yield
    devices.forgetDevices()


class PyTorchUtils(types.ModuleType):
    """The PyTorch extension's module, as far as it is used; real installations belong to no test."""

    def __init__(self, result):
        super().__init__("PyTorchUtils")
        self.calls = []
        utils = self

        class PyTorchUtilsLogic:
            def installTorch(self, askConfirmation=False, torchVersionRequirement=None):
                utils.calls.append((askConfirmation, torchVersionRequirement))
                if isinstance(result, Exception):
                    raise result
                return result

        self.PyTorchUtilsLogic = PyTorchUtilsLogic


@pytest.fixture
def pyTorch(monkeypatch):
    module = PyTorchUtils(types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    return module


def test_what_slicers_python_lacks_is_found_without_importing():
    assert dependencies.missingPackages() == ["torch", "safetensors"]
    assert "torch" not in sys.modules


def test_a_package_that_is_there_is_not_missing(tmp_path, monkeypatch):
    (tmp_path / "safetensors.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert dependencies.missingPackages() == ["torch"]


def installed(folder, name, version):
    """Let a package of this version be there."""
    (folder / f"{name}.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def test_an_older_version_is_named_with_the_one_that_is_needed_and_installed_in_its_place(
    slicerApplication, pyTorch, tmp_path, monkeypatch
):
    installed(tmp_path, "torch", "2.5.1")
    installed(tmp_path, "safetensors", "0.7.0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert dependencies.missingPackages() == ["torch >=2.11,<2.16 (found 2.5.1)"]
    assert dependencies.install(lambda _text: pytest.fail("safetensors fits"))
    assert pyTorch.calls == [(True, ">=2.11,<2.16")]
    assert slicerApplication.packages.installed == []


@pytest.mark.usefixtures("workerPython")
def test_another_pythons_packages_are_known_when_it_was_asked():
    assert dependencies.missingPackages() is None
    devices.probeDevices().result()
    assert dependencies.missingPackages() == []


def test_each_package_is_installed_after_one_question(slicerApplication, pyTorch):
    asked = []
    assert dependencies.install(lambda text: asked.append(text) or True)
    assert pyTorch.calls == [(True, ">=2.11,<2.16")]
    assert [call["requirements"] for call in slicerApplication.packages.installed] == [["safetensors>=0.4.3"]]
    assert len(asked) == 1
    assert "safetensors" in asked[0]


def test_nothing_more_is_installed_once_the_user_declines(slicerApplication, pyTorch, monkeypatch):
    assert not dependencies.install(lambda _text: False)
    assert slicerApplication.packages.installed == []
    monkeypatch.setitem(sys.modules, "PyTorchUtils", PyTorchUtils(None))
    assert not dependencies.install(lambda _text: pytest.fail("asked for safetensors although torch was declined"))


def test_without_the_pytorch_extension_the_text_says_where_to_get_it(slicerApplication):
    with pytest.raises(InputError, match=r"Extensions Manager, restart Slicer"):
        dependencies.install(lambda _text: True)
    assert slicerApplication.packages.installed == []


@pytest.mark.usefixtures("pyTorch")
def test_a_failed_installation_points_to_the_offline_instructions(slicerApplication):
    slicerApplication.packages.failure = subprocess.CalledProcessError(1, ["pip"])
    with pytest.raises(InputError, match="Offline"):
        dependencies.install(lambda _text: True)


class TestSlicer510:
    """It has no slicer.packaging."""

    @pytest.fixture
    def withPackaging(self):
        return False

    @pytest.mark.usefixtures("slicerApplication", "pyTorch")
    def test_its_own_pip_install_is_used(self, monkeypatch):
        installed = []
        monkeypatch.setattr(slicer.util, "pip_install", installed.append)
        assert dependencies.install(lambda _text: True)
        assert installed == [["safetensors>=0.4.3"]]


def test_nothing_is_installed_into_another_python(slicerApplication, pyTorch, monkeypatch):
    monkeypatch.setenv(host.PYTHON_VARIABLE, "/opt/python")
    with pytest.raises(InputError, match=r'"/opt/python" -m pip install "torch>=2.11,<2.16" "safetensors'):
        dependencies.install(lambda _text: True)
    assert pyTorch.calls == []


def test_the_offline_instructions_name_packages_command_and_variable():
    text = dependencies.offlineInstructions()
    assert '--no-index --find-links FOLDER "torch>=2.11,<2.16" "safetensors>=0.4.3"' in text
    assert host.PYTHON_VARIABLE in text
