"""Every failure of a framework becomes the right row and harms no later task."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.compare import Row
from lstm_xcheck.engine import Plan, run
from lstm_xcheck.events import Finished, Outcome, Planned, Started
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.report import Report

from .faulty_adapters import FAULTS, HAS_LONG_DOUBLE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX")

HERE = str(Path(__file__).parent)
SPEC = LSTMSpec(input_size=3, hidden_size=4)


def entry(attribute: str, folder: Path | None = None) -> Entry:
    variables = {} if folder is None else {"FAULTY_FOLDER": str(folder)}
    return Entry(attribute.lower(), f"faulty_adapters:{attribute}", path=(HERE,), variables=variables)


def case(name: str, seed: int = 0) -> Case:
    return Case.random(SPEC, steps=5, batch=3, seed=seed, id=name)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends soon: a kill takes effect a moment later."""
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    """A sweep over every fault, each followed by an honest case."""
    faults = list(FAULTS)
    cases: list[Case] = []
    for k in range(0, len(faults), 2):  # two workers take turns: each gets every other case
        cases += [case(f"bad-{fault}", seed=k + n) for n, fault in enumerate(faults[k : k + 2])]
        cases += [case(f"good-after-{fault}", seed=k + n) for n, fault in enumerate(faults[k : k + 2])]
    plan = Plan(tuple(cases), (entry("Faulty", folder),), timeout=3.0, jobs=2)
    return Report.of(run(plan))


def rows_of(report: Report, case_id: str) -> tuple[Row, ...]:
    (outcome,) = (outcome for outcome in report.outcomes if outcome.case == case_id)
    return outcome.rows


def verdicts(rows: tuple[Row, ...]) -> dict[str, str]:
    return {row.quantity: row.verdict for row in rows}


MATCH = {"y": "match", "h_n": "match", "c_n": "match", "weights": "match", "parameters": "match"}

#: Fault -> what the reason of its `crashed` row says.
CRASHED = {
    "raises": ("raised ValueError: the framework did not like it", "faulty_adapters.py", "in _raise"),
    "exits": ("exited with code 3; last lines of stderr: leaving now (twice)",),
    "exits-hard": ("exited with code 0 (twice)",),
    "segfaults": ("signal 11 (SIGSEGV)", "first of the last words | last words of the worker (twice)"),
    "is-killed": ("signal 9 (SIGKILL)", "last words of the worker"),
    "aborts": ("signal 6 (SIGABRT)",),
    "hangs": ("gave no answer within 3 s and was killed", "last lines of stderr: going to sleep"),
    "escapes": ("exited with code 3 (twice)",),
    "unprintable": ("raised ValueError: first line [31m second line xxx", "in _raise_the_unprintable"),
    "corrupts": ("broke the protocol: expected a frame, but got b'this is no frame",),
    "fakes": ("answered what is no result", "a frame of kind 'ready'"),
    "huge": ("broke the protocol: a frame of 72,00", "more than the"),
    "floods": ("signal 6 (SIGABRT)", "the end of the flood"),
    "integers": ("y has type int32, but should be floating-point numbers",),
    "nothing": ("raised TypeError",),
    **({"long-double": ("y has type float", "but a frame carries")} if HAS_LONG_DOUBLE else {}),
}

#: Fault -> the quantity that is wrong, and what its reason says.
MISMATCHED = {
    "nan": ("y", "y[1, 2, 0] = nan, but should be"),
    "shape": ("y", "y has shape (5, 3, 4), but should be (3, 5, 4)"),
    "no-c": ("c_n", "the adapter returned no c_n"),
    "swapped": ("h_n", "but should be"),
}

HARMLESS = ("prints", "writes", "reads", "forks", "fails-once")


def test_the_lists_above_name_every_fault() -> None:
    assert sorted([*CRASHED, *MISMATCHED, *HARMLESS]) == sorted(FAULTS)


@pytest.mark.parametrize("fault", CRASHED)
def test_a_fault_becomes_a_crashed_row_with_its_reason(report: Report, fault: str) -> None:
    (row,) = rows_of(report, f"bad-{fault}")
    assert (row.verdict, row.adapter, row.quantity) == ("crashed", "faulty", "")
    for part in CRASHED[fault]:
        assert part in row.reason
    assert len(row.reason) < 8000
    assert row.reason.isprintable()


@pytest.mark.parametrize("fault", MISMATCHED)
def test_a_wrong_answer_becomes_a_mismatch(report: Report, fault: str) -> None:
    quantity, reason = MISMATCHED[fault]
    rows = rows_of(report, f"bad-{fault}")
    assert verdicts(rows)[quantity] == "mismatch"
    assert reason in next(row.reason for row in rows if row.quantity == quantity)


@pytest.mark.parametrize("fault", HARMLESS)
def test_noise_and_a_single_crash_do_no_harm(report: Report, fault: str) -> None:
    assert verdicts(rows_of(report, f"bad-{fault}")) == MATCH


@pytest.mark.parametrize("fault", FAULTS)
def test_the_task_after_a_fault_matches(report: Report, fault: str) -> None:
    assert verdicts(rows_of(report, f"good-after-{fault}")) == MATCH


