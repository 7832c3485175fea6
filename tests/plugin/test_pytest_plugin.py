"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck as lx

Run = Callable[..., pytest.RunResult]

#: An adapter whose framework nobody has, one that needs NumPy alone and is right, and one that is wrong.
CONFTEST = """
import lstm_xcheck as lx

lx.register_adapter("absent", "no_such_module:Adapter", requires=("no_such_module",), install="no-such-package")
lx.register_adapter("honest", "toy_adapter:Honest", requires=("numpy",))
lx.register_adapter("wrong", "toy_adapter:Wrong", requires=("numpy",))
"""

TOY = """
import os

import numpy as np

from lstm_xcheck.layouts import count_parameters, to_layout
from lstm_xcheck.oracle import forward
from lstm_xcheck.model import Case, LSTMWeights, Result


class Honest:
    layout = "keras"

    def __init__(self, name):
        self.name = name

    def environment(self):
        return {"pid": str(os.getpid())}

    def unsupported(self, case):
        return "projection: the toy has none" if case.spec.proj_size else None

    def computes_in(self, case):
        return case.precision, ""

    def build(self, spec, precision):
        return {"spec": spec}

    def load(self, model, arrays):
        model["arrays"] = dict(arrays)

    def read_back(self, model):
        return model["arrays"]

    def count_parameters(self, model):
        return sum(array.size for array in model["arrays"].values())

    def run(self, model, case):
        truth = forward(case)
        return Result(y=truth.y, h_n=truth.h_n, c_n=truth.c_n, layer_outputs=truth.layer_outputs)


class Wrong(Honest):
    def run(self, model, case):
        truth = super().run(model, case)
        return Result(y=truth.y[:, ::-1], h_n=truth.c_n, c_n=truth.h_n)
"""

SWEEP = """
import lstm_xcheck as lx
import pytest

@pytest.mark.parametrize("case", lx.sweep(hidden=[1, 3], steps=2))
def test_sweep(case, xcheck_adapter, lstm_xcheck):
    lstm_xcheck.assert_agrees(case, [xcheck_adapter])
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file in a fresh pytest, with the toy adapters."""
    package = str(Path(str(lx.__file__)).parents[1])
    monkeypatch.setenv("PYTHONPATH", package)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(toy_adapter=TOY)

    def start(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        options = ("-p", "lstm_xcheck.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:randomly")
        return pytester.runpytest_subprocess(*options, *arguments)

    return start


def body(text: str) -> str:
    """A test with the fixture."""
    lines = "\n".join(f"    {line}" for line in text.strip().splitlines())
    return f"import lstm_xcheck as lx\nimport pytest\n\ndef test_it(lstm_xcheck):\n{lines}\n"


def test_a_sweep_runs_over_the_chosen_adapters_in_a_fixed_order(run: Run) -> None:
    result = run(SWEEP, "-v", "--xcheck-adapters", "honest,absent")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "lstm-xcheck: adapters absent, honest",
            "*test_sweep*absent*h1-x5-t2*SKIPPED*",
            "*test_sweep*honest*h1-x5-t2*PASSED*",
            "honest: 2 match",
            "2 cells = 2 match",
        ]
    )


def test_a_missing_framework_skips_with_the_pip_command(run: Run) -> None:
    result = run(SWEEP, "-rs", "--xcheck-adapters", "absent")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*adapter absent needs no_such_module; run: pip install 'no-such-package'*"])


def test_without_an_option_every_known_adapter_is_there(run: Run) -> None:
    result = run(SWEEP, "--collect-only", "-q")
    names = {line.partition("[")[2].partition("-h")[0] for line in result.outlines if "test_sweep[" in line}
    assert names >= {"absent", "honest", "wrong", "torch", "jax", "keras-jax", "keras-tensorflow", "keras-torch"}


