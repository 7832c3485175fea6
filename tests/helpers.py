"""What tests of several folders use: fresh interpreters, files loaded as modules, formats that can be written."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from lstm_xcheck.checkpoints import FORMATS
from lstm_xcheck.checkpoints.formats import Format
from lstm_xcheck.cli import main

from .conftest import needs

ROOT = Path(__file__).parents[1]

#: Formats that can be written, by what `--to` calls them.
WRITABLE = {format.id: format for format in FORMATS if format.writer}
#: Settings of the frameworks in fresh interpreters.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def run_python(code: str | Path, *arguments: object, **environment: str) -> str:
    """Output of code, or of a script, in a fresh interpreter; anything but exit code 0 fails.

    Keras fixes its backend on import, and some frameworks crash in the company of others.
    """
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


def usable(name: str) -> Format:
    """The format that `--to` calls so, or a skip that says which module is missing."""
    format = WRITABLE[name]
    needs(*format.reads_with, *format.writes_with)
    return format


def load_file(path: Path, name: str = "") -> ModuleType:
    """A file that lies in no package, as a module."""
    name = name or path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def command_line(capfd: pytest.CaptureFixture[str]) -> Command:
    """`command("verify", "--json")` in this process, captured at the level of file descriptors."""

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main.run(list(arguments))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call
