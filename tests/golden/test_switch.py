"""A missing corpus must not pass silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "LSTM_XCHECK_GOLDEN"


def run_corpus_tests(corpus: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of the corpus on a folder in a process of their own."""
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if corpus is not None:
        environment[VARIABLE] = str(corpus)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rs",
        "-q",
        "-p",
        "no:cacheprovider",
        *(arguments or ("test_oracle.py",)),
    ]
    return subprocess.run(
        command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_unset_skips_and_names_the_variable() -> None:
    done = run_corpus_tests(None)
    assert done.returncode == 0
    assert f"{VARIABLE} is not set" in done.stdout
    assert " passed" not in done.stdout


@pytest.mark.parametrize("made", [True, False], ids=["empty", "missing"])
def test_a_folder_without_cases_fails(tmp_path: Path, made: bool) -> None:
    corpus = tmp_path / "corpus"
    if made:
        corpus.mkdir()
    done = run_corpus_tests(corpus)
    assert done.returncode == 1
    assert "holds no golden case" in done.stdout
