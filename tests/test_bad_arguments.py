"""Public functions refuse meaningless arguments with one sentence, before any work."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, choose_entries
from lstm_xcheck.errors import NothingComparedError, SpecError, UserError
from lstm_xcheck.workers.pool import Worker

CASE = lx.Case.random(lx.LSTMSpec(input_size=2, hidden_size=2), steps=2, batch=1)
ENTRY = Entry("one", "one:One")


def zeros(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
    return np.zeros((1, 2, 2), x.dtype), h0, c0


def leave(*_: Any) -> NoReturn:
    sys.exit(3)


def test_one_case_alone_is_as_good_as_a_list_of_one() -> None:
    assert lx.verify(CASE, {"zeros": zeros}).totals["planned"] == 1
    assert lx.verify(lx.grid(hidden=1)[0], {"zeros": zeros}).totals["planned"] == 1


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: lx.verify([1], {"zeros": zeros}), "got a int, but this should be a lstm_xcheck.Case"),  # type: ignore[list-item]
        (lambda: lx.run("torch", 1), "got a int, but this should be a lstm_xcheck.Case"),  # type: ignore[arg-type]
        (lambda: lx.judge(None, CASE), "got a NoneType, but this should be a lstm_xcheck.Result"),  # type: ignore[arg-type]
        (lambda: lx.judge(CASE, CASE), "got a Case, but this should be a lstm_xcheck.Result"),  # type: ignore[arg-type]
        (lambda: lx.verify_grid(lx.grid(hidden=1), executor=3), "executor is a int, but should be"),  # type: ignore[arg-type]
    ],
)
def test_things_of_another_kind_are_named(call: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        call()


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), "3", None])
def test_a_time_limit_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(UserError, match=r"the timeout is .*, but should be seconds, more than 0"):
        Plan((CASE,), (ENTRY,), timeout=timeout)
    with pytest.raises(UserError, match="but should be seconds, more than 0"):
        Worker(ENTRY, timeout=timeout)


def test_no_adapter_named_is_not_taken_for_no_framework_installed() -> None:
    with pytest.raises(NothingComparedError, match="no adapter is named"):
        choose_entries([])


def test_one_name_is_not_taken_for_its_letters() -> None:
    with pytest.raises(UserError, match="unknown adapter 'nobody'"):
        lx.verify(CASE, "nobody")


def test_a_requirement_inside_a_package_that_is_missing_is_missing() -> None:
    assert Entry("a", "a:A", requires=("no_such_package.part", "numpy", "numpy.linalg")).missing() == [
        "no_such_package.part"
    ]


def test_a_function_that_leaves_is_a_crashed_row() -> None:
    report = lx.verify(CASE, {"leave": leave, "zeros": zeros})
    assert [row.verdict for row in report.rows if row.adapter == "leave"] == ["crashed"]
    assert "raised SystemExit: 3" in report.rows[0].reason
    assert report.totals["planned"] == 2
