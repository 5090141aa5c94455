"""Which packages are there, in versions that fit."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ObserverUncertaintyLib.jobs.packages import BROUGHT, VERSIONS, Lack, fits, lacking

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def test_the_versions_are_those_that_the_project_declares() -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    for name, versions in VERSIONS.items():
        assert f"{name}{versions}" in declared
    assert {name for name in BROUGHT if any(line.startswith(f"{name}>=") for line in declared)} == set(BROUGHT)


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("2.13.0+cpu", ">=2.11,<2.16", True),
        ("2.11", ">=2.11,<2.16", True),
        ("2.11.0", ">=2.11,<2.16", True),
        ("2.15.9", ">=2.11,<2.16", True),
        ("2.9.1+cu126", ">=2.11,<2.16", False),
        ("2.16.0", ">=2.11,<2.16", False),
        ("3.0", ">=2.11,<2.16", False),
        ("0.4.3", ">=0.4.3", True),
        ("0.4", ">=0.4.3", False),
        ("0.10.0", ">=0.4.3", True),
    ],
)
def test_a_version_fits_by_its_numbers(version: str, wanted: str, expected: bool) -> None:
    assert fits(version, wanted) is expected


def test_another_version_is_found_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    information = tmp_path / "torch-2.5.1.dist-info" / "METADATA"
    information.parent.mkdir()
    information.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.5.1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert lacking(("torch", "safetensors")) == [Lack("torch", "2.5.1")]
    assert str(Lack("torch", "2.5.1")) == "torch >=2.11,<2.16 (found 2.5.1)"


def test_a_package_that_is_absent_is_named_and_one_without_version_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.modules", {})
    (tmp_path / "safetensors.py").write_text("", encoding="utf-8")
    assert [str(lack) for lack in lacking(("torch", "safetensors"))] == ["torch"]
