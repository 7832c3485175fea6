"""Measures the structure: no import circle of modules, no crowded folder, no module without its package."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .test_imports import imports_of

ROOT = Path(__file__).parents[2]
MOST_MODULES = 25

Graph = dict[str, set[str]]


def import_graph(package: Path) -> Graph:
    """Module -> the modules of the package that it imports, those inside functions included."""
    files = {_module(file, package): file for file in package.rglob("*.py")}
    graph: Graph = {}
    for module, file in files.items():
        graph[module] = {
            known for _, name in imports_of(file, package) if (known := _known(name, files)) and known != module
        }
    return graph


def _module(file: Path, package: Path) -> str:
    return ".".join(["lstm_xcheck", *file.relative_to(package).with_suffix("").parts]).removesuffix(".__init__")


def _known(name: str, files: dict[str, Path]) -> str:
    """The module that a dotted name lies in; an empty package stands for nothing."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def crowded(root: Path) -> dict[str, int]:
    """Folders with too many modules."""
    counts = Counter(file.parent.relative_to(root).as_posix() for file in root.rglob("*.py"))
    return {folder: number for folder, number in counts.items() if number > MOST_MODULES}


def test_no_modules_import_each_other() -> None:
    graph = import_graph(ROOT / "lstm_xcheck")
    # The two methods `LSTMWeights.to_layout` and `from_layout`, which users look for there.
    graph["lstm_xcheck.model.weights"].discard("lstm_xcheck.layouts.convert")
    assert len(graph) > 200
    assert circles(graph) == []


def test_no_folder_is_crowded() -> None:
    assert crowded(ROOT / "lstm_xcheck") == {}
    assert crowded(ROOT / "tests") == {}


def test_a_circle_is_found(tmp_path: Path) -> None:
    sources = {
        "a.py": "from .inner import b",
        "inner/__init__.py": "",
        "inner/b.py": "def f():\n    from ..c import x",
        "c.py": "import lstm_xcheck.a",
        "d.py": "from . import a",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    assert circles(import_graph(tmp_path)) == [["lstm_xcheck.a", "lstm_xcheck.c", "lstm_xcheck.inner.b"]]


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    for number in range(MOST_MODULES + 1):
        (tmp_path / "many" / f"m{number}.py").touch()
        if number:
            (tmp_path / "few" / f"m{number}.py").touch()
    assert crowded(tmp_path) == {"many": MOST_MODULES + 1}
