"""Walks every import of the package: packages depend one way, without circles, and frameworks stay in their files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lstm_xcheck"

FLOOR = {"errors", "arrays", "atomic_files", "display"}
JUDGED = {*FLOOR, "model", "layouts"}
JUDGES = {*JUDGED, "oracle", "compare", "diagnose"}

#: On every Python that is supported: tomllib came with 3.11.
STANDARD_LIBRARY = {*sys.stdlib_module_names, "tomllib"}

#: Package -> the packages it may import. Adapters and checkpoints never see the judge.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "arrays": {"errors"},
    "atomic_files": set(),
    "project_settings": {"errors"},
    "display": {"errors"},
    "model": FLOOR,
    "layouts": {*FLOOR, "model"},
    "oracle": JUDGED,
    "compare": {*JUDGED, "oracle"},
    "diagnose": {*JUDGED, "oracle", "compare"},
    "adapters": JUDGED,
    "checkpoints": JUDGED,
    "recordings": {*JUDGED, "checkpoints.codecs"},
    "events": {*FLOOR, "model", "compare", "diagnose"},
    "workers": {*JUDGED, "adapters", "recordings"},
    "engine": {*JUDGES, "adapters", "recordings", "events", "workers"},
    "runs": {*JUDGES, "adapters", "recordings", "events", "workers", "engine"},
    "strategies": {*FLOOR, "model", "engine"},
    "fuzz": {*JUDGES, "adapters", "events", "engine", "workers"},
    "live": {*JUDGES, "adapters", "checkpoints", "engine"},
    "vectors": {*JUDGES, "adapters", "checkpoints.codecs"},
    "porting": {*JUDGES, "adapters", "checkpoints", "recordings", "workers"},
    "report": {*JUDGES, "events"} - {"oracle", "layouts"},
}

#: Entry points: composed of all packages, and imported by none.
TOP = {
    "__init__", "__main__", "adapter_contract", "api", "atlas", "cli", "fuzz", "live", "porting", "pytest_plugin",
    "pytest_toolkit", "runs", "scoring", "strategies", "tracing", "vectors",
}  # fmt: skip

#: The same inside `checkpoints`: base modules, then detection and other layers, then one package for each family of
#: formats, then what puts them together. A family knows no other one but where it says so here.
BASE = {"tensor_info", "topology", "options", "codecs", "sniff", "model", "layout_arrays", "template"}
FAMILY = {*BASE, "detect", "other_layers"}
CHECKPOINTS: dict[str, set[str]] = {
    "tensor_info": set(),
    "options": set(),
    "codecs": {"tensor_info"},
    "sniff": {"codecs"},
    "topology": {"tensor_info"},
    "model": {"codecs", "tensor_info", "topology"},
    "layout_arrays": {"codecs"},
    "template": {"layout_arrays", "model"},
    "detect": {"codecs", "model", "options", "tensor_info"},
    "other_layers": {"codecs", "detect", "layout_arrays", "model", "tensor_info", "topology"},
    "written": {"codecs", "detect", "tensor_info"},
    **dict.fromkeys(("jax", "keras", "numpy", "paddle", "torch"), FAMILY),
    **{
        key: {*FAMILY, "written"} for key in ("litert", "onnx", "openvino")
    },  # graphs that write a step out by operators
    "safetensors": {*FAMILY, "torch"},  # the names of a state dict
    "tensorflow": {*FAMILY, "keras"},  # the config that Keras 2 writes into a SavedModel
    "formats": {"codecs", "model", "options", "sniff", "other_layers", "template"},
    "inspect": {"formats", "model", "options"},
    "loading_code": {"formats", "model"},
    "plain_arrays": {"codecs", "sniff", "safetensors"},
    "publish": {"codecs", "formats"},
    "read_back": {"codecs", "formats", "layout_arrays", "model", "options"},
    "read_template": {"codecs", "formats", "layout_arrays", "model", "other_layers", "template"},
    "expressible": set(),
    "write": {
        "expressible",
        "formats",
        "layout_arrays",
        "model",
        "options",
        "other_layers",
        "publish",
        "read_back",
        "read_template",
    },
    "__init__": {"formats", "model", "write"},
}

#: Imports against the direction, as (file, name): the two methods `LSTMWeights.to_layout` and `from_layout`.
EXCEPTIONS = {
    ("model/weights.py", "lstm_xcheck.layouts.read.from_layout"),
    ("model/weights.py", "lstm_xcheck.layouts.write.to_layout"),
}

#: Everything but the standard library and NumPy, by the files that may import it.
THIRD_PARTY: dict[str, set[str]] = {
    "adapter_contract.py": {"pytest"},
    "api.py": {"pytest"},
    "cli/*.py": {"click", "rich"},
    "project_settings.py": {"tomli"},
    "report/*.py": {"rich"},
    "report/html_page.py": {"jinja2"},
    "pytest_plugin.py": {"pytest"},
    "pytest_toolkit.py": {"pytest"},
    "adapters/torch/*.py": {"torch", "onnx", "onnxruntime"},
    "adapters/keras/*.py": {"keras", "tensorflow", "jax", "torch", "onnxruntime", "ai_edge_litert", "tf_keras"},
    "adapters/jax/*.py": {"jax", "jaxlib", "flax", "equinox", "haiku", "jax2onnx", "onnx", "onnxruntime"},
    "adapters/onnx/*.py": {"onnx", "onnxruntime", "openvino", "tract"},
    "adapters/tensorflow/*.py": {"tensorflow", "sonnet", "tf_keras", "ai_edge_litert"},
    "adapters/openvino.py": {"openvino"},
    "adapters/paddle.py": {"paddle"},
    "adapters/mlx.py": {"mlx"},
    "adapters/tinygrad.py": {"tinygrad"},
    "live/read_keras.py": {"keras", "tensorflow", "jax", "torch"},
    "live/read_torch.py": {"torch"},
    "vectors/formats/onnx_folders.py": {"onnx"},
    "scoring/suite.py": {"pytest"},
    "scoring/onnx_node_tests.py": {"pytest", "onnx"},
    "scoring/hosts/torch.py": {"torch"},
    "scoring/hosts/keras.py": {"keras", "tensorflow", "jax"},
    "scoring/hosts/jax.py": {"jax", "flax", "haiku", "equinox"},
    "scoring/hosts/onnx.py": {"onnx", "onnxruntime"},
    "checkpoints/codecs/hdf5*.py": {"h5py"},
    "checkpoints/codecs/crc32c.py": {"google_crc32c"},
    "checkpoints/keras/*.py": {"h5py"},
    "checkpoints/onnx/*.py": {"onnx", "google"},
    "checkpoints/jax/read_orbax.py": {"tensorstore"},
    "checkpoints/jax/write_orbax.py": {"orbax", "tensorstore", "ml_dtypes"},
    "engine/dask_cluster.py": {"distributed"},
    "display/libraries.py": {"matplotlib", "pandas", "polars"},
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
    """`from ..model import Case` as full names, `lstm_xcheck.model.Case`."""
    base = package[: len(package) - node.level + 1] if node.level else []
    parts = [*base, *(node.module.split(".") if node.module else [])]
    return [".".join([*parts, alias.name]) for alias in node.names]


def _dynamic(node: ast.Call) -> str | None:
    """The module of `importlib.import_module("x")` and `__import__("x")`."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
        return str(first.value)
    return None


