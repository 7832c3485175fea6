"""The list of verdicts, their order of severity, and rows as JSON."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from lstm_xcheck.compare import VERDICTS, CountRow, Row, Verdict, worst_of

#: Most severe first.
ORDER = ("mismatch", "crashed", "suspect", "inconclusive", "match", "unsupported", "skipped")


def test_the_list_is_closed() -> None:
    assert VERDICTS == ("match", "suspect", "mismatch", "inconclusive", "unsupported", "crashed", "skipped")
    assert sorted(ORDER) == sorted(VERDICTS)


@pytest.mark.parametrize(("worse", "better"), list(combinations(ORDER, 2)))
def test_the_worse_of_two_wins_in_either_order(worse: str, better: str) -> None:
    assert worst_of([better, worse]) == worse  # type: ignore[list-item]
    assert worst_of([worse, better, better]) == worse  # type: ignore[list-item]


def test_no_verdict_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was compared"):
        worst_of([])
    with pytest.raises(ValueError, match="nothing was compared"):
        _ = Verdict(()).verdict


def test_a_verdict_is_that_of_its_worst_row() -> None:
    rows = tuple(Row("case", "adapter", "y", verdict) for verdict in ("match", "suspect", "match"))  # type: ignore[arg-type]
    assert Verdict(rows).verdict == "suspect"


@pytest.mark.parametrize(
    ("value", "written"), [(None, None), (0.25, 0.25), (float("inf"), "inf"), (float("nan"), "nan")]
)
def test_every_row_can_be_written_as_strict_json(value: float | None, written: object) -> None:
    row = Row("case", "torch", "y", "mismatch", value, value, (0, 1, 2), "why", "rms")
    data = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert data == {
        "case": "case", "adapter": "torch", "quantity": "y", "verdict": "mismatch", "max_abs": written,
        "score": written, "worst": [0, 1, 2], "reason": "why", "decided_by": "rms", "precision": "",
    }  # fmt: skip


def test_a_count_is_written_with_its_explanation() -> None:
    assert CountRow("case", "torch", 16, 12, "why").to_dict() == {
        "case": "case", "adapter": "torch", "native": 16, "canonical": 12, "explanation": "why",
    }  # fmt: skip
