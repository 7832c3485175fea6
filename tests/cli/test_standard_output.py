"""The exit code does not depend on what happens to standard output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

KERNEL = "import numpy\ndef zeros(w, x, h, c, l): return numpy.zeros((*x.shape[:2], h.shape[2]), x.dtype)\n"


def wrong(
    folder: Path, *options: str, by: tuple[str, ...] = (), **streams: Any
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """A run that ends in a disagreement; `by` is what starts it."""
    (folder / "kernel.py").write_text(KERNEL, encoding="ascii")
    command = [sys.executable, "-m", "lstm_xcheck", "verify", "--adapter", "mine=kernel:zeros", "--grid", "hidden=1"]
    return subprocess.run(
        [*by, *command, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(lstm_xcheck.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **streams,
    )


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["tables", "json"])
def test_a_reader_that_went_away_does_not_change_the_exit_code(tmp_path: Path, options: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = wrong(tmp_path, *options, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["tables", "json"])
def test_an_output_that_is_full_is_one_sentence(tmp_path: Path, options: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        ended = wrong(tmp_path, *options, stdout=full)
    assert ended.returncode == 2
    assert ended.stderr == "Error: the report cannot be written to standard output: No space left on device\n"


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["tables", "json"])
def test_an_output_that_is_closed_is_none(tmp_path: Path, options: tuple[str, ...]) -> None:
    # By a shell: with `preexec_fn` this process would fork, of which JAX warns where a test before has loaded it.
    ended = wrong(tmp_path, *options, by=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (ended.returncode, ended.stderr) == (1, "")
