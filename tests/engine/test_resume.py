"""A killed and resumed run reports what an undisturbed one does, and repeats nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, grid, run
from lstm_xcheck.errors import UserError
from lstm_xcheck.events import Event, Outcome, Started
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.report import Report
from lstm_xcheck.runs.description import PLAN_FILE, RunDescription
from lstm_xcheck.runs.folder import OUTCOMES_FILE, POWER_FILE, RunFolder, read_outcomes, read_power
from lstm_xcheck.runs.resume import describe, replay, run_in

from .long_runs import HERE, command, content, environment, ran

HONEST = Entry("honest", "faulty_adapters:Honest", path=(str(HERE),))
CASES: tuple[Any, ...] = (
    *grid(hidden=[1, 2], input=2, steps=3, seeds=2),
    Recipe(layers=2),
    Case.random(LSTMSpec(input_size=2, hidden_size=2), id="own"),
)
PLAN_OF_ALL = Plan(CASES, (HONEST,), jobs=1)

#: How often a running sweep is killed.
KILLS = int(os.environ.get("LSTM_XCHECK_KILLS", "5"))


def events_in(path: Path, plan: Plan = PLAN_OF_ALL, *, resume: bool = False) -> list[Event]:
    with RunFolder(path, describe(plan, plan.cases, None, {}), resume=resume) as folder:
        return list(run_in(folder, plan, run))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    events_in(folder)
    return folder


def copied(source: Path, target: Path, cells: bytes) -> Path:
    target.mkdir()
    (target / PLAN_FILE).write_bytes((source / PLAN_FILE).read_bytes())
    (target / OUTCOMES_FILE).write_bytes(cells)
    return target


def test_a_folder_replays_the_report_of_the_run(finished: Path) -> None:
    report = Report.of(replay(finished))
    assert content(report) == content(Report.of(run(PLAN_OF_ALL)))
    assert report.totals["match"] == 5
    assert report.totals["unsupported"] == 1
    lines = (finished / OUTCOMES_FILE).read_bytes().splitlines(keepends=True)
    assert len(lines) == len({json.loads(line)["key"] for line in lines}) == 6


def test_a_finished_run_repeats_nothing(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "run", (finished / OUTCOMES_FILE).read_bytes())
    events = events_in(folder, resume=True)
    assert not [event for event in events if isinstance(event, Started)]
    assert content(Report.of(events)) == content(Report.of(replay(finished)))
    assert (folder / OUTCOMES_FILE).read_bytes() == (finished / OUTCOMES_FILE).read_bytes()


@pytest.mark.parametrize(
    "cut",
    [lambda line: 0, lambda line: 1, lambda line: len(line) // 2, lambda line: len(line) - 1],
    ids=["nothing", "a-byte", "half", "all-but-the-end"],
)
def test_a_torn_line_is_cut_and_its_task_run_again(finished: Path, tmp_path: Path, cut: Callable[[bytes], int]) -> None:
    *kept, last = (finished / OUTCOMES_FILE).read_bytes().splitlines(keepends=True)
    torn = last[: cut(last)]
    folder = copied(finished, tmp_path / "run", b"".join(kept) + torn)
    assert len(list(read_outcomes(folder))) == 5
    events = events_in(folder, resume=True)
    assert [event.case for event in events if isinstance(event, Started)] == [json.loads(last)["outcome"]["case"]]
    assert content(Report.of(events)) == content(Report.of(replay(finished)))
    assert (folder / OUTCOMES_FILE).read_bytes().startswith(b"".join(kept))
    assert content(Report.of(replay(folder))) == content(Report.of(replay(finished)))


def test_tasks_of_a_torn_first_line_and_of_a_damaged_one_run_again(finished: Path, tmp_path: Path) -> None:
    first, second, *others = (finished / OUTCOMES_FILE).read_bytes().splitlines(keepends=True)
    folder = copied(finished, tmp_path / "first", first[:-5])
    assert len(events_begun(folder)) == 6
    folder = copied(finished, tmp_path / "damaged", b"".join([first, second[:9] + b"\0" + second[10:], *others]))
    assert len(events_begun(folder)) == 1
    assert content(Report.of(replay(folder))) == content(Report.of(replay(finished)))


def test_the_task_of_a_changed_line_is_run_again(finished: Path, tmp_path: Path) -> None:
    """Damage that leaves the line readable, such as another figure, is seen too."""
    cells = (finished / OUTCOMES_FILE).read_bytes()
    folder = copied(finished, tmp_path / "run", cells.replace(b'"verdict":"match"', b'"verdict":"suspect"', 1))
    assert len(list(read_outcomes(folder))) == 5
    assert len(events_begun(folder)) == 1
    assert content(Report.of(replay(folder))) == content(Report.of(replay(finished)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("order", [{}]), ("order", 1), ("cases", "6"), ("adapters", ["honest"]), ("adapters", {"honest": 1}),
     ("shards", [[1]]), ("planned", None), ("subject", []), ("key", 1)],
)  # fmt: skip
def test_a_damaged_plan_is_reported_in_one_sentence(finished: Path, tmp_path: Path, name: str, value: object) -> None:
    folder = copied(finished, tmp_path / "run", b"")
    plan = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    (folder / PLAN_FILE).write_text(json.dumps({**plan, name: value}), encoding="utf-8")
    with pytest.raises(UserError, match=r"plan\.json cannot be read: "):
        Report.of(replay(folder))


@pytest.mark.parametrize("change", [{"planned": 5}, {"checksum": "0"}, {"key": "0"}, {"subject": {"a": 1}}])
def test_a_plan_that_was_changed_is_refused(finished: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    folder = copied(finished, tmp_path / "run", b"")
    plan = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    for other in ({**plan, **change}, {name: plan[name] for name in plan if name != "checksum"}):
        (folder / PLAN_FILE).write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(UserError, match=r"plan\.json was changed or damaged: its checksum does not fit"):
            Report.of(replay(folder))
    (folder / PLAN_FILE).write_text(json.dumps(plan), encoding="utf-8")
    Report.of(replay(folder))


@pytest.mark.parametrize(
    "text", ['[{"case": 1}]', "[{}]", "[1]", "{", '[{"case": "a", "sentence": "", "caught": [1]}]']
)
def test_damaged_power_statements_are_reported_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / POWER_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="remove it to go without"):
        read_power(tmp_path)


def test_a_file_is_no_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="is a file, but should be a folder"):
        list(replay(tmp_path / "notes.txt"))


def events_begun(folder: Path) -> list[Started]:
    return [event for event in events_in(folder, resume=True) if isinstance(event, Started)]


def test_a_run_killed_before_its_plan_was_written_starts_anew(tmp_path: Path) -> None:
    (tmp_path / f".{PLAN_FILE}.0a1b").write_text("{", encoding="ascii")
    assert len([event for event in events_in(tmp_path, resume=True) if isinstance(event, Outcome)]) == 6


def test_a_run_killed_between_lock_and_plan_starts_anew(tmp_path: Path) -> None:
    (tmp_path / OUTCOMES_FILE).touch()
    assert len([event for event in events_in(tmp_path) if isinstance(event, Outcome)]) == 6


def test_outcomes_without_a_plan_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / OUTCOMES_FILE).write_text("mine", encoding="ascii")
    with pytest.raises(UserError, match=r"holds cells\.jsonl and no run"):
        events_in(tmp_path, resume=True)
    assert (tmp_path / OUTCOMES_FILE).read_text(encoding="ascii") == "mine"


def test_a_closed_run_keeps_what_ended(tmp_path: Path) -> None:
    with RunFolder(tmp_path, describe(PLAN_OF_ALL, CASES, None, {})) as folder:
        events = run_in(folder, PLAN_OF_ALL, run)
        begun = [next(event for event in events if isinstance(event, Outcome)) for _ in range(2)]
        events.close()
    assert [outcome.case for _, outcome in read_outcomes(tmp_path)] == [outcome.case for outcome in begun]
    assert len(events_begun(tmp_path)) == 4


# --- other plans ---


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (replace(PLAN_OF_ALL, cases=CASES[:-1]), "it holds 6 other cases"),
        (replace(PLAN_OF_ALL, entries=(replace(HONEST, name="other"),)), "it holds the adapters honest, not other"),
        (replace(PLAN_OF_ALL, entries=(replace(HONEST, requires=("pytest",)),)), "honest changed"),
        (replace(PLAN_OF_ALL, entries=(replace(HONEST, variables={"A": "1"}),)), "environment variables of honest"),
    ],
    ids=["cases", "adapters", "packages", "variables"],
)
def test_a_folder_of_another_plan_is_refused(finished: Path, plan: Plan, reason: str) -> None:
    before = (finished / OUTCOMES_FILE).read_bytes()
    with pytest.raises(UserError, match=reason):
        events_in(finished, plan, resume=True)
    assert (finished / OUTCOMES_FILE).read_bytes() == before


def test_another_version_of_a_package_is_another_plan(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path / "run", b"")
    description = RunDescription.read(folder)
    description.adapters["honest"]["versions"]["numpy"] = "1.0.0"
    (folder / PLAN_FILE).write_bytes(description.to_json())
    with pytest.raises(UserError, match=r"honest ran with numpy 1\.0\.0, not "):
        events_in(folder, resume=True)


def test_a_run_is_not_overwritten(finished: Path) -> None:
    with pytest.raises(UserError, match="holds a run already; add --resume"):
        events_in(finished)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds thesis\.tex and no run"):
        events_in(tmp_path, resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX")
def test_two_runs_at_a_time_in_one_folder_are_refused(finished: Path) -> None:
    description = describe(PLAN_OF_ALL, CASES, None, {})
    with RunFolder(finished, description, resume=True), pytest.raises(UserError, match="written by another run now"):
        events_in(finished, resume=True)


# --- killed at random moments ---


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_run_killed_at_any_moment_reports_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    """LSTM_XCHECK_KILLS is the number of kills; each run resumes the killed one."""
    variables = environment(tmp_path)
    arguments = ("verify", "--adapters", "honest,lossy", "--grid", "hidden=1,2 input=1,2 steps=3 batch=1 seeds=12")
    start = time.monotonic()
    code, expected, _ = ran(variables, *arguments, "--out", str(tmp_path / "undisturbed"))
    duration = time.monotonic() - start
    assert (code, expected["totals"]["planned"]) == (1, 96)
    moments, folders = random.Random(0), 0
    kills = KILLS
    while kills:
        folders += 1
        out, kept = tmp_path / f"killed-{folders}", list[bytes]()
        while kills and _killed(variables, [*arguments, "--out", str(out), "--resume"], duration * moments.random()):
            kills -= 1
            kept = _complete_lines(out)
        code, report, _ = ran(variables, *arguments, "--out", str(out), "--resume")
        assert code == 1
        assert content(report) == content(expected)
        lines = _complete_lines(out)
        assert lines[: len(kept)] == kept  # nothing that had ended was lost,
        assert len({json.loads(line)["key"] for line in lines}) == len(lines) == 96  # and nothing was done twice


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
from lstm_xcheck.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX")
def test_a_full_disk_ends_the_run_with_one_sentence_and_keeps_what_ended(tmp_path: Path) -> None:
    variables, out = environment(tmp_path), tmp_path / "out"
    arguments = ("verify", "--adapters", "honest", "--grid", "hidden=1 seeds=20", "--out", str(out))
    full = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1] == (
        f"Error: --out {out}: cannot be written: File too large; what ended is kept, go on with --resume"
    )
    assert "Traceback" not in full.stderr
    kept = _complete_lines(out)
    assert 0 < len(kept) < 20
    code, report, _ = ran(variables, *arguments, "--resume")
    assert (code, report["totals"]["match"]) == (0, 20)
    assert _complete_lines(out)[: len(kept)] == kept


def _killed(variables: dict[str, str], arguments: list[str], after: float) -> bool:
    """Run and kill the driver alone; False when it ended before."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command(*arguments), env=variables, **quiet) as process:  # type: ignore[call-overload]
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def _complete_lines(out: Path) -> list[bytes]:
    file = out / OUTCOMES_FILE
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [line for line in lines if line.endswith(b"\n")]
