"""The models that the example trains, once for all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_and_verify.py"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all four files, and what both models predict."""
    folder = tmp_path_factory.mktemp("trained")
    for framework in ("keras", "torch"):
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), framework, str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        accuracy = float(done.stdout.split("accuracy ")[1].split(",")[0])
        assert accuracy > 0.8, done.stdout
    return folder
