"""A folder with the kernels in it, and the command line as a function."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..helpers import Command, command_line

KERNELS = Path(__file__).with_name("kernels.py")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with kernels.py in it."""
    shutil.copy(KERNELS, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    """`command("fuzz", "--json")`: run it in this process, in the folder with the kernels."""
    return command_line(capfd)


@pytest.fixture
def without_xcheck(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Run a test file by pytest where importing lstm_xcheck is an error."""
    blocked = tmp_path_factory.mktemp("blocked")
    (blocked / "lstm_xcheck.py").write_text("raise ImportError('lstm_xcheck is not for this test')\n", encoding="utf-8")

    def call(file: Path) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(file.parent),
            str(file),
        ]
        environment = {**os.environ, "PYTHONPATH": str(blocked), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            command, cwd=blocked, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return call
