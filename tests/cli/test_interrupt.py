"""Ctrl-C: exit code 130, a report so far, no process left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import lstm_xcheck
from lstm_xcheck.adapters import registry

from .conftest import ENGINE_TESTS

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="children are found through /proc")

#: Nothing but the registration of an adapter that never answers goes before the real command line.
WITH_SLEEPY = f"""
from lstm_xcheck import register_adapter
from lstm_xcheck.cli.main import main
register_adapter("honest", "faulty_adapters:Honest", path=({ENGINE_TESTS!r},))
register_adapter("sleepy", "faulty_adapters:Sleepy", path=({ENGINE_TESTS!r},))
main("verify --grid hidden=2 --jobs 2 --json --report x.json --adapters honest,sleepy".split())
"""


def with_mark(mark: str) -> list[int]:
    """Every living process that inherited the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended while we looked, or is not ours
            continue
    return found


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


@pytest.fixture
def mark() -> str:
    return f"lstm-xcheck-test-{uuid.uuid4().hex}"


def start(arguments: list[str], folder: Path, mark: str) -> subprocess.Popen[str]:
    package = str(Path(str(lstm_xcheck.__file__)).parents[1])
    environment = {**os.environ, "XCHECK_TEST_MARK": mark, "FAULTY_FOLDER": str(folder), "PYTHONPATH": package}
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def interrupt(process: subprocess.Popen[str], mark: str) -> tuple[str, str]:
    """Send SIGINT, wait for the end, and check that no child is left."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    wait_for(lambda: with_mark(mark) == [], "the end of every child", seconds=10.0)
    return out, err


def test_a_run_that_hangs_is_interrupted_and_reported(tmp_path: Path, mark: str) -> None:
    process = start(["-c", WITH_SLEEPY], tmp_path, mark)
    wait_for((tmp_path / "child").exists, "the hang")
    assert len(with_mark(mark)) >= 3  # the command, its worker, and the worker's own child
    out, _ = interrupt(process, mark)
    report = json.loads(out)
    assert report["environment"]["interrupted"] is True
    assert report["verdict"] == "error"
    assert report["totals"]["planned"] == 2
    assert report["totals"]["skipped"] == 2 - report["totals"]["match"]
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == report


@pytest.mark.framework
def test_the_standard_preset_is_interrupted_while_it_runs(tmp_path: Path, mark: str) -> None:
    if registry.entry_named("torch").missing():
        pytest.skip("needs torch: pip install 'lstm-xcheck[torch]'")
    # Forty seeds: with one, a quick machine may be done before the signal reaches it.
    command = ["-m", "lstm_xcheck", "verify", "--adapters", "torch", "--jobs", "2", "--seeds", "40"]
    process = start(command, tmp_path, mark)
    wait_for(lambda: len(with_mark(mark)) >= 3, "the start of two workers")
    out, err = interrupt(process, mark)
    assert "INTERRUPTED: " in out
    assert "interrupted" not in err
