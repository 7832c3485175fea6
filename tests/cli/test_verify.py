"""`verify` without files: exit codes, the JSON report, silence without a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("numpy_adapters")

#: Two cases that a single plain layer can answer, small enough to be quick.
GRID = ("--grid", "hidden=1,3 input=2 steps=4")

KEYS = {
    "": {"schema", "verdict", "totals", "rows", "parameter_counts", "diagnoses", "power", "environment"},
    "totals": {"planned", "match", "suspect", "mismatch", "inconclusive", "unsupported", "crashed", "skipped"},
    "rows": {
        "case",
        "adapter",
        "quantity",
        "verdict",
        "max_abs",
        "score",
        "worst",
        "reason",
        "decided_by",
        "precision",
        "reproduce",
    },
    "parameter_counts": {"case", "adapter", "native", "canonical", "explanation"},
}


def verify_json(command: Command, *arguments: str) -> tuple[int, dict[str, Any]]:
    ran = command("verify", *GRID, "--json", *arguments)
    return ran.code, json.loads(ran.out)


@pytest.mark.parametrize(
    ("adapters", "code", "verdict"),
    [
        ("honest", 0, "agree"),
        ("honest,unwilling", 0, "agree"),
        ("honest,lossy", 1, "disagree"),
        ("miscounting", 1, "disagree"),
        ("honest,unloadable", 2, "error"),
        ("lossy,unloadable", 1, "disagree"),
        ("unwilling", 2, "error"),
    ],
)
def test_exit_code_and_verdict(command: Command, adapters: str, code: int, verdict: str) -> None:
    actual, report = verify_json(command, "--adapters", adapters)
    assert (actual, report["verdict"]) == (code, verdict)
    totals = report["totals"]
    assert totals["planned"] == 2 * len(adapters.split(","))
    assert totals["planned"] == sum(number for name, number in totals.items() if name != "planned")


def test_the_json_report_is_the_same_however_many_work(command: Command) -> None:
    reports = [verify_json(command, "--adapters", "lossy,honest", "--jobs", jobs)[1] for jobs in ("1", "2")]
    for report in reports:
        assert report["environment"].pop("seconds") > 0
    assert json.dumps(reports[0]) == json.dumps(reports[1])


def test_the_json_report_has_exactly_the_documented_keys(command: Command) -> None:
    _, report = verify_json(command, "--adapters", "honest,lossy,unwilling")
    assert set(report) == KEYS[""]
    assert report["schema"] == 1
    assert set(report["totals"]) == KEYS["totals"]
    assert isinstance(report["diagnoses"], list)
    assert isinstance(report["power"], list)
    for name in ("rows", "parameter_counts"):
        assert report[name]
        assert all(set(entry) == KEYS[name] for entry in report[name])
    assert {row["verdict"] for row in report["rows"]} <= KEYS["totals"] - {"planned"}
    assert {row["adapter"] for row in report["rows"]} == {"honest", "lossy", "unwilling"}


def test_gradients_are_asked_for_by_their_flag_alone(command: Command) -> None:
    code, report = verify_json(command, "--adapters", "honest", "--gradients")
    assert (code, report["verdict"], report["totals"]["unsupported"]) == (2, "error", 2)
    assert all("gives none; leave out --gradients" in row["reason"] for row in report["rows"])
    code, report = verify_json(command, "--adapters", "honest")
    assert code == 0
    assert not any(row["quantity"].startswith("grad") for row in report["rows"])


def test_a_row_holds_plain_data(command: Command) -> None:
    _, report = verify_json(command, "--adapters", "honest,miscounting")
    y = next(row for row in report["rows"] if (row["adapter"], row["quantity"]) == ("honest", "y"))
    assert y["verdict"] == "match"
    assert 0.0 <= y["score"] <= 1.0
    assert len(y["worst"]) == 3
    assert y["reason"] == ""
    count = next(row for row in report["rows"] if (row["adapter"], row["quantity"]) == ("miscounting", "parameters"))
    assert (count["verdict"], count["max_abs"], count["score"]) == ("mismatch", 1.0, "inf")
    # Cells end in any order: the smallest is the one with one unit, one input and split biases.
    honest = [entry for entry in report["parameter_counts"] if entry["adapter"] == "honest"]
    one = min(honest, key=lambda entry: int(entry["canonical"]))
    assert (one["native"], one["canonical"]) == (20, 16)
    assert "second bias" in one["explanation"]


def test_the_environment_says_what_computed(command: Command) -> None:
    _, report = verify_json(command, "--adapters", "honest,unloadable")
    environment = report["environment"]
    assert environment["interrupted"] is False
    assert set(environment["adapters"]) == {"honest"}
    assert "numpy" in environment["adapters"]["honest"]


def test_json_on_stdout_is_nothing_but_json(command: Command) -> None:
    ran = command("verify", *GRID, "--adapters", "honest,lossy", "--json")
    assert ran.out.startswith("{")
    assert ran.out.endswith("}\n")
    assert ran.err == ""


def test_without_a_terminal_there_is_no_progress_and_a_table(command: Command) -> None:
    ran = command("verify", *GRID, "--adapters", "honest")
    assert ran.code == 0
    assert ran.err == ""
    assert "\x1b" not in ran.out
    assert "AGREE: 2 planned = 2 match" in ran.out.splitlines()[-1]
    assert any(line.startswith("honest") for line in ran.out.splitlines())


def test_the_table_says_what_is_wrong(command: Command) -> None:
    ran = command("verify", *GRID, "--adapters", "lossy,unwilling,unloadable")
    assert ran.code == 1
    for part in (
        "DISAGREE: lossy: weights rounded to float16", "times the bound", "unloadable crashed: ",
        "libframework.so.9", "unwilling: not on Sundays (2)", "DISAGREE: 6 planned",
        "run: lstm-xcheck verify --adapters lossy --case h",
    ):  # fmt: skip
        assert part in ran.out
    assert ran.out.splitlines()[0].startswith("DISAGREE: lossy")
    rows = command("verify", *GRID, "--adapters", "lossy,unwilling,unloadable", "-v").out
    for part in ("MISMATCH lossy, case h1-x2-t4-b3-split-states-float32-s0: ", "is held as", "x the bound"):
        assert part in rows
    assert command("verify", *GRID, "--adapters", "lossy", "-q").out.count("\n") == 1


def test_a_report_file_holds_what_json_prints(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="ascii")
    ran = command("verify", *GRID, "--adapters", "honest,lossy", "--json", "--report", str(path))
    assert path.read_text(encoding="utf-8") == ran.out
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_several_reports_are_written(command: Command, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    ran = command(
        "verify", *GRID, "--adapters", "honest", *(word for path in paths for word in ("--report", str(path)))
    )
    assert ran.code == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert json.loads(paths[0].read_text(encoding="utf-8"))["verdict"] == "agree"


def cases_of(report: dict[str, Any]) -> list[str]:
    return sorted({row["case"] for row in report["rows"]})


def test_seeds_seed_and_precision_change_the_cases(command: Command) -> None:
    grid = ("verify", "--grid", "hidden=2 steps=2", "--adapters", "honest", "--json")
    stem = "h2-x5-t2-b3-split-states"
    for options, expected in (
        ((), [f"{stem}-float32-s0"]),
        (("--seeds", "2"), [f"{stem}-float32-s0", f"{stem}-float32-s1"]),
        (("--seed", "5", "--seeds", "2"), [f"{stem}-float32-s5", f"{stem}-float32-s6"]),
        (("--precision", "float64"), [f"{stem}-float64-s0"]),
    ):
        ran = command(*grid, *options)
        assert ran.code == 0
        assert cases_of(json.loads(ran.out)) == expected


def test_the_quick_preset_runs_where_stacks_are_unsupported(command: Command) -> None:
    ran = command("verify", "--preset", "quick", "--adapters", "honest", "--jobs", "1", "--json")
    totals = json.loads(ran.out)["totals"]
    assert ran.code == 0
    assert totals["match"] > 0
    assert totals["match"] + totals["unsupported"] == totals["planned"] >= 10


def test_all_installed_adapters_run_when_none_is_named(command: Command) -> None:
    """`absent` is not among them: its framework is missing."""
    _, report = verify_json(command)
    assert {row["adapter"] for row in report["rows"]} == {"honest", "lossy", "miscounting", "unwilling", "unloadable"}


def test_a_worker_may_be_another_interpreter_under_a_label(command: Command) -> None:
    import sys

    code, report = verify_json(command, "--adapters", "honest", "--worker", f"other-honest={sys.executable}")
    assert code == 0
    assert {row["adapter"] for row in report["rows"]} == {"honest", "other-honest"}


def test_one_case_of_a_run_is_run_alone(command: Command) -> None:
    _, everything = verify_json(command, "--adapters", "honest")
    first, *_, last = dict.fromkeys(row["case"] for row in everything["rows"])
    code, report = verify_json(command, "--adapters", "honest", "--case", last, "--case", last)
    assert (code, {row["case"] for row in report["rows"]}, report["totals"]["planned"]) == (0, {last}, 1)
    both = verify_json(command, "--adapters", "honest", "--case", last, "--case", first)[1]
    assert both["totals"]["planned"] == 2


def test_an_unknown_case_names_the_nearest(command: Command) -> None:
    _, everything = verify_json(command, "--adapters", "honest")
    known = everything["rows"][0]["case"]
    ran = command("verify", *GRID, "--adapters", "honest", "--case", known[:-1])
    assert ran.code == 2
    assert f"--case: unknown case '{known[:-1]}'; did you mean {known}" in ran.err
