"""Walks every import of the package: rooms may look only along the arrows, frameworks stay in their files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lstm_xcheck"

FLOOR = {"errors", "arrays", "atomic_files"}
JUDGED = {*FLOOR, "model", "layouts"}
JUDGES = {*JUDGED, "oracle", "compare", "diagnose"}

#: Package -> the packages it may import. Adapters and checkpoints never see the judge.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "arrays": {"errors"},
    "atomic_files": set(),
    "model": FLOOR,
    "layouts": {*FLOOR, "model"},
    "oracle": JUDGED,
    "compare": {*JUDGED, "oracle"},
    "diagnose": {*JUDGED, "oracle", "compare"},
    "adapters": JUDGED,
    "checkpoints": JUDGED,
    "recordings": JUDGED,
    "events": {*FLOOR, "model", "compare", "diagnose"},
    "workers": {*JUDGED, "adapters", "recordings"},
    "engine": {*JUDGES, "adapters", "recordings", "events", "workers"},
    "runs": {*JUDGES, "adapters", "recordings", "events", "workers", "engine"},
    "strategies": {*FLOOR, "model", "engine"},
    "fuzz": {*JUDGES, "adapters", "events", "engine", "workers"},
    "live": {*JUDGES, "adapters", "checkpoints", "engine"},
    "porting": {*JUDGES, "adapters", "checkpoints", "recordings", "workers"},
    "report": {*JUDGES, "events"} - {"oracle", "layouts"},
}

#: Entry points: composed of all packages, and imported by none.
TOP = {
    "__init__", "__main__", "api", "cli", "fuzz", "live", "porting", "pytest_plugin", "pytest_toolkit", "runs",
    "strategies",
}  # fmt: skip

#: The arrows against the stream, as (file, module): the two methods `LSTMWeights.to_layout` and `from_layout`.
EXCEPTIONS = {("model/weights.py", "lstm_xcheck.layouts.convert")}

#: Everything but the standard library and NumPy, by the files that may import it.
THIRD_PARTY: dict[str, set[str]] = {
    "api.py": {"pytest"},
    "cli/*.py": {"click", "rich"},
    "report/*.py": {"rich"},
    "pytest_plugin.py": {"pytest"},
    "pytest_toolkit.py": {"pytest"},
    "adapters/torch_*.py": {"torch"},
    "adapters/keras/*.py": {"keras", "tensorflow", "jax", "torch"},
    "adapters/jax_scan/*.py": {"jax", "jaxlib"},
    "live/keras_layers.py": {"keras", "tensorflow", "jax", "torch"},
    "live/torch_modules.py": {"torch"},
    "checkpoints/codecs/hdf5*.py": {"h5py"},
    "checkpoints/keras/*.py": {"h5py"},
    "checkpoints/onnx/*.py": {"onnx", "google"},
    "checkpoints/jax/read_orbax.py": {"tensorstore"},
    "checkpoints/jax/write_orbax.py": {"orbax", "tensorstore", "ml_dtypes"},
    "engine/dask_cluster.py": {"distributed"},
    "checkpoints/torch/fill.py": {"torch"},
    "checkpoints/tensorflow/write.py": {"tensorflow"},
    "strategies.py": {"hypothesis"},
    "fuzz/*.py": {"hypothesis"},
}

Import = tuple[int, str]


def _typing_only(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
    return name == "TYPE_CHECKING"


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs, `if TYPE_CHECKING` bodies left out."""
    for child in ast.iter_child_nodes(tree):
        if _typing_only(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from _nodes(other)
        else:
            yield child
            yield from _nodes(child)


def _absolute(node: ast.ImportFrom, package: list[str]) -> list[str]:
    """`from ..model import Case` as full names; `from . import x` names the modules behind it."""
    base = package[: len(package) - node.level + 1] if node.level else []
    parts = [*base, *(node.module.split(".") if node.module else [])]
    if parts == ["lstm_xcheck"] or not node.module:
        return [".".join([*parts, alias.name]) for alias in node.names]
    return [".".join(parts)]


def _dynamic(node: ast.Call) -> str | None:
    """The module of `importlib.import_module("x")` and `__import__("x")`."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
        return str(first.value)
    return None


def imports_of(file: Path, package: Path) -> Iterator[Import]:
    """(line, full module name) of every import a file can run, those inside functions included."""
    parents = ["lstm_xcheck", *file.relative_to(package).parts[:-1]]
    for node in _nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, name) for name in _absolute(node, parents))
        elif isinstance(node, ast.Call) and (name := _dynamic(node)):
            yield node.lineno, name


def _inner_fault(relative: str, room: str, module: str) -> str | None:
    parts = module.split(".")
    target = parts[1] if len(parts) > 1 else "__init__"
    if room in TOP or target in (room, "__version__") or (relative, module) in EXCEPTIONS:
        return None
    if room not in ARROWS:
        return f"{room} is no room of the table"
    return None if target in ARROWS[room] else f"{room} may not import {target}"


def _outer_fault(relative: str, module: str) -> str | None:
    name = module.partition(".")[0]
    if name in sys.stdlib_module_names or (name == "numpy" and relative != "pytest_plugin.py"):
        return None
    allowed = any(fnmatch(relative, pattern) and name in names for pattern, names in THIRD_PARTY.items())
    return None if allowed else f"{name} may not be imported here"


def violations(package: Path) -> list[str]:
    """Every import that breaks a rule, as `file:line: fault`."""
    found = []
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package).as_posix()
        room = relative.partition("/")[0].removesuffix(".py")
        for line, module in imports_of(file, package):
            inner = module.partition(".")[0] == "lstm_xcheck"
            fault = _inner_fault(relative, room, module) if inner else _outer_fault(relative, module)
            if fault:
                found.append(f"{relative}:{line}: {fault}")
    return found


def test_the_package_keeps_to_the_arrows() -> None:
    assert violations(PACKAGE) == []


def test_the_table_has_no_cycle() -> None:
    left = dict(ARROWS)
    while left:
        free = {room for room, targets in left.items() if not targets & left.keys()}
        assert free, f"these rooms import each other: {sorted(left)}"
        left = {room: targets for room, targets in left.items() if room not in free}


def test_every_exception_is_still_needed() -> None:
    used = {
        (file.relative_to(PACKAGE).as_posix(), module)
        for file in PACKAGE.rglob("*.py")
        for _, module in imports_of(file, PACKAGE)
    }
    assert used >= EXCEPTIONS


BAD = {
    "relative": ("model/bad.py", "from ..layouts import TABLE", "model may not import layouts"),
    "absolute": ("layouts/bad.py", "import lstm_xcheck.oracle.forward", "layouts may not import oracle"),
    "from-root": ("layouts/bad.py", "from lstm_xcheck import compare", "layouts may not import compare"),
    "from-dots": ("adapters/bad.py", "from .. import oracle", "adapters may not import oracle"),
    "judged-knows-judge": ("checkpoints/bad.py", "from ..compare import judge", "checkpoints may not import compare"),
    "in-function": (
        "engine/bad.py",
        "def f():\n    from ..checkpoints import load",
        "engine may not import checkpoints",
    ),
    "knows-the-top": ("report/bad.py", "from ..cli.main import main", "report may not import cli"),
    "exception-elsewhere": ("model/case.py", "from ..layouts.convert import to_layout", "model may not import layouts"),
    "new-room": ("attic/bad.py", "from ..model import Case", "attic is no room of the table"),
    "framework": ("adapters/torch_nn.py", "import jax.numpy as jnp", "jax may not be imported here"),
    "framework-outside": ("oracle/bad.py", "from torch import nn", "torch may not be imported here"),
    "dynamic": ("oracle/bad.py", "import importlib\nimportlib.import_module('torch')", "torch may not be imported"),
    "else-of-typing": (
        "model/bad.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import torch",
        "torch may not be imported here",
    ),
    "heavy-plugin": ("pytest_plugin.py", "import numpy", "numpy may not be imported here"),
}

GOOD = {
    "downstream": ("compare/good.py", "from ..model import Case\nfrom ..oracle.forward import run"),
    "own-room": ("oracle/good.py", "from .cell import step\nfrom . import precision_profiles"),
    "typing-only": ("model/good.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    "listed-framework": ("adapters/jax_scan/adapter.py", "import jax.numpy as jnp\nfrom jax import lax"),
    "listed-exception": ("model/weights.py", "def f():\n    from ..layouts.convert import to_layout"),
    "top": ("cli/verify.py", "import click\nfrom ..checkpoints import load\nfrom .. import api"),
}


def _toy(folder: Path, name: str, source: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "source", "fault"), BAD.values(), ids=BAD)
def test_a_wrong_import_is_found(tmp_path: Path, name: str, source: str, fault: str) -> None:
    found = violations(_toy(tmp_path, name, source))
    assert len(found) == 1
    assert found[0].startswith(f"{name}:")
    assert fault in found[0]


@pytest.mark.parametrize(("name", "source"), GOOD.values(), ids=GOOD)
def test_a_right_import_is_not(tmp_path: Path, name: str, source: str) -> None:
    assert violations(_toy(tmp_path, name, source)) == []
