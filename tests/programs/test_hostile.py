"""Programs that hang, flood, crash and lie end as one row each, within the time limit, and leave nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.workers.process import Worker

SCRIPT = str(Path(__file__).with_name("hostile.py"))
LIMIT = 2.0
#: For a worker to start and end, beside the limit, on a busy machine.
SLACK = 8.0
CASE = lx.Case.random(lx.LSTMSpec(input_size=4, hidden_size=4), steps=3, batch=3, seed=7)

#: Program -> verdict, and words of the reason.
PROGRAMS = {
    "hang": ("crashed", "no answer within 2 s"),
    "hang_at_start": ("crashed", "no answer within 2 s"),
    "never_reads": ("crashed", "no answer within 2 s"),
    "flood_stdout": ("crashed", "should go to stderr"),
    "flood_after_answer": ("crashed|mismatch", "after its answer|outside"),  # what follows may come too late
    "flood_stderr": ("crashed", "no answer within 2 s"),
    "crash": ("crashed", "SIGABRT.*assertion failed: width"),
    "ends": ("crashed", "ended with code 0 without an answer"),
    "ends_at_start": ("crashed", "ended with code 0 without an answer"),
    "prints_first": ("crashed", "model loaded.*should go to stderr"),
    "short": ("crashed", "ended with code 0 after"),
    "short_then_hangs": ("crashed", "no answer within 2 s"),
    "long": ("crashed", "after its answer"),
    "wrong_sizes": ("crashed", "has 40 bytes.*take 248"),
    "claims_4_gb": ("crashed", "4,294,967,296 bytes, but may have 248"),
    "nan": ("mismatch", "not finite|NaN|nan"),
    "other_byte_order": ("crashed", "writes 1.0 as"),
    "trickle": ("crashed", "no answer within 2 s"),
    "wrong_number": ("crashed", "answers request 3, but should say 2"),
    "grandchild": ("crashed", "ended with code 3"),
    "closes_stdout": ("crashed", "closed its stdout without an answer"),
    "text": ("crashed", "should begin with"),
    "other_version": ("crashed", "version 2"),
    "no_such_layout": ("crashed", "unknown layout 'mine'"),
    "unsupported": ("unsupported", "^projection: there is none$"),
    "fails": ("crashed", "failed: out of memory"),
}


def hostile(name: str) -> object:
    return lx.program(sys.executable, "-S", SCRIPT, name)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_is_one_row(name: str) -> None:
    start = time.monotonic()
    report = lx.verify(CASE, adapters={"mine": hostile(name)}, timeout=LIMIT)  # type: ignore[dict-item]
    seconds = time.monotonic() - start
    verdict, reason = PROGRAMS[name]
    assert report.totals["planned"] == 1
    assert all(re.fullmatch(verdict, row.verdict) for row in report.rows)
    assert len(report.outcomes) == 1
    assert re.search(reason, report.rows[0].reason), report.rows[0].reason
    assert seconds < LIMIT + SLACK
    child = re.search(r"grandchild (\d+)", report.rows[0].reason)
    assert child is None or not _runs(int(child[1]))


def _runs(process: int) -> bool:
    """Whether a process lives; one that is only not waited for does not."""
    status = Path(f"/proc/{process}/stat")
    return os.name == "posix" and status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_ends_after_each_case_is_started_again() -> None:
    with Worker(hostile("one_case_each").entry("mine"), timeout=20.0) as worker:  # type: ignore[attr-defined]
        assert [float(worker.run(CASE).y.sum()) for _ in range(3)] == [0.0] * 3  # type: ignore[union-attr]


def test_a_crash_costs_its_own_row_alone() -> None:
    others = [lx.Case.random(CASE.spec, steps=2, seed=seed, id=f"other-{seed}") for seed in (1, 2)]
    mine = {"mine": hostile("crashes_at_three_steps")}
    report = lx.verify([others[0], CASE, others[1]], adapters=mine, timeout=20.0, jobs=1)  # type: ignore[arg-type]
    assert {(row.case, row.verdict) for row in report.rows} == {
        ("other-1", "mismatch"), (CASE.id, "crashed"), ("other-2", "mismatch"),
    }  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="the worker ends with its driver on POSIX")
def test_a_program_ends_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = f"import os, sys, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(100)"
    code = (
        "import sys, lstm_xcheck as lx\n"
        "case = lx.Case.random(lx.LSTMSpec(input_size=1, hidden_size=1))\n"
        "lx.verify(case, adapters={'mine': lx.program(sys.executable, '-S', '-c', sys.argv[1])})\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, program])
    try:
        _wait_until(lambda: file.exists() and file.read_text() != "")
    finally:
        driver.kill()
        driver.wait()
    _wait_until(lambda: not _runs(int(file.read_text())))


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
