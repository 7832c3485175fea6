"""The verb `fuzz`, and users' functions in it and in `verify`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lstm_xcheck as lx

from ..helpers import Command

CASES = ("--examples", "25")


def test_nothing_found_is_exit_0(command: Command, folder: Path) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:right", *CASES)
    assert ran.code == 0
    assert ran.out.startswith("no disagreement in 25 cases (")
    assert ran.out.endswith("compared: mine 25\n") or "compared: mine 2" in ran.out
    assert list(folder.glob("test_*")) == []
    assert not (folder / ".hypothesis").exists()


def test_unsupported_cases_are_counted_and_the_printed_grid_avoids_them(command: Command) -> None:
    asked = ("fuzz", "--adapter", "mine=kernels:choosy", "--examples", "120")
    (line,) = (line for line in command(*asked).out.splitlines() if line.startswith("unsupported by mine: "))
    grid = line.partition('--grid "')[2].removesuffix('"')
    assert "layers=1" in grid.split()
    ran = command("fuzz", "--adapter", "mine=kernels:choosy", "--examples", "40", "--grid", grid)
    assert (ran.code, "unsupported" in ran.out) == (0, False)


def test_the_json_of_a_finding(command: Command, folder: Path) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:wrong_gates", "--json", "--seed", "5", "--out", "test_it.py")
    report = json.loads(ran.out)
    assert (ran.code, report["verdict"], report["seed"]) == (1, "disagree", 5)
    found = report["finding"]
    assert found["adapter"] == "mine"
    assert found["recipe"]["hidden"] == 1
    assert found["diagnosis"]["mistakes"] == ["gates-igof"]
    assert found["reproducer"] == "test_it.py"
    assert (folder / "test_it.py").is_file()
    assert {row["verdict"] for row in found["rows"]} == {"mismatch"}


def test_the_json_of_nothing_found(command: Command) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:right", "--json", *CASES)
    report = json.loads(ran.out)
    assert (ran.code, report["verdict"], report["finding"], report["examples"]) == (0, "agree", None, 25)


def test_a_crash_is_exit_2_with_a_reproducer(command: Command, folder: Path) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:raising")
    assert ran.code == 2
    assert "CRASHED: mine, in case" in ran.out
    assert "case h1-x1-t3-b1-none-float32-s0" in ran.out
    assert "test_xcheck_mine.py (run once: it fails, as it should)" in ran.out
    assert ran.out.endswith(
        "run: lstm-xcheck verify --adapter mine=kernels:raising --case h1-x1-t3-b1-none-float32-s0\n"
    )
    assert "1 planned = 1 crashed" in command(*ran.out.splitlines()[-1].split()[2:]).out


def test_a_hang_is_contained(command: Command) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:hanging", "--timeout", "0.3", "--grid", "hidden=1 input=1 steps=1")
    assert ran.code == 2
    assert "gave no answer within 0.3 s and was killed" in ran.out
    assert "since it would not end" in ran.out


def test_where_every_case_is_refused_the_printed_grid_is_supported(command: Command) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:choosy", "--grid", "layers=2,3", *CASES)
    assert ran.code == 2
    assert "of 25 cases, none could be compared with mine, so nothing is proven: mine refused all of them" in ran.err
    assert "(one layer only)" in ran.err and "--minutes" not in ran.err
    grid = ran.err.partition('--grid "')[2].partition('"')[0]
    assert "layers=1" in grid.split()
    again = command("fuzz", "--adapter", "mine=kernels:choosy", "--grid", grid, *CASES)
    assert (again.code, "compared: mine 25" in again.out) == (0, True)


def test_your_function_that_was_never_compared_is_no_success(command: Command) -> None:
    ran = command("fuzz", "--adapter", "mine=kernels:unwilling", "--adapter", "other=kernels:right", "--examples", "3")
    assert ran.code == 2
    assert "compared: mine 0, other 3" in ran.out
    refused = "mine refused all of them (the function says that it does not implement this), and simple ones, too, so"
    assert f"nothing is proven of it: {refused}" in ran.out


def test_an_earlier_reproducer_is_kept(command: Command, folder: Path) -> None:
    (folder / "test_xcheck_mine.py").write_text("kept", encoding="utf-8")
    assert command("fuzz", "--adapter", "mine=kernels:wrong_gates").code == 1
    assert (folder / "test_xcheck_mine.py").read_text(encoding="utf-8") == "kept"
    assert (folder / "test_xcheck_mine_1.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--adapter", "mine"], "--adapter 'mine' should be written NAME=package.module:function: mine=kernel:lstm"),
        (["--adapter", "mine=kernels"], "the function is 'kernels', but should be written package.module:function"),
        (["--adapter", "mine=nowhere:lstm"], "there is no module 'nowhere'; write package.module:function"),
        (["--adapter", "mine=kernels:lstm"], "has no 'lstm'"),
        (["--adapter", "mine=kernels:not_a_function"], "not_a_function in module kernels is a int, but should be a"),
        (
            ["--adapter", "torch=kernels:right"],
            "adapter torch exists already; give your own implementation another name",
        ),
        (["--adapter", "a=kernels:right", "--adapter", "a=kernels:right"], "--adapter a is given twice"),
        (["--adapter", "mine=broken:lstm"], "No module named 'no_such_module'"),
    ],
    ids=["form", "no-function", "no-module", "no-attribute", "not-callable", "taken", "twice", "broken-import"],
)
@pytest.mark.parametrize("verb", ["fuzz", "verify"])
def test_a_wrong_function_is_one_sentence(
    command: Command, folder: Path, verb: str, arguments: list[str], message: str
) -> None:
    (folder / "broken.py").write_text("import no_such_module\n", encoding="utf-8")
    ran = command(verb, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "test_it.txt"], "the suffix is '.txt', but should be .py"),
        (["--out", "nowhere/test_it.py"], "the folder nowhere does not exist"),
        (["--out", "kernels.py"], "the file exists; remove it or choose another name"),
        (["--grid", "width=3"], "unknown axis 'width'"),
        (["--adapters", "tensorflwo"], "unknown adapter 'tensorflwo'"),
        (["--adapters", ","], "--adapters names nothing"),
        (["--minutes", "-1"], "Invalid value for '--minutes'"),
    ],
    ids=["suffix", "folder", "exists", "axis", "adapter", "empty", "minutes"],
)
def test_a_wrong_option_is_refused_before_anything_runs(command: Command, arguments: list[str], message: str) -> None:
    ran = command("fuzz", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_verify_runs_a_function_and_names_its_mistake(command: Command) -> None:
    grid = ("--grid", "hidden=3 layers=1,2 steps=4")
    right = command("verify", "--adapter", "mine=kernels:right", *grid, "--json")
    assert right.code == 0
    report = json.loads(right.out)
    assert report["totals"]["match"] == 2
    assert {row["quantity"] for row in report["rows"]} == {"y", "h_n", "c_n"}
    assert report["environment"]["adapters"]["mine"]["function"] == "kernels:right"
    wrong = command("verify", "--adapter", "mine=kernels:wrong_gates", *grid, "--json")
    assert wrong.code == 1
    assert {tuple(found["mistakes"]) for found in json.loads(wrong.out)["diagnoses"]} == {("gates-igof",)}


def test_verify_contains_a_crash_of_a_function(command: Command) -> None:
    options = ("--adapter", "mine=kernels:raising", "--adapter", "other=kernels:right", "--grid", "steps=1,4")
    ran = command("verify", *options, "--json")
    assert ran.code == 2
    totals = json.loads(ran.out)["totals"]
    assert (totals["planned"], totals["match"], totals["crashed"]) == (4, 3, 1)


def test_verify_takes_what_is_not_implemented_for_unsupported(command: Command) -> None:
    ran = command("verify", "--adapter", "mine=kernels:choosy", "--grid", "layers=1,2", "--json")
    assert ran.code == 0
    rows = json.loads(ran.out)["rows"]
    assert [row["reason"] for row in rows if row["verdict"] == "unsupported"] == ["one layer only"]


def test_an_interrupt_is_exit_130(folder: Path) -> None:
    command = [sys.executable, "-m", "lstm_xcheck", "fuzz", "--adapter", "mine=kernels:right", "--minutes", "10"]
    package = str(Path(str(lx.__file__)).parents[1])
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": package}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(6.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # nothing stays behind of a test that fails
    assert process.returncode == 130
    assert "Traceback" not in out + err
