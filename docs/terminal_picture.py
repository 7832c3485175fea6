"""Draws docs/images/verify.svg: a real run of `verify`, in which a kernel of one's own has a mistake.

python docs/terminal_picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 110
COMMAND = (
    "verify --adapters torch,keras-tensorflow,jax --adapter mine=custom_lstm:mistaken"
    ' --grid "hidden=1,8 layers=1,2 ragged=no,yes directions=1,2"'
)


def main() -> None:
    """Run the command and draw what it prints."""
    words = [sys.executable, "-m", "lstm_xcheck", *(word.strip('"') for word in re.findall(r'"[^"]*"|\S+', COMMAND))]
    environment = {**os.environ, "COLUMNS": str(WIDTH)}
    words += ["--color", "always"]
    ran = subprocess.run(words, cwd=ROOT / "examples", env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 1:
        raise SystemExit(f"verify ended with {ran.returncode}, but should name a mistake: {ran.stderr}")
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ lstm-xcheck {COMMAND}", style="bold"))
    console.print(Text.from_ansi(ran.stdout))
    picture = console.export_svg(title="lstm-xcheck", unique_id="verify")
    picture = re.sub(r"@font-face \{[^}]*\}\s*|<!--.*?-->", "", picture)  # nothing from the network
    lines = (line.rstrip() for line in picture.splitlines())
    (ROOT / "docs" / "images" / "verify.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
