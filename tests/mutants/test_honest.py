"""A thousand honest runs are not flagged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.model.initializers import INITIALIZERS

pytestmark = pytest.mark.framework

Runner = Callable[[Case], Result]

#: Few shapes, so that one compilation serves many seeds; all the ways there are to draw weights.
SHAPES = [
    (LSTMSpec(input_size=3, hidden_size=5), {"steps": 9, "batch": 2}),
    (
        LSTMSpec(input_size=4, hidden_size=4, bidirectional=True, bias="single"),
        {"steps": 4, "batch": 4, "ragged": True},
    ),
    (LSTMSpec(input_size=2, hidden_size=6, num_layers=2), {"steps": 5, "batch": 2, "states": False}),
    (LSTMSpec(input_size=1, hidden_size=1, bias="none"), {"steps": 12, "batch": 1}),
]
SEEDS = 12


def cases() -> Iterator[Case]:
    for spec, data in SHAPES:
        for init in INITIALIZERS:
            for seed in range(SEEDS):
                scale = (0.01, 1.0, 1.0, 30.0)[seed % 4]
                yield Case.random(spec, seed=seed, init=init, scale=scale, id=f"{init}-{seed}", **data)  # type: ignore[arg-type]


def test_a_thousand_honest_runs_are_not_flagged(torch_run: Runner, workers: Callable[[str], Runner]) -> None:
    jax_run, flagged, count = workers("jax"), [], 0
    for case in cases():
        for name, run in (("torch", torch_run), ("jax", jax_run)):
            verdict = judge(run(case), case)
            count += 1
            if verdict.verdict != "match":
                flagged.append((name, case.id, [row.reason for row in verdict.rows if row.verdict != "match"]))
    assert count == 2 * len(SHAPES) * len(INITIALIZERS) * SEEDS
    assert count >= 1000
    assert flagged == []
