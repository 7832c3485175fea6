"""What every adapter owes, as tests that ship with the package.

    pytest --pyargs lstm_xcheck.adapter_contract --xcheck-adapters NAME

The oracle judges, and the adapter runs in a worker. A case that the framework cannot express is a skipped test with the
adapter's reason (`pytest -rs` lists them); everything else has to match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from .adapters.observed import ALIASING, INPUTS, observed_entry
from .adapters.registry import entry_named
from .compare import Row, judge
from .errors import Unsupported
from .layouts import TABLE
from .model import Case, LSTMSpec, LSTMWeights, Result
from .model.features import FEATURES
from .pytest_plugin import adapters_of
from .pytest_toolkit import Toolkit, why_missing
from .report import Report
from .vectors import Wanted
from .vectors.candidates import candidates
from .workers.process import Worker

_PLAIN: dict[str, Any] = {"input_size": 3, "hidden_size": 4}
_EVERYTHING: dict[str, Any] = {"num_layers": 2, "bidirectional": True}

_HOLES = np.array([[True, True, False, True, True], [False, True, True, True, False]])

#: Case -> options of its spec and of its data; `change` replaces arrays of the case.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "no-states": ({}, {"states": False}),
    "single-bias": ({"bias": "single"}, {}),
    "no-bias": ({"bias": "none"}, {}),
    "one-unit": ({"input_size": 1, "hidden_size": 1}, {"steps": 1, "batch": 1}),
    "last-output": ({}, {"returns": "last"}),
    "h0-only": ({}, {"change": {"c0": None}}),
    "c0-only": ({}, {"change": {"h0": None}}),
    "lengths": ({}, {"ragged": True}),
    "mask-with-holes": ({}, {"steps": 5, "batch": 2, "change": {"mask": _HOLES}}),
    # Layers of one shape can be exchanged.
    "stack": ({"input_size": 4, "num_layers": 3}, {}),
    "bidirectional": ({"bidirectional": True}, {}),
    "stack-bidirectional-lengths": (_EVERYTHING, {"ragged": True}),
    "reverse": ({"reverse": True}, {}),
    "reverse-lengths": ({"reverse": True}, {"ragged": True}),
    "float64": (_EVERYTHING, {"precision": "float64"}),
    "float16": ({}, {"precision": "float16"}),
    "bfloat16": ({}, {"precision": "bfloat16"}),
    "gradients": ({}, {"gradients": True}),
    "gradients-stack-bidirectional-lengths": (_EVERYTHING, {"gradients": True, "ragged": True}),
    "projection": ({"proj_size": 2}, {}),
    "peepholes": ({"peepholes": True}, {}),
    "cell-clip": ({"cell_clip": 1.0}, {}),
    "coupled-gates": ({"coupling": "f=1-i"}, {}),
    "hard-sigmoid": ({"gate_activation": "hard_sigmoid:0.2,0.5"}, {}),
}

#: Features of padding, outputs and calls, and options of cells that no case above has; most adapters refuse most.
_FEATURES = {
    row.name: row
    for row in FEATURES
    if row.name not in CASES and (row.group in ("padding", "outputs", "calls") or row.name in ("gate-clip", "relu"))
}
#: A vector: exchanged axes and transposed kernels raise no shape error, and weights printed with six digits show.
EQUAL_SIZES = "equal-sizes"
NAMES = (*CASES, EQUAL_SIZES, *_FEATURES)

#: Rows that are no outputs, and have a test of their own.
_BOOKKEEPING = ("weights", "parameters")


def case_named(name: str, seed: int = 0) -> Case:
    """A case of the table, or of a feature.

    >>> case_named("lengths").lengths.shape
    (3,)
    """
    if name in _FEATURES:
        return replace(_FEATURES[name].case(), id=name)
    if name == EQUAL_SIZES:
        return replace(next(candidates(Wanted(spec=LSTMSpec(4, 4), lengths=False))), id=name)
    spec, data = CASES[name]
    options = {key: value for key, value in data.items() if key != "change"}
    case = Case.random(LSTMSpec(**{**_PLAIN, **spec}), seed=seed, id=name, **options)
    return replace(case, **data.get("change", {}))


@dataclass
class Subject:
    """The adapter under test, with its report on every case so far."""

    name: str
    toolkit: Toolkit
    _reports: dict[str, Report] = field(default_factory=dict)

    def report(self, case: str) -> Report:
        """The judged answer to a case of the table, asked once."""
        if case not in self._reports:
            self._reports[case] = self.toolkit.verify(case_named(case), [self.name])
        return self._reports[case]

    def refuses(self, case: str) -> bool:
        """Whether the adapter calls a case unsupported."""
        return self.report(case).totals["unsupported"] > 0

    def supported(self, *cases: str) -> list[str]:
        """Those cases that it runs; skips the test without any."""
        found = [case for case in cases or NAMES if not self.refuses(case)]
        if not found:
            pytest.skip(f"{self.name} runs none of the cases {', '.join(cases or NAMES)}")
        return found

    def wrong(self, case: str) -> list[Row]:
        """Outputs and gradients that do not match in a case."""
        rows = self.report(case).rows
        return [row for row in rows if row.verdict != "match" and row.quantity not in _BOOKKEEPING]

    def run(self, case: Case) -> Result:
        """One more run, not judged."""
        return self.toolkit.run(self.name, case)

    def rows(self, quantity: str) -> Iterator[tuple[str, Row | None]]:
        """The row of a quantity in each case that matches or not."""
        for case in self.supported():
            report = self.report(case)
            if not report.totals["crashed"]:
                yield case, next((row for row in report.rows if row.quantity == quantity), None)


@pytest.fixture(scope="module")
def subject(xcheck_adapter: str, lstm_xcheck: Toolkit) -> Subject:
    """The adapter under test."""
    return Subject(xcheck_adapter, lstm_xcheck)


@pytest.fixture(scope="module")
def observed(xcheck_adapter: str) -> Iterator[Worker]:
    """The same adapter in another worker, observed."""
    with Worker(observed_entry(entry_named(xcheck_adapter))) as worker:
        worker.start()
        yield worker


def test_adapters_that_were_asked_for_are_installed(pytestconfig: pytest.Config) -> None:
    """Tests of a missing framework are skipped, which must not look like success."""
    if not (pytestconfig.getoption("--xcheck-adapters") or pytestconfig.getini("xcheck_adapters")):
        pytest.skip("no adapter was asked for by name; every installed one is tested")
    missing = [reason for name in adapters_of(pytestconfig, None) if (reason := why_missing(name))]
    assert not missing, "; ".join(missing)


def test_layout_is_that_of_its_row(xcheck_adapter: str, observed: Worker) -> None:
    """Weights are converted by this layout, ports proven by that of the row."""
    rows = {row.name for row in TABLE}
    assert observed.layout in rows, f"layout is {observed.layout!r}, but should be one of {', '.join(sorted(rows))}"
    entry = entry_named(xcheck_adapter)
    expected = entry.layout or (entry.name if entry.name in rows else observed.layout)
    assert observed.layout == expected, f"layout is {observed.layout}, but its row says {expected}"


def test_versions_are_text(observed: Worker) -> None:
    """A report without the versions that computed proves little."""
    versions = observed.environment
    assert versions, "environment() names no package"
    wrong = {name: text for name, text in versions.items() if not isinstance(text, str) or not text.strip()}
    assert not wrong, f"versions are no text: {wrong}"


@pytest.mark.parametrize("case", NAMES)
def test_case(subject: Subject, case: str) -> None:
    """Outputs, states and gradients match, or the case is refused with a reason."""
    report = subject.report(case)
    if subject.refuses(case):
        reason = report.rows[0].reason
        assert len(reason.split()) > 1, f"{reason!r} is no reason; say what the framework lacks"
        pytest.skip(f"unsupported: {reason}")
    wrong = [f"{row.verdict}: {row.reason}" for row in subject.wrong(case)]
    assert not wrong, "\n".join([*wrong, *report.causes])
    compared = {row.quantity.partition(":")[0] for row in report.rows}
    assert "grad" in compared or not case_named(case).gradients, "gradients were asked for, but none were compared"
    asked = case_named(case)
    assert "last" in compared or asked.returns != "last", "the last output was asked for, but was not compared"
    assert "merged" in compared or asked.merge == "concat", "merged halves were asked for, but were not compared"


def test_something_runs(subject: Subject) -> None:
    """An adapter that refuses everything would pass every other test."""
    reasons = {row.reason for case in NAMES for row in subject.report(case).rows if subject.refuses(case)}
    assert not all(map(subject.refuses, NAMES)), f"every case is unsupported: {'; '.join(sorted(reasons))}"


def test_weights_come_back_bit_for_bit(subject: Subject) -> None:
    """The model holds what was loaded."""
    _require_matches(subject.rows("weights"), "read_back returned nothing")


def test_parameter_count_is_that_of_the_layout(subject: Subject) -> None:
    """The framework's own count agrees with the formula."""
    _require_matches(subject.rows("parameters"), "no parameters were counted")