def test_a_disagreement_is_one_readable_failure(run: Run) -> None:
    result = run(SWEEP, "--xcheck-adapters", "wrong")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E*DisagreementError: 3 quantities disagree:", "E*wrong, case h1-*, mismatch: y*"])
    result.stdout.fnmatch_lines(["wrong: 2 mismatch"])
    result.stdout.no_fnmatch_line("*pytest_toolkit.py*")
    result.stdout.no_fnmatch_line("*report/model.py*")


@pytest.mark.parametrize("where", ["option", "ini"])
def test_an_unknown_adapter_is_a_usage_error(run: Run, pytester: pytest.Pytester, where: str) -> None:
    if where == "ini":
        pytester.makeini("[pytest]\nxcheck_adapters = honest, torhc\n")
    result = run(SWEEP, *(["--xcheck-adapters=torhc"] if where == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *unknown adapter 'torhc'; expected *honest*torch*"])


def test_an_empty_choice_is_a_usage_error(run: Run) -> None:
    result = run(SWEEP, "--xcheck-adapters", ",")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xcheck-adapters names no adapter*"])


def test_the_ini_file_chooses_and_the_option_wins(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nxcheck_adapters = honest, wrong\n")
    assert "lstm-xcheck: adapters honest, wrong" in run(SWEEP, "--collect-only").outlines
    assert "lstm-xcheck: adapters honest" in run(SWEEP, "--collect-only", "--xcheck-adapters=honest").outlines


def test_the_marker_narrows_the_choice(run: Run) -> None:
    marked = SWEEP.replace("def test_sweep", "@pytest.mark.xcheck(adapters=['honest'])\ndef test_sweep")
    run(marked, "--strict-markers", "--xcheck-adapters=honest,wrong").assert_outcomes(passed=2)
    result = run(marked, "-rs", "--xcheck-adapters=wrong")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*none of the marker's adapters is among --xcheck-adapters*"])


def test_the_marker_of_an_unknown_adapter_is_an_error(run: Run) -> None:
    marked = SWEEP.replace("def test_sweep", "@pytest.mark.xcheck(adapters=['torhc'])\ndef test_sweep")
    result = run(marked)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*the marker xcheck of *test_sweep: unknown adapter 'torhc'*"])


def test_workers_stay_warm_for_the_session(run: Run) -> None:
    source = """
import lstm_xcheck as lx
import pytest
PIDS = []

@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pid(lstm_xcheck, seed):
    result = lstm_xcheck.run("honest", lx.Case.random(lx.LSTMSpec(2, 3), seed=seed))
    PIDS.append(result.environment["pid"])
    assert len(set(PIDS)) == 1
    assert result.y.shape == (3, 7, 3)
"""
    run(source).assert_outcomes(passed=3)


def test_a_framework_without_such_an_lstm_skips_with_its_reason(run: Run) -> None:
    result = run(body('lstm_xcheck.assert_agrees(lx.Case.random(lx.LSTMSpec(2, 3, proj_size=1)), ["honest"])'), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*honest: projection: the toy has none*"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('assert lstm_xcheck.verify(CASE, ["honest", "wrong"]).ok', "E*assert False"),
        ("lstm_xcheck.verify([], ['honest'])", "E*NothingComparedError: there is no case to compare*"),
        ("lstm_xcheck.verify(CASE, ['torhc'])", "E*AdapterError: unknown adapter 'torhc'*"),
        (
            "lstm_xcheck.verify(CASE, {'mine': len})",
            "E*AdapterError: mine is <built-in function len>, but should be lx.program*",
        ),
        ("lstm_xcheck.verify(CASE, [])", "E*NothingComparedError: no adapter is left*"),
        ("lstm_xcheck.assert_agrees([CASE], ['honest', 'wrong'])", "E*DisagreementError: 3 quantities*"),
        ("lstm_xcheck.assert_equivalent(CASE.weights, lx.LSTMWeights.random(CASE.spec, 5))", "E*W of layer 0*"),
    ],
    ids=["verify", "no-case", "unknown", "function", "no-adapter", "agrees", "equivalent"],
)
def test_the_fixture_fails_a_test_that_should_fail(run: Run, text: str, words: str) -> None:
    result = run(body(f"CASE = lx.Case.random(lx.LSTMSpec(2, 3))\n{text}"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([words])


def test_own_outputs_are_reported_with_worst_element_first_bad_step_score_and_diagnosis(run: Run) -> None:
    text = """
case = lx.Case.random(lx.LSTMSpec(3, 4), steps=5, batch=3)
arrays = case.weights.to_layout("torch")
moved = {k: a.reshape(4, -1, *a.shape[1:])[[0, 2, 1, 3]].reshape(a.shape) for k, a in arrays.items()}
other = lx.Case(weights=lx.LSTMWeights.from_layout(moved, "torch"), x=case.x, h0=case.h0, c0=case.c0)
verdict = lstm_xcheck.judge(lstm_xcheck.run("honest", other), case)
assert verdict.verdict == "match", verdict
"""
    result = run(body(text))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        "E *AssertionError: <Verdict mismatch: y[[]*, *, *] = *, but should be * x the bound); *first at step *>",
        "*Captured lstm-xcheck call*",
        "mismatch: y[[]*",
        "result: gates f and g exchanged in W, U and b, in 1 case. Put the four blocks*",
    ])  # fmt: skip


def test_what_no_mistake_explains_is_located(run: Run) -> None:
    text = """
import numpy as np
case = lx.Case.random(lx.LSTMSpec(3, 4), steps=9, batch=3)
arrays = {k: np.array(a) for k, a in case.weights.to_layout("torch").items()}
arrays["weight_hh_l0"][3 * 4 + 2, 1] += np.float32(0.1)
other = lx.Case(weights=lx.LSTMWeights.from_layout(arrays, "torch"), x=case.x, h0=case.h0, c0=case.c0)
verdict = lstm_xcheck.judge(lstm_xcheck.run("honest", other), case)
assert verdict.verdict == "match", verdict
"""
    result = run(body(text))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*unit 2 (of 4), in every row.*One number alone*: U of gate o, unit 2, column 1 is *"])


def test_a_failed_report_hides_its_own_code(run: Run) -> None:
    text = "CASE = lx.Case.random(lx.LSTMSpec(2, 3))\nlstm_xcheck.verify(CASE, ['wrong']).raise_if_failed()"
    result = run(body(text))
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*def raise_if_failed*")


def test_the_fixture_passes_a_test_that_should_pass(run: Run) -> None:
    text = """
case = lx.Case.random(lx.LSTMSpec(2, 3))
result = lstm_xcheck.run("honest", case)
assert lstm_xcheck.judge(result, case).verdict == "match"
assert lstm_xcheck.verify(lx.grid(hidden=[1, 2], steps=2)).ok
lstm_xcheck.assert_agrees(lx.grid(hidden=2, steps=2)[0])
lstm_xcheck.assert_equivalent(case.weights, case.weights)
"""
    result = run(body(text), "--xcheck-adapters=honest,absent")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["honest: 3 match", "result: 1 match", "4 cells = 4 match"])


def test_scores_are_junit_properties(run: Run, pytester: pytest.Pytester) -> None:
    text = "record_property('mine', 1)\nlstm_xcheck.verify(lx.grid(hidden=[1, 2], steps=2))"
    source = body(text).replace("(lstm_xcheck)", "(lstm_xcheck, record_property)")
    run(source, "--junitxml=junit.xml", "--xcheck-adapters=honest,wrong").assert_outcomes(passed=1)
    properties = {p.get("name"): p.get("value") for p in ET.parse(pytester.path / "junit.xml").iter("property")}
    assert properties["mine"] == "1"
    assert properties["xcheck_verdict[honest]"] == "match"
    assert properties["xcheck_verdict[wrong]"] == "mismatch"
    assert float(str(properties["xcheck_score[honest]"])) < 1 < float(str(properties["xcheck_score[wrong]"]))
    assert len(properties) == 5


def test_a_session_is_recorded(run: Run, pytester: pytest.Pytester) -> None:
    result = run(SWEEP, "--xcheck-adapters=honest,wrong", "--xcheck-record=out/deep")
    result.stdout.fnmatch_lines(["4 cells = 2 match, 2 mismatch", "report: *session.json"])
    report: dict[str, Any] = json.loads((pytester.path / "out" / "deep" / "session.json").read_text())
    assert report["verdict"] == "disagree"
    assert report["totals"]["planned"] == 4
    assert {row["adapter"] for row in report["rows"]} == {"honest", "wrong"}


def test_a_file_is_no_folder_to_record_in(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "taken").write_text("", encoding="utf-8")
    result = run(SWEEP, "--xcheck-record=taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --xcheck-record *taken: is a file, but should be a folder"])


