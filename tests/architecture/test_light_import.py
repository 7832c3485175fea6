"""A fresh interpreter proves that importing the package, and every `--help`, loads no framework."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lstm_xcheck.cli.main import cli

FRAMEWORKS = (
    *("torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "equinox", "haiku", "onnx", "onnxruntime"),
    *("openvino", "ai_edge_litert", "paddle", "mlx", "tinygrad", "h5py", "safetensors", "distributed", "jinja2"),
    *("matplotlib", "pandas", "polars", "IPython"),
)

#: The verbs that must be there; any further one is looked at as well.
VERBS = {"verify", "params", "trace", "layouts", "adapters"}

REPORT = """
import json, sys
print("LOADED " + json.dumps([name for name in {names!r} if name in sys.modules]))
"""

RUN_MODULE = """
import runpy, sys
sys.argv = ["lstm-xcheck", *{arguments!r}]
try:
    runpy.run_module("lstm_xcheck", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""


def loaded_after(code: str, names: tuple[str, ...] = FRAMEWORKS, folder: Path | None = None) -> list[str]:
    """Which of the names a fresh interpreter has in `sys.modules` after running the code."""
    run = subprocess.run(
        [sys.executable, "-c", code + REPORT.format(names=names)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    assert run.returncode == 0, run.stderr
    last = run.stdout.splitlines()[-1]
    assert last.startswith("LOADED ")
    return list(json.loads(last.removeprefix("LOADED ")))


def test_importing_the_package_loads_no_framework() -> None:
    assert loaded_after("import lstm_xcheck") == []


@pytest.mark.parametrize(
    "name", ["LSTMSpec", "LSTMWeights", "Case", "Result", "count_parameters", "sweep", "verify", "compare", "trace"]
)
def test_a_public_name_loads_no_framework(name: str) -> None:
    assert loaded_after(f"from lstm_xcheck import {name}") == []


def test_the_pytest_plugin_loads_neither_framework_nor_numpy() -> None:
    assert loaded_after("import lstm_xcheck.pytest_plugin", (*FRAMEWORKS, "numpy", "rich", "click")) == []


def test_help_loads_no_framework() -> None:
    assert loaded_after(RUN_MODULE.format(arguments=["--help"])) == []


def test_the_help_of_every_verb_loads_no_framework() -> None:
    verbs = set(cli.list_commands(click.Context(cli)))
    assert verbs >= VERBS
    culprits = {verb: loaded_after(RUN_MODULE.format(arguments=[verb, "--help"])) for verb in sorted(verbs)}
    assert culprits == {verb: [] for verb in sorted(verbs)}


def test_porting_loads_what_proves_it_only_where_it_is_proven() -> None:
    """A third of its imports, before it reads a byte."""
    judges = tuple(
        f"lstm_xcheck.{room}" for room in ("adapters", "compare", "diagnose", "workers", "porting.verification")
    )
    assert loaded_after("import lstm_xcheck.porting.port", judges) == []
    assert loaded_after("import lstm_xcheck.porting.verification", judges) == list(judges)


def test_the_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("", encoding="utf-8")
    assert loaded_after("import torch", folder=tmp_path) == ["torch"]
    assert loaded_after("import json, numpy", ("numpy", "torch"), folder=tmp_path) == ["numpy"]


def test_the_check_sees_what_a_verb_loads(tmp_path: Path) -> None:
    package = tmp_path / "lstm_xcheck"
    package.mkdir()
    (tmp_path / "keras.py").write_text("", encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "__main__.py").write_text("import sys, keras\nsys.exit(0)\n", encoding="utf-8")
    assert loaded_after(RUN_MODULE.format(arguments=["verify", "--help"]), folder=tmp_path) == ["keras"]