def test_weights_of_another_seed_are_seen(subject: Subject) -> None:
    """The model computes with what was loaded last, and the judge can tell."""
    cases = subject.supported("plain", "single-bias", "no-bias", "lengths")
    right = [name for name in cases if not subject.wrong(name)]
    if not right:
        pytest.skip(f"{subject.name} answers none of the cases {', '.join(cases)} as it should")
    for name in right:
        case = case_named(name)
        other = replace(case, weights=LSTMWeights.random(case.spec, seed=1, dtype=case.precision), id="other-weights")
        subject.run(case)
        result = subject.run(other)
        found = judge(result, other, adapter=subject.name)
        assert found.verdict == "match", f"after weights of another seed were loaded: {found}"
        assert judge(result, case, adapter=subject.name).verdict == "mismatch", "other weights give the same outputs"


def test_a_case_run_again_gives_the_same_bits(subject: Subject) -> None:
    """A, B, A: no state of one run leaks into the next."""
    for name in subject.supported("plain", "no-states", "lengths", "stack-bidirectional-lengths"):
        first = subject.run(case_named(name))
        subject.run(case_named(name, seed=1))
        _require_same_bits(first, subject.run(case_named(name)), f"{name}, run again after another case")


def test_a_refused_case_leaves_it_usable(subject: Subject) -> None:
    """A case that is refused changes nothing."""
    refused = [case for case in NAMES if subject.refuses(case)]
    if not refused:
        pytest.skip(f"{subject.name} refuses none of the cases")
    (name, *_) = subject.supported()
    first = subject.run(case_named(name))
    for other in refused:
        with pytest.raises(Unsupported):
            subject.run(case_named(other))
        _require_same_bits(first, subject.run(case_named(name)), f"{name}, run again after {other} was refused")


def test_outputs_do_not_alias(subject: Subject, observed: Worker) -> None:
    """A second run does not change the first result."""
    _each(subject, lambda case: observed.run(case.with_id(ALIASING)))


def test_inputs_are_not_written_to(subject: Subject, observed: Worker) -> None:
    """The judge reads the same arrays later."""
    _each(subject, lambda case: observed.run(case.with_id(INPUTS)))


def _each(subject: Subject, run: Callable[[Case], Result]) -> None:
    """Run each of some different cases that the adapter supports."""
    for name in subject.supported("plain", "no-states", "single-bias", "lengths", "stack-bidirectional-lengths"):
        run(case_named(name))


def _require_matches(rows: Iterator[tuple[str, Row | None]], none: str) -> None:
    wrong = [
        f"{case}: {none if row is None else row.reason}" for case, row in rows if row is None or row.verdict != "match"
    ]
    assert not wrong, "\n".join(wrong)


def _require_same_bits(first: Result, again: Result, when: str) -> None:
    for name in ("y", "h_n", "c_n"):
        before, after = (np.asarray(getattr(result, name)) for result in (first, again))
        assert before.tobytes() == after.tobytes(), f"{when}: {name} has other bits"
