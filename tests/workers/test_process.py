"""Workers: restarts, other interpreters, and bounded memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tracemalloc
import venv
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.compare import judge
from lstm_xcheck.engine import Plan, run
from lstm_xcheck.errors import Unsupported, WorkerCrashed
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.workers import process
from lstm_xcheck.workers.process import Worker

HERE = str(Path(__file__).parents[1] / "engine")
HONEST = Entry("honest", "faulty_adapters:Honest", path=(HERE,))
CASE = Case.random(LSTMSpec(input_size=3, hidden_size=4), steps=5, batch=3, id="one")


def test_a_worker_runs_many_cases_and_reports_its_environment() -> None:
    with Worker(HONEST) as worker:
        for seed in range(3):
            case = Case.random(LSTMSpec(input_size=2, hidden_size=3), seed=seed, ragged=True)
            assert judge(worker.run(case), case, layout=worker.layout).verdict == "match"
        assert worker.layout == "torch"
        assert worker.environment == {"numpy": np.__version__, "python": sys.version.split()[0]}
        assert worker.seconds > 0.0


def test_the_reason_of_an_unsupported_case_comes_through() -> None:
    case = Case.random(LSTMSpec(input_size=2, hidden_size=3, num_layers=2))
    with Worker(HONEST) as worker, pytest.raises(Unsupported, match="this loop has one plain layer"):
        worker.run(case)


def test_a_worker_may_be_closed_at_any_time_and_used_again() -> None:
    worker = Worker(HONEST)
    worker.close()
    first = worker.run(CASE)
    worker.close()
    worker.close()
    second = worker.run(CASE)
    worker.close()
    assert first.y is not None
    np.testing.assert_array_equal(first.y, second.y)


def test_a_stopped_worker_starts_no_process() -> None:
    worker = Worker(HONEST)
    worker.stop()
    with pytest.raises(WorkerCrashed, match="was stopped"):
        worker.run(CASE)


def test_no_file_is_left_open() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list open files under /proc")
    before = open_files()
    for _ in range(2):
        with Worker(HONEST) as worker:
            worker.run(CASE)
    assert open_files() == before


def test_an_interpreter_that_cannot_be_started_is_a_crash_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(WorkerCrashed, match="cannot be started: No such file"):
        Worker(HONEST, str(tmp_path / "python")).run(CASE)


def test_a_framework_that_never_finishes_loading_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_adapter.py").write_text("import time\ntime.sleep(600)\n", encoding="ascii")
    monkeypatch.setattr(process, "START_SECONDS", 1.0)
    with Worker(Entry("slow", "slow_adapter:Slow", path=(str(tmp_path),)), timeout=1.0) as worker:
        with pytest.raises(WorkerCrashed, match="gave no answer within 1 s"):
            worker.run(CASE)
        start = time.monotonic()
        with pytest.raises(WorkerCrashed, match="gave no answer within 1 s"):
            worker.run(CASE)
        assert time.monotonic() - start < 1.0  # reported again, not tried again


def test_a_flood_on_stderr_uses_no_memory(tmp_path: Path) -> None:
    """Twenty-four megabytes, most of them without a line end."""
    case = Case.random(CASE.spec, steps=5, batch=3, id="bad-floods")
    tracemalloc.start()
    try:
        with Worker(Entry("faulty", "faulty_adapters:Faulty", path=(HERE,))) as worker, pytest.raises(WorkerCrashed):
            worker.run(case)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


# --- other interpreters ---


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh environment that holds NumPy and nothing else."""
    if os.name != "posix":
        pytest.skip("the environment borrows NumPy through a symbolic link")
    root = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(root, with_pip=False, symlinks=True)
    packages = next(root.glob("lib/python*/site-packages"))
    home = Path(str(np.__file__)).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (home / name).exists():
            (packages / name).symlink_to(home / name)
    return str(root / "bin" / "python")


@pytest.fixture(scope="module")
def other_python() -> str:
    """Another version of Python that has NumPy."""
    for minor in range(10, 16):
        python = shutil.which(f"python3.{minor}")
        if python is None or minor == sys.version_info.minor:
            continue
        check = "import sys, numpy; assert sys.version_info >= (3, 10)"
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("no other Python on the path has NumPy")


def importable(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def test_an_interpreter_without_this_package_can_be_a_backend(
    bare_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir("/")
    assert not importable(bare_python, "lstm_xcheck")
    assert not importable(bare_python, "click")
    plan = Plan((CASE,), (HONEST,), {"honest": bare_python}, jobs=1)
    (outcome,) = (event for event in run(plan) if hasattr(event, "rows"))
    assert [(row.quantity, row.verdict, row.reason) for row in outcome.rows] == [
        (name, "match", "") for name in ("y", "h_n", "c_n", "weights", "parameters")
    ]


def test_another_version_of_python_answers_the_same(other_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with Worker(HONEST, other_python) as worker:
        result = worker.run(CASE)
        assert worker.environment["python"] != sys.version.split()[0]
        assert judge(result, CASE, layout=worker.layout).verdict == "match"


#: Starts the thread that watches the driver only after one end of the pipe was closed.
WATCHED = """
import os, sys, threading
os.setpgid(0, 0)
from lstm_xcheck.workers import worker
read, write = os.pipe()
requests, deferred = os.fdopen(read, "rb"), []
begin, threading.Thread.start = threading.Thread.start, lambda thread: deferred.append(thread)
worker._exit_with_driver(requests)
threading.Thread.start = begin
requests.close() if sys.argv[1] == "own" else os.close(write)
deferred[0].start()
deferred[0].join(20)
print("alive")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX")
@pytest.mark.parametrize(("closed", "ends"), [("own", (0, "alive\n")), ("driver's", (-9, ""))])
def test_a_worker_is_killed_when_its_driver_ends_and_not_when_it_ends_itself(
    closed: str, ends: tuple[int, str]
) -> None:
    command = [sys.executable, "-c", WATCHED, closed]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == ends, run.stderr