def imports_of(file: Path, package: Path) -> Iterator[Import]:
    """(line, full name) of everything a file can import, inside functions too."""
    parents = ["lstm_xcheck", *file.relative_to(package).parts[:-1]]
    for node in _nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, name) for name in _absolute(node, parents))
        elif isinstance(node, ast.Call) and (name := _dynamic(node)):
            yield node.lineno, name


def _inner_fault(relative: str, module: str) -> str | None:
    unit, target = _unit(relative), [*module.split("."), "__init__"][1]
    if unit == target == "checkpoints":
        return _checkpoints_fault(relative, module)
    if unit in TOP or target in (unit, "__version__") or (relative, module) in EXCEPTIONS:
        return None
    if unit not in ARROWS:
        return f"{unit} is no package of the table"
    package = ".".join(module.split(".")[1:3])
    return None if {target, package} & ARROWS[unit] else f"{unit} may not import {target}"


def _checkpoints_fault(relative: str, module: str) -> str | None:
    unit, target = _unit(relative.partition("/")[2]), [*module.split("."), "", "__init__"][2]
    if target == unit:
        return None
    if unit not in CHECKPOINTS:
        return f"checkpoints/{unit} is no package of the table"
    return None if target in CHECKPOINTS[unit] else f"checkpoints/{unit} may not import checkpoints/{target}"