def test_nothing_is_printed_or_written_where_nothing_was_judged(run: Run, pytester: pytest.Pytester) -> None:
    result = run("def test_it():\n    pass\n", "--xcheck-record=out")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "out").exists()
    result.stdout.no_fnmatch_line("*cells*")
    result.stdout.no_fnmatch_line("lstm-xcheck: adapters*")


def test_a_fixture_or_an_option_brings_the_header_once(run: Run) -> None:
    uses = "def test_it(lstm_xcheck):\n    pass\n"
    for source, arguments, header in (
        (uses, (), "lstm-xcheck: adapters all whose framework is installed"),
        (uses, ("--xcheck-adapters=honest",), "lstm-xcheck: adapters honest"),
        ("def test_it():\n    pass\n", ("--xcheck-adapters=honest",), "lstm-xcheck: adapters honest"),
    ):
        printed = run(source, *arguments).outlines
        assert [line for line in printed if line.startswith("lstm-xcheck: ")] == [header]


def test_xdist_gathers_the_totals(run: Run, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(SWEEP, "-n2", "--dist=loadgroup", "--xcheck-adapters=honest,wrong", "--xcheck-record=out")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["honest: 2 match", "wrong: 2 mismatch", "4 cells = 2 match, 2 mismatch"])
    reports = [json.loads(file.read_text()) for file in sorted((pytester.path / "out").iterdir())]
    assert sum(report["totals"]["planned"] for report in reports) == 4


