"""Only the adapters know adapter names; others use columns of the registry."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from lstm_xcheck.adapters.table import BUILT_IN

PACKAGE = Path(__file__).parents[2] / "lstm_xcheck"
NAMES = frozenset(entry.name for entry in BUILT_IN)

#: Packages in which the same words are names of layouts, file formats and initializers.
OTHER_MEANINGS = ("adapters", "layouts", "checkpoints", "model")

#: Files elsewhere in which a word that is an adapter's name, too, means something else.
EXCEPTIONS = {
    ("engine/presets.py", "torch"): "an initializer",
    **{(file, name): "a framework, a backend or a layout" for file, names in {
        "cli/score.py": ("torch", "jax"),
        "scoring/hosts/__init__.py": ("torch", "jax", "haiku", "equinox"),
        "scoring/hosts/jax.py": ("haiku", "equinox", "flax-linen", "flax-nnx", "flax-nnx-optimized"),
        "scoring/hosts/onnx.py": ("onnxruntime",),
        "scoring/hosts/keras.py": ("torch", "jax"),
    }.items() for name in names},
    **{("workers/versions.py", name): "a module or distribution" for name in ("haiku", "mlx", "paddle", "sonnet")},
}  # fmt: skip


#: Functions whose arguments are names of layouts.
LAYOUT_FUNCTIONS = {"from_layout", "to_layout", "layout_named"}


def constants(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string constant but docstrings and the arguments of layout functions."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            skipped |= set(map(id, node.args)) if name in LAYOUT_FUNCTIONS else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node


def adapter_names(package: Path, names: Collection[str]) -> list[tuple[str, int, str]]:
    """(file, line, name) of each constant that is an adapter's name."""
    found = []
    for file in sorted(package.rglob("*.py")):
        relative = file.relative_to(package).as_posix()
        if relative.partition("/")[0] not in OTHER_MEANINGS:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            found += [(relative, node.lineno, str(node.value)) for node in constants(tree) if node.value in names]
    return found


def test_no_module_outside_the_adapters_knows_an_adapter() -> None:
    assert len(NAMES) >= 5
    found = adapter_names(PACKAGE, NAMES)
    assert [place for place in found if (place[0], place[2]) not in EXCEPTIONS] == []
    assert {(file, name) for file, _, name in found} == set(EXCEPTIONS)


@pytest.mark.parametrize(
    "folder", ["porting", "fuzz", "diagnose", "live", "engine", "workers", "runs", "cli", "report"]
)
@pytest.mark.parametrize(
    "source",
    [
        'ADAPTERS = {"keras": ("keras-torch", "other")}',
        'def f(entry):\n    """Doc."""\n    return entry.name == "keras-torch"',
        'def f(name="keras-torch"):\n    return f"{name}"',
        'CALL = f"{1}" "keras-torch"',
        'run("keras-torch")',
    ],
    ids=["table", "comparison", "default", "f-string", "argument"],
)
def test_a_name_is_found(tmp_path: Path, folder: str, source: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "bad.py").write_text(source, encoding="utf-8")
    (found,) = adapter_names(tmp_path, {"keras-torch"})
    assert (found[0], found[2]) == (f"{folder}/bad.py", "keras-torch")


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("report/good.py", '"""keras-torch"""'),
        ("report/good.py", 'def f():\n    """keras-torch"""'),
        ("live/good.py", 'def f(arrays):\n    return lx.from_layout(arrays, "keras-torch")'),
        ("report/good.py", 'HELP = "such as keras-torch"'),
        ("adapters/good.py", 'NAME = "keras-torch"'),
        ("layouts/good.py", 'NAME = "keras-torch"'),
    ],
    ids=["module-docstring", "docstring", "layout", "help", "adapters", "layouts"],
)
def test_other_text_is_not(tmp_path: Path, file: str, source: str) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(source, encoding="utf-8")
    assert adapter_names(tmp_path, {"keras-torch"}) == []
