"""The models that the example trains, once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..helpers import ROOT, run_python

EXAMPLE = ROOT / "examples" / "train_and_verify.py"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all four files, and what both models predict."""
    folder = tmp_path_factory.mktemp("trained")
    for framework in ("keras", "torch"):
        printed = run_python(EXAMPLE, framework, folder)
        assert float(printed.split("accuracy ")[1].split(",")[0]) > 0.8, printed
    return folder
