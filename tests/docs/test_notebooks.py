"""The notebooks of examples/ run from top to bottom, and show what they show in the repository."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..helpers import ROOT

FOLDER = ROOT / "examples" / "notebooks"
#: Notebook -> the modules that it needs.
NOTEBOOKS = {
    "find_a_mistake": ("matplotlib", "pandas"),
    "port_and_fine_tune": ("keras", "torch", "flax"),
}
RUNNER = ("nbclient", "ipykernel")


def words_of(notebook: Path) -> list[list[str]]:
    """What each cell prints and shows, without its numbers; a picture is one word."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [[word for output in cell.get("outputs", ()) for word in _words(output)] for cell in cells]


def _words(output: dict[str, Any]) -> list[str]:
    if output["output_type"] == "error":
        return ["error", output["ename"]]
    data = output.get("data", {})
    text = "".join(output.get("text", data.get("text/plain", ())))
    return [*re.findall(r"[A-Za-z_]{2,}", text), *(["picture"] if "image/png" in data else [])]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.framework(*RUNNER, *needed)) for name, needed in NOTEBOOKS.items()]
)
def test_a_notebook_runs_and_shows_what_it_did(tmp_path: Path, name: str) -> None:
    command = [sys.executable, str(FOLDER / "execute.py"), name, "--into", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    kept, now = (words_of(folder / f"{name}.ipynb") for folder in (FOLDER, tmp_path))
    assert kept == now, "the notebook is stale; run: python examples/notebooks/execute.py"


def test_every_notebook_is_run_and_kept_with_its_output() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {*NOTEBOOKS}
    for name in NOTEBOOKS:
        words = words_of(FOLDER / f"{name}.ipynb")
        assert sum(map(bool, words)) >= 6
        assert not any("error" in cell[:1] for cell in words)
        assert (FOLDER / f"{name}.ipynb").stat().st_size < 300_000


def test_the_notebooks_name_the_mistake_and_lose_no_bit() -> None:
    mistake, port = ([word for cell in words_of(FOLDER / f"{name}.ipynb") for word in cell] for name in NOTEBOOKS)
    assert "gates and exchanged in and" in " ".join(mistake)
    assert mistake.count("picture") == 2
    assert " ".join(port).count("every bit is kept") == 2
    assert " ".join(port).count("the same answers True") == 2


def test_another_output_is_found(tmp_path: Path) -> None:
    kept = (FOLDER / "find_a_mistake.ipynb").read_text(encoding="utf-8")
    (tmp_path / "other.ipynb").write_text(kept.replace("DISAGREE", "AGREE"), encoding="utf-8")
    assert words_of(tmp_path / "other.ipynb") != words_of(FOLDER / "find_a_mistake.ipynb")
    (tmp_path / "number.ipynb").write_text(re.sub(r"e\+06", "e+07", kept), encoding="utf-8")
    assert words_of(tmp_path / "number.ipynb") == words_of(FOLDER / "find_a_mistake.ipynb")
