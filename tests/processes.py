"""Fresh interpreters: Keras fixes its backend on import, and some frameworks crash beside others."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def run_python(code: str | Path, *arguments: object, **environment: str) -> str:
    """Output of code, or of a script; anything but exit code 0 fails."""
    program = [str(code)] if isinstance(code, Path) else ["-c", code]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *program, *map(str, arguments)],
        env={**os.environ, **QUIET, **environment}, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def keras_backend(*wanted: str) -> str:
    """The first installed backend of Keras, for files, which show none."""
    for module in wanted or ("torch", "tensorflow", "jax"):
        if importlib.util.find_spec(module) is not None:
            return module
    return str(pytest.skip("needs a backend of Keras"))