def test_the_totals_add_up(report: Report) -> None:
    totals = report.totals
    assert totals == {
        "planned": 2 * len(FAULTS), "match": len(FAULTS) + len(HARMLESS), "mismatch": len(MISMATCHED),
        "crashed": len(CRASHED), "suspect": 0, "inconclusive": 0, "unsupported": 0, "skipped": 0,
    }  # fmt: skip
    assert totals["planned"] == sum(totals.values()) - totals["planned"]
    assert (report.verdict, report.exit_code, report.ok) == ("disagree", 1, False)


def test_processes_of_a_killed_worker_are_killed_too(report: Report, folder: Path) -> None:
    assert gone(int((folder / "child").read_text(encoding="ascii")))


def test_a_worker_that_hangs_does_not_survive_a_driver_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from tests.engine.test_worker_faults import *\n"
        f"run_one(entry('Sleepy', Path({str(tmp_path)!r})))\n"
    )  # fmt: skip
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    try:
        end = time.monotonic() + 60.0
        child = tmp_path / "child"
        while not (child.exists() and child.read_text()) and driver.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        (began,) = tmp_path.glob("began-*")
    finally:
        driver.kill()
        driver.wait()
    assert gone(int(began.name.partition("-")[2]))
    assert gone(int((tmp_path / "child").read_text(encoding="ascii")))


def run_one(adapter: Entry, *cases: Case, **options: float) -> Report:
    return Report.of(run(Plan(cases or (case("one"),), (adapter,), jobs=1, **options)))  # type: ignore[arg-type]


def test_weights_that_were_rounded_are_a_mismatch_of_their_own() -> None:
    rows = rows_of(run_one(entry("Lossy")), "one")
    assert verdicts(rows)["weights"] == "mismatch"
    assert "is held as" in next(row.reason for row in rows if row.quantity == "weights")


def test_a_wrong_parameter_count_is_a_mismatch() -> None:
    report = run_one(entry("Miscounting"))
    rows = rows_of(report, "one")
    assert verdicts(rows) == {**MATCH, "parameters": "mismatch"}
    assert [count.native for count in report.counts] == [145]


def test_an_answer_that_cannot_be_judged_is_a_crashed_row() -> None:
    (row,) = rows_of(run_one(entry("Judgeless")), "one")
    assert row.verdict == "crashed"
    assert "unknown precision 'float7'" in row.reason


def test_unsupported_everywhere_compares_nothing_and_is_an_error() -> None:
    report = run_one(entry("Unwilling"), case("a"), case("b"))
    assert [row.reason for row in report.rows] == ["not on Sundays"] * 2
    assert report.totals["unsupported"] == 2
    assert (report.verdict, report.exit_code, report.ok) == ("error", 2, False)


@pytest.mark.parametrize(
    ("attribute", "reason", "tries"),
    [("Unloadable", "cannot be loaded: raised ImportError: libframework.so.9", 1),
     ("ExitsWhileLoading", "exited with code 1; last lines of stderr: no licence found (twice)", 2)],
)  # fmt: skip
def test_a_load_error_is_reported_for_every_case_but_tried_once(
    attribute: str, reason: str, tries: int, tmp_path: Path
) -> None:
    report = run_one(entry(attribute, tmp_path), *(case(f"case-{k}") for k in range(4)))
    assert [row.verdict for row in report.rows] == ["crashed"] * 4
    assert all(row.reason.startswith(reason) for row in report.rows)
    assert len((tmp_path / "loads").read_text(encoding="ascii")) == tries


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:Adapter", "No module named 'no_such_module'"),
        ("faulty_adapters:Nobody", "no attribute 'Nobody'"),
    ],
)
def test_a_missing_adapter_is_a_crashed_row(target: str, reason: str) -> None:
    (row,) = run_one(Entry("lost", target, path=(HERE,))).rows
    assert row.verdict == "crashed"
    assert reason in row.reason


def test_closing_a_run_kills_its_workers_and_starts_no_other(tmp_path: Path) -> None:
    def begun() -> list[int]:
        return [int(path.name.partition("-")[2]) for path in tmp_path.glob("began-*")]

    events = run(Plan(tuple(case(f"case-{k}") for k in range(20)), (entry("Sleepy", tmp_path),), jobs=2))
    assert next(event for event in events if isinstance(event, Started))
    deadline = time.monotonic() + 30.0
    child = tmp_path / "child"
    while not (child.exists() and child.read_text(encoding="ascii")) and time.monotonic() < deadline:
        time.sleep(0.02)
    events.close()  # type: ignore[attr-defined]
    pids = begun()
    assert pids
    assert all(gone(pid) for pid in pids)
    assert gone(int(child.read_text(encoding="ascii")))
    time.sleep(0.5)
    assert begun() == pids


def test_every_event_has_its_place() -> None:
    events = list(run(Plan((case("a"), case("b")), (entry("Honest"),), jobs=1)))
    assert isinstance(events[0], Planned)
    assert (events[0].tasks, events[0].cases, events[0].adapters) == (2, 2, ("honest",))
    assert isinstance(events[-1], Finished)
    for name in ("a", "b"):
        started, ended = (event for event in events[1:-1] if event.case == name)  # type: ignore[union-attr]
        assert isinstance(started, Started)
        assert isinstance(ended, Outcome)
        assert ended.environment["numpy"] == np.__version__
        assert ended.seconds > 0.0
    assert len(events) == 6