def test_each_adapter_is_a_group_of_xdist(run: Run) -> None:
    """Only the mark: pytest-xdist 3.8.0 ignores groups under pytest 9.2 (issue 1386)."""
    pytest.importorskip("xdist")
    source = """
def test_group(xcheck_adapter, request):
    assert request.node.get_closest_marker("xdist_group").args == (xcheck_adapter,)
"""
    run(source, "--strict-markers", "--xcheck-adapters=honest,wrong").assert_outcomes(passed=2)
    run(source, "-p", "no:xdist", "--strict-markers", "--xcheck-adapters=honest").assert_outcomes(failed=1)


def test_hypothesis_may_use_the_fixture(run: Run) -> None:
    pytest.importorskip("hypothesis")
    source = """
import lstm_xcheck as lx
from hypothesis import given, settings, strategies as st

@settings(max_examples=5, deadline=None, database=None)
@given(hidden=st.integers(1, 4))
def test_any_width(lstm_xcheck, hidden):
    lstm_xcheck.assert_agrees(lx.Case.random(lx.LSTMSpec(2, hidden), steps=2), ["honest"])
"""
    run(source).assert_outcomes(passed=1)


def test_what_is_no_lstm_is_skipped_with_its_reason_and_counted(run: Run) -> None:
    text = """
from lstm_xcheck.engine import Recipe
report = lstm_xcheck.verify(lx.grid(hidden=[4, 6], proj=[0, 4], input=2, steps=2), ["honest"])
totals = report.totals
assert [totals[name] for name in ("planned", "match", "unsupported", "skipped")] == [4, 2, 1, 1]
lstm_xcheck.assert_agrees(Recipe(hidden=4, proj=4), ["honest"])
"""
    result = run(body(text), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["5 cells = 2 match, 1 unsupported, 2 skipped", "SKIPPED*should be smaller than*"])
