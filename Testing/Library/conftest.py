"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The networks of the tests are tiny: more threads than one only wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_VARIABLE = "OBSERVER_UNCERTAINTY_TEST_DATA"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data, which cannot be part of the repository; skips, saying so, where it is absent."""
    checkout = Path(__file__).parents[2]
    folder = Path(os.environ.get(_VARIABLE, checkout.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set {_VARIABLE} to its folder")
    return folder
