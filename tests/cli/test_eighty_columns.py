"""Every verb in a terminal of 80 columns: lines end between words, and nothing is cropped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import run_mistakes

from ..helpers import ROOT

GRID = '--grid "hidden=1,2 steps=3 layers=1,2"'
MINE = f"--adapter mine=custom_lstm:mistaken {GRID}"
#: Commands whose files other commands read, by the file.
MADE = {
    "OUT": f"verify {MINE} --out OUT --resume",
    "mine.npz": f"record {MINE} --env py --out mine.npz",
    "ported.npz.xcheck.json": "port m.safetensors ported.npz --force",
}
COMMANDS = (
    *MADE.values(), f"verify {MINE} -v", "report OUT", "report OUT --worst 3", "merge OUT --out MERGED",
    "replay mine.npz", "fuzz --adapter mine=custom_lstm:mistaken --out t.py",
    "inspect m.safetensors", "compare m.safetensors other.safetensors",
    "recheck ported.npz.xcheck.json", "diagnose one.safetensors seen.npz", "params --input-size 2308 --hidden-size 32",
    "trace --input-size 10 --hidden-size 9 --one-hot 4,7 --depth 10", "layouts", "layouts torch",
    "vectors --format json --out vectors", "doctor", "adapters",
)  # fmt: skip

_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


def in_terminal(command: str, folder: Path, columns: int = 80) -> list[str]:
    """The lines that a command leaves on a terminal."""
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "CI")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    text = b""
    with (folder / "stderr").open("wb") as messages, subprocess.Popen(
        [sys.executable, "-m", "lstm_xcheck", *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=theirs, stderr=messages,
    ) as process:  # fmt: skip
        os.close(theirs)
        with (
            os.fdopen(ours, "rb", buffering=0) as screen,
            contextlib.suppress(OSError),
        ):  # Linux: the other end was closed
            while part := screen.read(65536):
                text += part
    assert process.returncode in (0, 1), (folder / "stderr").read_text()
    return [line.rstrip() for line in _ANSI.sub("", text.decode()).split("\n")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, the outputs of an LSTM with a mistake, and a run."""
    folder = tmp_path_factory.mktemp("terminal")
    shutil.copy(ROOT / "examples" / "custom_lstm.py", folder)
    weights = {
        name: lx.LSTMWeights.random(lx.LSTMSpec(6, 10), seed) for seed, name in enumerate(("encoder", "decoder"))
    }
    write_checkpoint(folder / "m.safetensors", weights)
    write_checkpoint(folder / "other.safetensors", {**weights, "decoder": weights["encoder"]})
    write_checkpoint(folder / "one.safetensors", {"encoder": weights["encoder"]})
    case = lx.Case.random(weights["encoder"].spec, weights=weights["encoder"], steps=5, batch=3)
    wrong = run_mistakes([mistake_named("gates-igfo")], case)
    assert wrong is not None
    np.savez(
        folder / "seen.npz",
        x=case.x,
        h0=case.h0,
        c0=case.c0,
        **{name: a.astype(np.float32) for name, a in wrong.items()},
    )
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.partition(" -")[0])
def test_lines_fit_and_end_between_words(command: str, folder: Path) -> None:
    pytest.importorskip("hypothesis")
    for file, made_by in MADE.items():
        if file in command.split() and command != made_by and not (folder / file).exists():
            in_terminal(made_by, folder)
    lines = in_terminal(command, folder)
    code = next((place for place, line in enumerate(lines) if line.startswith("# in ")), len(lines))
    del lines[code:]  # it is to be copied
    printed = [line for line in lines if line.strip()]
    assert printed
    assert [line for line in lines if len(line) > 80 and not line.startswith("    ") and "run: " not in line] == []
    assert not any("\u2026" in line for line in lines)


def test_a_long_line_is_seen(folder: Path) -> None:
    """What the tests above would miss if the terminal were wider than it says."""
    assert max(map(len, in_terminal("params --input-size 2308 --hidden-size 32", folder, columns=300))) > 80
