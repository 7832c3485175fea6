"""`verify --out`, `--shard`, `merge` and `report`: parts make up a complete run."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.runs.description import RunDescription
from lstm_xcheck.runs.folder import encode_line, read_outcomes

from ..helpers import ROOT, Command

pytestmark = pytest.mark.usefixtures("numpy_adapters")

GRID = ("--grid", "hidden=1,2 input=2 steps=3 batch=1 seeds=3")
BOTH = ("--adapters", "honest,lossy")


def parsed(command: Command, *arguments: str) -> tuple[int, dict[str, Any]]:
    ran = command(*arguments, "--json")
    report = json.loads(ran.out)
    report["rows"].sort(key=lambda row: (row["case"], row["adapter"], row["quantity"]))
    return ran.code, report


@pytest.fixture
def out(command: Command, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve cells, half of them wrong."""
    once = tmp_path_factory.getbasetemp() / "a-run-of-twelve-cells"
    if not once.exists():
        assert command("verify", *GRID, *BOTH, "--out", str(once)).code == 1
    return Path(shutil.copytree(once, tmp_path / "run"))


def test_report_of_a_folder_equals_the_report_of_verify(command: Command, out: Path, tmp_path: Path) -> None:
    code, declared = parsed(command, "verify", *GRID, *BOTH)
    again, report = parsed(command, "report", str(out), "--report", str(tmp_path / "x.html"))
    assert (code, again) == (1, 1)
    assert report["rows"] == declared["rows"]
    assert report["totals"] == declared["totals"]
    assert (tmp_path / "x.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_merge_into_a_complete_run(command: Command, out: Path, tmp_path: Path, shards: int) -> None:
    parts = []
    for number in range(1, shards + 1):
        parts.append(str(tmp_path / f"part-{number}"))
        assert command("verify", *GRID, *BOTH, "--out", parts[-1], "--shard", f"{number}/{shards}").code == 1
    code, merged = parsed(command, "merge", *parts, "--out", str(tmp_path / "merged"))
    assert code == 1
    _, complete = parsed(command, "report", str(out))
    assert (merged["rows"], merged["totals"]) == (complete["rows"], complete["totals"])
    ran = command("verify", *GRID, *BOTH, "--out", str(tmp_path / "merged"), "--resume")
    assert "12 planned = 6 match, 6 mismatch" in ran.out


def test_a_missing_shard_is_named_counted_and_can_be_run_later(command: Command, tmp_path: Path) -> None:
    honest, merged = ("--adapters", "honest"), str(tmp_path / "all of it")
    command("verify", *GRID, *honest, "--out", str(tmp_path / "part"), "--shard", "1/2")
    ran = command("merge", str(tmp_path / "part"), "--out", merged)
    assert ran.code == 2
    assert ran.err.startswith("not all is here: shard 2/2; ")
    assert "ERROR: 6 planned = 3 match, 3 skipped" in ran.out
    _, verb, *printed = shlex.split(ran.err.partition(" run: ")[2])
    assert (verb, printed[-3:]) == ("verify", ["--out", merged, "--resume"])
    assert command(verb, *printed).code == 0
    assert command("report", merged).code == 0


def test_the_printed_command_runs_what_two_folders_lack(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_kernels.py").write_text("from tests.fuzz.kernels import right as one, right as two", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    asked = (*GRID, "--precision", "float64", "--seed", "4")
    for part, (name, *adapters) in enumerate([("one", "--adapters", "honest"), ("two",)], 1):
        own = ("--adapter", f"{name}=my_kernels:{name}", *adapters)
        command("verify", *asked, *own, "--out", f"part-{part}", "--shard", f"{part}/2")
    ran = command("merge", "part-1", "part-2", "--out", "both")
    assert ran.code == 2 and "9 cells" in ran.err
    ran = command(*shlex.split(ran.err.partition(" run: ")[2])[1:])
    assert (ran.code, "18 planned = 18 match" in ran.out) == (0, True)


def test_runs_of_different_adapters_merge(command: Command, out: Path, tmp_path: Path) -> None:
    for name in ("honest", "lossy"):
        command("verify", *GRID, "--adapters", name, "--out", str(tmp_path / name))
    code, merged = parsed(
        command, "merge", str(tmp_path / "honest"), str(tmp_path / "lossy"), str(out), "--out", str(tmp_path / "merged")
    )
    assert (code, merged["rows"]) == (1, parsed(command, "report", str(out))[1]["rows"])


def suspected(folder: Path) -> None:
    """Turn every answer into a suspect one."""
    outcomes = list(read_outcomes(folder))
    lines = [
        encode_line(key, replace(outcome, rows=tuple(replace(row, verdict="suspect") for row in outcome.rows)))
        for key, outcome in outcomes
    ]
    (folder / "cells.jsonl").write_bytes(b"".join(lines))


def test_two_answers_to_one_question_are_refused(command: Command, out: Path, tmp_path: Path) -> None:
    command("verify", *GRID, *BOTH, "--out", str(tmp_path / "other"))
    suspected(tmp_path / "other")
    ran = command("merge", str(out), str(tmp_path / "other"), "--out", str(tmp_path / "merged"))
    assert ran.code == 2
    assert "ended differently in" in ran.err
    assert not (tmp_path / "merged").exists()


def test_a_merge_never_goes_on_with_a_folder_that_holds_a_run(command: Command, out: Path) -> None:
    ran = command("merge", str(out), "--out", str(out))
    assert (ran.code, ran.err) == (2, f"Error: --out {out}: holds a run already; name another\n")


def test_another_version_of_a_package_is_not_merged(command: Command, out: Path, tmp_path: Path) -> None:
    command("verify", *GRID, *BOTH, "--out", str(tmp_path / "other"))
    plan = RunDescription.read(tmp_path / "other")
    plan.adapters["lossy"]["versions"]["numpy"] = "1.0"
    (tmp_path / "other" / "plan.json").write_bytes(plan.to_json())
    ran = command("merge", str(out), str(tmp_path / "other"), "--out", str(tmp_path / "merged"))
    assert ran.code == 2
    assert "not 1.0" in ran.err


def test_other_cases_are_not_merged(command: Command, out: Path, tmp_path: Path) -> None:
    command("verify", "--grid", "hidden=1", *BOTH, "--out", str(tmp_path / "other"))
    ran = command("merge", str(out), str(tmp_path / "other"), "--out", str(tmp_path / "merged"))
    assert ran.code == 2
    assert "holds other cases than" in ran.err


# --- questions to a folder ---


def test_rows_are_found_by_what_is_asked(command: Command, out: Path) -> None:
    _, found = parsed(command, "report", str(out), "--verdict", "mismatch", "--adapter", "lossy", "--case", "h2-")
    _, complete = parsed(command, "report", str(out))
    expected = [row for row in complete["rows"] if row["verdict"] == "mismatch" and "h2-" in row["case"]]
    assert found["rows"] == expected
    assert found["rows"]
    ran = command("report", str(out), "--adapter", "honest", "--verdict", "mismatch")
    assert ran.out.splitlines()[-1] == "0 rows"


def test_the_worst_rows_come_first(command: Command, out: Path) -> None:
    ran = command("report", str(out), "--adapter", "honest", "--worst", "4", "--json")
    scores = [row["score"] for row in json.loads(ran.out)["rows"]]
    _, complete = parsed(command, "report", str(out))
    known = sorted((row["score"] for row in complete["rows"] if row["adapter"] == "honest"), reverse=True)
    assert scores == known[:4]
    assert "\u2026" not in command("report", str(out), "--worst", "4").out  # names and figures are not cut


def test_the_index_follows_the_run(command: Command, out: Path) -> None:
    cells = out / "cells.jsonl"
    lines = cells.read_bytes().splitlines(keepends=True)
    ask = ("report", str(out), "--adapter", "honest", "--adapter", "lossy")
    cells.write_bytes(b"".join(lines[:4]))
    few = parsed(command, *ask)[1]["rows"]
    cells.write_bytes(b"".join(lines))
    many = parsed(command, *ask)[1]["rows"]
    assert len({(row["case"], row["adapter"]) for row in few}) == 4
    assert len({(row["case"], row["adapter"]) for row in many}) == 12
    with sqlite3.connect(out / "index.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM cells").fetchone() == (12,)
    connection.close()


@pytest.mark.parametrize(
    "rubbish", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 500], ids=["empty", "text", "torn"]
)
def test_a_broken_index_is_made_anew(command: Command, out: Path, rubbish: bytes) -> None:
    (out / "index.sqlite").write_bytes(rubbish)
    assert len(parsed(command, "report", str(out), "--worst", "1")[1]["rows"]) == 1


def test_a_run_that_goes_on_is_reported_as_it_is(command: Command, out: Path) -> None:
    cells = out / "cells.jsonl"
    cells.write_bytes(cells.read_bytes()[:-7])
    code, report = parsed(command, "report", str(out))
    assert (code, report["totals"]["planned"], report["totals"]["skipped"]) == (1, 12, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("verify", "--resume"), "--resume goes on with the run of a folder; add --out DIR"),
        (("verify", "--shard", "3/2"), "--shard is '3/2', but should be I/N with I from 1 to N"),
        (("verify", "--shard", "0/2"), "--shard is '0/2'"),
        (("verify", "--shard", "1"), "--shard is '1'"),
        (("verify", *GRID, *BOTH, "--shard", "7/7"), "--shard 7/7: there are only 6 cases; use at most 6 shards"),
        (("verify", *GRID, *BOTH, "--out", "{run}"), "holds a run already; add --resume"),
        (("verify", *GRID, "--adapters", "honest", "--out", "{run}", "--resume"), "another plan: it holds the adap"),
        (("verify", *GRID, *BOTH, "--out", "{run}", "--resume", "--shard", "1/2"), "all of the cases, not shard 1/2"),
        (("verify", *GRID, *BOTH, "--out", "{run}/plan.json"), "cannot be written: File exists"),
        (("report", "{tmp}"), "holds no plan.json, but should be a folder that verify --out wrote"),
        (("report", "{run}", "--verdict", "bad"), "--verdict is 'bad', but should be one of match, suspect"),
        (("report", "{run}", "--adapter", "torch"), "--adapter is 'torch', but"),
        (("merge", "{run}", "--out", "{run}"), "holds a run already"),
        (("merge", "{tmp}", "--out", "{tmp}/m"), "holds no plan.json"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    command: Command, out: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = command(*(word.format(run=out, tmp=tmp_path) if "{" in word else word for word in arguments))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("Error: ")
    assert sentence in ran.err
    assert ran.err.count("\n") == 1


def test_a_plan_of_another_schema_or_none_is_refused(command: Command, out: Path) -> None:
    plan = out / "plan.json"
    for text, sentence in (('{"schema": 2}', "has schema 2, but this version reads 1"), ("[]", "cannot be read")):
        plan.write_text(text, encoding="ascii")
        ran = command("report", str(out))
        assert ran.code == 2
        assert sentence in ran.err
