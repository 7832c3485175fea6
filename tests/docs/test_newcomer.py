"""What somebody does who has read README.md alone, in an empty folder, after the installation."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers import ROOT

pytestmark = pytest.mark.framework("torch", "safetensors")

README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown(words: str) -> list[str]:
    """The commands of the README's block whose last command begins with these words."""
    (line,) = (line for line in re.findall(r"^\$ (.+)$", README, re.M) if line.split(" && ")[-1].startswith(words))
    return line.split(" && ")


class Newcomer:
    """Runs commands in a folder and counts them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, 0
        (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)

    def run(self, command: str, code: int = 0) -> str:
        """What a command prints."""
        self.commands += 1
        program, *arguments = shlex.split(command)
        start = [sys.executable] if program == "python" else [sys.executable, "-m", "lstm_xcheck"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run(
            [*start, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout


def test_from_the_readme_to_a_named_mistake_and_a_ported_model_in_under_ten_commands(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    make, diagnose = shown("lstm-xcheck diagnose")
    newcomer.run(make)
    named = newcomer.run(diagnose, code=1)
    assert "cause: gates f and g exchanged in W, U and b" in named
    assert "fix:   Put the four blocks of W, U and b into the order i, f, g, o" in named

    verify = "lstm-xcheck verify --adapter mine=examples.custom_lstm:mistaken --grid hidden=4 --report report.html"
    told = newcomer.run(verify, code=1)
    assert told.startswith("DISAGREE: mine: gates g and o exchanged in W, U and b")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "gates g and o exchanged in W, U and b" in page
    assert "Put the four blocks of W, U and b into the order i, f, g, o" in page
    (again,) = re.findall(r"run: (.+)", told)
    assert "gates g and o exchanged" in newcomer.run(again, code=1)

    (port,) = shown("lstm-xcheck port")
    told = newcomer.run(port)
    assert told.splitlines()[-1].startswith("AGREE: the proof is in")
    load = "\n".join(
        line.strip() for line in told.partition("load it with:\n")[2].splitlines() if line.startswith("    ")
    )
    compared = (
        f"{load}\nold = torch.nn.LSTM(6, 10, batch_first=True)\nold.load_state_dict(torch.load('lstm.pt'))\n"
        "x = torch.randn(2, 5, 6)\nassert torch.equal(lstm(x)[0], old(x)[0])\nprint('equal')\n"
    )
    (tmp_path / "predict.py").write_text(compared)
    assert newcomer.run("python predict.py") == "equal\n"
    assert newcomer.commands < 10
