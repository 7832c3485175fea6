"""Keys change with the case, and with an adapter's code and versions."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.adapters.registry import function_entry
from lstm_xcheck.engine import Recipe
from lstm_xcheck.errors import AdapterError
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.runs.identity import adapter_identity, case_key


def test_every_file_of_a_users_package_is_part_of_the_identity(tmp_path: Path) -> None:
    for name in ("__init__", "fast", "helper"):
        (tmp_path / "kernels").mkdir(exist_ok=True)
        (tmp_path / "kernels" / f"{name}.py").write_text("lstm = print", encoding="utf-8")
    mine = [function_entry("mine", f"kernels{inner}:lstm", str(tmp_path)) for inner in ("", ".fast")]
    before = [adapter_identity(entry) for entry in mine]
    assert [adapter_identity(entry) for entry in mine] == before
    (tmp_path / "kernels" / "helper.py").write_text("lstm = repr", encoding="utf-8")
    assert not [entry for entry, former in zip(mine, before, strict=True) if adapter_identity(entry) == former]


#: How an own function may come to a module of its folder.
IMPORTS = {
    "import": "import helper",
    "from": "from helper import scale",
    "inside a function": "def lstm():\n    import helper",
    "within try": "try:\n    import helper as h\nexcept ImportError:\n    pass",
    "by another module": "import between",
    "by a package": "import within.inner",
    "by a name in quotes": "import importlib\nhelper = importlib.import_module('helper')",
}


@pytest.mark.parametrize("statement", IMPORTS)
def test_modules_that_an_own_function_imports_are_part_of_the_identity(tmp_path: Path, statement: str) -> None:
    (tmp_path / "within").mkdir()
    files = {"kernel": IMPORTS[statement], "between": "from helper import *", "helper": "scale = 1", "other": "a = 1"}
    for name, text in {**files, "within/inner": "import helper"}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    mine = function_entry("mine", "kernel:lstm", str(tmp_path))
    before = adapter_identity(mine)
    (tmp_path / "other.py").write_text("a = 2", encoding="utf-8")
    assert adapter_identity(mine) == before
    (tmp_path / "helper.py").write_text("scale = 2", encoding="utf-8")
    assert adapter_identity(mine) != before


def test_the_package_of_an_entry_point_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "provided.py").write_text("A = 1", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = adapter_identity(Entry("provided", "provided:A"))
    assert before["versions"]["provided"] == "unknown"
    (tmp_path / "provided.py").write_text("A = 2", encoding="utf-8")
    assert adapter_identity(Entry("provided", "provided:A")) != before


def test_versions_of_another_interpreter_are_part_of_the_identity(tmp_path: Path) -> None:
    entry = Entry("any", "module:Class", requires=("pytest",), path=(str(tmp_path),))
    python = f"{Path(sys.executable).parent}/./{Path(sys.executable).name}"  # not known as this interpreter
    assert adapter_identity(entry, python)["versions"] == adapter_identity(entry)["versions"]
    with pytest.raises(AdapterError, match="cannot be asked for its versions"):
        adapter_identity(entry, str(tmp_path / "nowhere"))


def test_keys_differ_with_every_part_of_a_case() -> None:
    case = Case.random(LSTMSpec(input_size=2, hidden_size=2), id="own")
    weights = case.weights.astype("float64")
    assert case_key(case) == case_key(Case.random(LSTMSpec(input_size=2, hidden_size=2), id="own"))
    others = [
        case.with_id("other"),
        replace(case, returns="last"),
        replace(case, gradients=True),
        replace(case, x=case.x * 2),
        Case(weights=weights, x=case.x, h0=case.h0, c0=case.c0, id="own"),
        Recipe(),
        Recipe(seed=1),
        Recipe(gradients=True),
    ]
    assert len({case_key(each) for each in (case, *others)}) == 9