def _unit(relative: str) -> str:
    """The package or module right below a folder that a file belongs to."""
    return relative.partition("/")[0].removesuffix(".py")


def _outer_fault(relative: str, module: str) -> str | None:
    name = module.partition(".")[0]
    if name in STANDARD_LIBRARY or (name == "numpy" and relative != "pytest_plugin.py"):
        return None
    allowed = any(fnmatch(relative, pattern) and name in names for pattern, names in THIRD_PARTY.items())
    return None if allowed else f"{name} may not be imported here"


def violations(package: Path) -> list[str]:
    """Every import that breaks a rule, as `file:line: fault`."""
    found = []
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package).as_posix()
        for line, module in imports_of(file, package):
            inner = module.partition(".")[0] == "lstm_xcheck"
            fault = _inner_fault(relative, module) if inner else _outer_fault(relative, module)
            if fault:
                found.append(f"{relative}:{line}: {fault}")
    return found


def test_the_package_keeps_to_the_arrows() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize("table", [ARROWS, CHECKPOINTS], ids=["package", "checkpoints"])
def test_the_table_has_no_cycle(table: dict[str, set[str]]) -> None:
    left = dict(table)
    while left:
        free = {unit for unit, targets in left.items() if not targets & left.keys()}
        assert free, f"these import each other: {sorted(left)}"
        left = {unit: targets for unit, targets in left.items() if unit not in free}


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
    "only-the-codecs": ("recordings/bad.py", "from ..checkpoints import load", "recordings may not import checkpoints"),
    "in-function": (
        "engine/bad.py",
        "def f():\n    from ..checkpoints import load",
        "engine may not import checkpoints",
    ),
    "knows-the-top": ("report/bad.py", "from ..cli.main import main", "report may not import cli"),
    "exception-elsewhere": ("model/case.py", "from ..layouts.write import to_layout", "model may not import layouts"),
    "new-package": ("attic/bad.py", "from ..model import Case", "attic is no package of the table"),
    "codec-knows-model": (
        "checkpoints/codecs/bad.py",
        "from ..model import FoundLSTM",
        "checkpoints/codecs may not import checkpoints/model",
    ),
    "family-knows-another": (
        "checkpoints/onnx/bad.py",
        "from ..keras.config import KerasConfig",
        "checkpoints/onnx may not import checkpoints/keras",
    ),
    "family-knows-formats": (
        "checkpoints/torch/bad.py",
        "def f():\n    from ..formats import FORMATS",
        "checkpoints/torch may not import checkpoints/formats",
    ),
    "new-family": (
        "checkpoints/attic/bad.py",
        "from ..model import FoundLSTM",
        "checkpoints/attic is no package of the table",
    ),
    "framework": ("adapters/torch/nn.py", "import jax.numpy as jnp", "jax may not be imported here"),
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
    "codecs": ("recordings/good.py", "from ..checkpoints.codecs import npz\nfrom ..checkpoints.codecs.npy import x"),
    "own-package": ("oracle/good.py", "from .cell import step\nfrom . import precision_profiles"),
    "typing-only": ("model/good.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    "listed-framework": ("adapters/jax/scan.py", "import jax.numpy as jnp\nfrom jax import lax"),
    "listed-exception": ("model/weights.py", "def f():\n    from ..layouts.write import to_layout"),
    "family": ("checkpoints/torch/good.py", "from ..detect.torch_names import x\nfrom .tensors import y"),
    "listed-family": ("checkpoints/safetensors/good.py", "from ..torch.names import state_names"),
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
