"""The examples in C, Rust and JavaScript: the right kernels agree, the planted mistakes are named."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.workers.process import Worker

from ..helpers import Command, command_line
from .conftest import EXAMPLES, Build, run_tool, tool

LANGUAGES = ("c", "rust", "node")
WRONG = {"c wrong": "gates-ifog", "rust wrong": "u-transposed", "node wrong": "both-forward"}
SPECS = {
    "states": (lx.LSTMSpec(input_size=4, hidden_size=4), {"steps": 3}),
    "stack-lengths": (
        lx.LSTMSpec(input_size=5, hidden_size=4, num_layers=2, bidirectional=True), {"steps": 5, "ragged": True}
    ),
    "reverse-without-bias": (
        lx.LSTMSpec(input_size=3, hidden_size=2, bias="none", reverse=True), {"steps": 4, "states": False}
    ),
    "many-outputs": (lx.LSTMSpec(input_size=1, hidden_size=4, num_layers=2), {"steps": 20, "batch": 2000}),
    "three-layers": (lx.LSTMSpec(input_size=3, hidden_size=8, bias="single", num_layers=3), {"steps": 9, "batch": 1}),
}  # fmt: skip
CASES = [lx.Case.random(spec, seed=21, id=name, **options) for name, (spec, options) in SPECS.items()]  # type: ignore[arg-type]

Built = Callable[[str], list[str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(capfd)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights.npz"
    spec = lx.LSTMSpec(input_size=5, hidden_size=6, bidirectional=True)
    np.savez(file, **lx.LSTMWeights.random(spec, seed=5, init="torch").to_layout("torch"))
    return file


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_right_program_agrees(built: Built, language: str) -> None:
    report = lx.verify(CASES, adapters={"mine": lx.program(*built(language))})
    assert {(row.case, row.verdict) for row in report.rows} == {(case.id, "match") for case in CASES}
    assert max(row.score for row in report.rows if row.score is not None) < 0.3


@pytest.mark.parametrize("language", WRONG)
def test_a_planted_mistake_is_named(built: Built, language: str, weights: Path, command: Command) -> None:
    ran = command("diagnose", str(weights), "--run", f"cmd:{shlex.join(built(language))}", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["mistakes"] == [WRONG[language]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_right_program_has_no_mistake(built: Built, language: str, weights: Path, command: Command) -> None:
    ran = command("diagnose", str(weights), "--run", f"cmd:{shlex.join(built(language))}")
    assert (ran.code, ran.out) == (0, "Nothing is wrong: 7 cases match.\n")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_program_lacks_is_unsupported(built: Built, language: str) -> None:
    cases = [
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4, proj_size=2), id="projection"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4, peepholes=True), id="peepholes"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4, cell_clip=1.0), id="clip"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4), gradients=True, id="gradients"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4), precision="float16", id="float16"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4), mask="left", id="mask"),
        lx.Case.random(lx.LSTMSpec(input_size=3, hidden_size=4), padding="held", ragged=True, id="padding"),
    ]
    report = lx.verify(cases, adapters={"mine": lx.program(*built(language))})
    assert {row.verdict for row in report.rows} == {"unsupported"}
    assert all(row.reason for row in report.rows)


def test_a_program_verifies_a_file(built: Built, weights: Path, command: Command) -> None:
    arguments = ("verify", str(weights), "--adapter", f"mine=cmd:{built('c')[0]}", "--json")
    assert json.loads(command(*arguments).out)["totals"]["match"] == 4


def test_a_search_finds_the_mistake_of_a_program(built: Built, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("hypothesis")
    mine = ("fuzz", "--examples", "25", "--out", str(tmp_path / "test_found.py"), "--adapter")
    assert command(*mine, f"mine=cmd:{built('c')[0]}").code == 0
    ran = command(*mine, f"mine=cmd:{built('c wrong')[0]}")
    assert ran.code == 1
    assert "gates g and o exchanged" in ran.out


def test_a_function_of_a_library_is_judged(compile_c: Build, weights: Path, command: Command) -> None:
    for options, code in ((), 0), (("-DWRONG",), 1):
        (file,) = compile_c(
            EXAMPLES / "c" / "my_lstm.c", "-shared", "-fPIC", "-DLX_LIBRARY", *options, name=f"library-{code}.so"
        )
        double = lx.Case.random(SPECS["states"][0], precision="float64")
        refused = lx.verify(double, adapters={"mine": lx.library(file, "lx_lstm")})
        assert [row.reason for row in refused.rows] == ["precision: the library computes in float32"]
        report = lx.verify(CASES, adapters={"mine": lx.library(file, "lx_lstm")})
        assert {row.verdict == "match" for row in report.rows} == {code == 0}
        assert command("diagnose", str(weights), "--run", f"lib:{file}:lx_lstm").code == code


def test_the_manifest_of_rust_builds(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "rust", tmp_path / "rust", ignore=shutil.ignore_patterns("target", "Cargo.lock"))
    manifest = str(tmp_path / "rust" / "Cargo.toml")
    run_tool(tool("cargo"), "check", "--offline", "--quiet", "--manifest-path", manifest)


def test_noise_on_stderr_does_no_harm(compile_c: Build, tmp_path: Path) -> None:
    source = tmp_path / "noisy.c"
    text = (EXAMPLES / "c" / "my_lstm.c").read_text(encoding="utf-8")
    noise = 'int i; for (i = 0; i < 20000; i++) fprintf(stderr, "noise %d\\n", i); return lx_serve();'
    source.write_text(text.replace("return lx_serve();", noise), encoding="utf-8")
    assert lx.verify(CASES, adapters={"mine": lx.program(*compile_c(source))}).ok


def test_a_kernel_of_double_precision_is_judged(compile_c: Build, tmp_path: Path) -> None:
    text = (EXAMPLES / "c" / "my_lstm.c").read_text(encoding="utf-8")
    for single, double in (("float", "double"), ("expf", "exp"), ("tanhf", "tanh"), ("1.0f", "1.0")):
        text = text.replace(single, double)
    (tmp_path / "double.c").write_text(text, encoding="utf-8")
    mine = {"mine": lx.program(*compile_c(tmp_path / "double.c", "-DLX_FLOAT=double"))}
    cases = [lx.Case.random(SPECS["stack-lengths"][0], precision=name, id=name) for name in ("float64", "float32")]
    report = lx.verify(cases, adapters=mine)
    assert {(row.case, row.verdict) for row in report.rows} == {("float64", "match"), ("float32", "unsupported")}


def test_the_header_is_one_of_cpp_too(tmp_path: Path) -> None:
    source = tmp_path / "mine.cpp"
    source.write_text(
        '#include "lstm_xcheck.h"\nconst char *lx_lstm(lx_case *) { return "nothing"; }\n'
        "int main() { return lx_serve(); }\n", encoding="utf-8",
    )  # fmt: skip
    compiler = tool("c++", "g++", "clang++")
    run_tool(compiler, "-Wall", "-Werror", f"-I{EXAMPLES / 'c'}", str(source), "-o", str(tmp_path / "mine"))
    report = lx.verify(CASES[0], adapters={"mine": lx.program(str(tmp_path / "mine"))})
    assert [row.reason for row in report.rows] == ["nothing"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("cmd:./no_such_program", "was not found"),
        ("cmd:", "names no program"),
        ("cmd:'unclosed", "cannot be split"),
        ("lib:libm.so", "lib:PATH:SYMBOL"),
        ("lib:./no_such.so:f", "was not found"),
        ("mine", "package.module:function"),
    ],
)
def test_a_wrong_target_is_one_sentence(command: Command, target: str, words: str) -> None:
    ran = command("verify", "--preset", "quick", "--adapter", f"mine={target}")
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_may_not_be_run_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("not a program", encoding="utf-8")
    ran = command("verify", "--preset", "quick", "--adapter", f"mine=cmd:{tmp_path / 'data.txt'}")
    assert (ran.code, "is no program that may be run" in ran.err) == (2, True)


def test_diagnose_wants_either_outputs_or_a_program(command: Command, weights: Path) -> None:
    assert "neither is given" in command("diagnose", str(weights)).err
    assert "both are given" in command("diagnose", str(weights), str(weights), "--run", "cmd:x").err


def test_another_process_is_not_needed_for_each_case(built: Built) -> None:
    """One process answers all cases: it is started once."""
    with Worker(lx.program(*built("c")).entry("mine")) as worker:
        worker.run(CASES[0])
        before = _children(worker)
        worker.run(CASES[1])
        assert _children(worker) == before


def _children(worker: Worker) -> str:
    process = worker.process._process
    assert process is not None
    return subprocess.run(
        [tool("ps"), "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout
