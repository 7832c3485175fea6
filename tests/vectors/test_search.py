"""The vectors are few and small, their kills are real, and honest arithmetic passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.diagnose import CATALOGUE
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.errors import SpecError, UserError
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.vectors import Statement, Vector, Wanted, cover, expected_outputs, find_vectors
from lstm_xcheck.vectors.expected import OUTPUTS
from lstm_xcheck.vectors.kills import is_killed, mutants_of

from .sets import Answer, honest_answers, planted_answers, vectors_named

ALL = ["one case", "lengths", "bidirectional", "options", "streaming", "two layers", "onnx"]
PLAIN = LSTMSpec(input_size=1, hidden_size=1)


def is_right(vector: Vector, answer: Answer) -> bool:
    """Whether every number is within its allowed error, as a user would check it."""
    return all(
        bool((np.abs(answer[name] - vector.expected[name].value) <= vector.expected[name].allowed).all())
        for name in OUTPUTS
    )


@pytest.mark.parametrize("name", ALL)
def test_honest_arithmetic_passes_and_every_claimed_kill_fails(name: str) -> None:
    vectors = vectors_named(name)
    for vector in vectors.vectors:
        assert all(is_right(vector, answer) for answer in honest_answers(vector))
        passed = [key for key, answer in planted_answers(vectors, vector) if is_right(vector, answer)]
        assert passed == []


@pytest.mark.parametrize("name", ALL)
def test_everything_that_can_be_killed_is(name: str) -> None:
    vectors = vectors_named(name)
    assert vectors.kills == vectors.killable
    left = set(vectors.mutants) - vectors.killable
    assert set(Statement(vectors).not_killable) == left
    assert not {m.id for m in CATALOGUE if m.family == "gates" and not m.id.endswith("-b")} & left


@pytest.mark.parametrize(
    ("name", "cases", "most_bytes", "kills"),
    [
        ("one case", 1, 1500, 252),
        ("lengths", 2, 4096, 265),
        ("bidirectional", 2, 5000, 650),
        ("streaming", 2, 2048, 230),
        ("two layers", 2, 4096, 636),
    ],
)
def test_vectors_are_few_and_small(name: str, cases: int, most_bytes: int, kills: int) -> None:
    vectors = vectors_named(name)
    assert len(vectors.vectors) <= cases
    assert vectors.size <= most_bytes
    assert len(vectors.kills) >= kills


def test_mistakes_are_planted_in_every_cell_alone() -> None:
    vectors = vectors_named("bidirectional")
    alone = {key for key in vectors.kills if " in " in key}
    of_cells = [m.id for m in CATALOGUE if m.cell is not None and m.id in vectors.kills]
    assert {key.partition(" in ")[2] for key in alone} == {"0.0", "0.1"}
    assert len(alone) >= 2 * len(of_cells) - 4
    one = mutants_of(PLAIN)
    assert len(one) == len(CATALOGUE)


def test_digits_show_in_every_layer_alone() -> None:
    assert {f"weights-6-digits in {layer}.0" for layer in (0, 1)} <= vectors_named("two layers").kills


def test_a_bound_that_is_not_finite_is_refused() -> None:
    spec = LSTMSpec(input_size=4, hidden_size=4, num_layers=2, bidirectional=True)
    with pytest.raises(SpecError, match=r"the error bound of .* is not finite, so every answer would be allowed"):
        expected_outputs(Case.random(spec, steps=40, batch=1))


def test_wider_tolerances_lose_power_and_say_so() -> None:
    vectors = vectors_named("one case")
    statement = Statement(vectors)
    lost = vectors.kills - statement.power_when_approximate
    assert {"weights-6-digits", "x-float16"} <= lost
    assert len(lost) < 0.05 * len(vectors.kills)
    vector = vectors.vectors[0]
    wide = expected_outputs(vector.case, 1e-3)
    assert all((wide[name].allowed >= np.float32(1e-3)).all() for name in OUTPUTS)
    for key in statement.power_when_approximate:
        assert is_killed(vector.case, wide, vectors.mutants[key])


def test_a_mistake_without_effect_is_not_claimed() -> None:
    case = vectors_named("one case").vectors[0].case
    expected = expected_outputs(case)
    nothing = replace(mistake_named("bias-dropped"), cell=lambda cell: cell)
    assert is_killed(case, expected, mistake_named("bias-dropped"))
    assert not is_killed(case, expected, nothing)


def test_a_mistake_near_the_bound_is_not_claimed() -> None:
    """One bound away is not enough: the mistaken implementation rounds as well."""
    case = vectors_named("one case").vectors[0].case
    expected = expected_outputs(case)

    def nudged(factor: float) -> bool:
        amount = {name: factor * right.allowed.astype(np.float64) for name, right in expected.items()}
        mistake = replace(
            mistake_named("h-c-exchanged"),
            outputs=lambda outputs, case: {
                n: a + amount.get(n, 0.0) if a.dtype == float else a for n, a in outputs.items()
            },
        )
        return is_killed(case, expected, mistake)

    assert not nudged(1.5)
    assert nudged(100.0)


def test_limits_are_kept_and_the_best_is_chosen() -> None:
    wanted = Wanted(spec=PLAIN, seeds=2)
    one = find_vectors(wanted, most_cases=1, progress=lambda doing: None)
    both = vectors_named("lengths")
    assert len(one.vectors) == 1
    assert 240 < len(one.kills) < len(both.kills)
    assert one.killable - one.kills
    assert any("not killed, for want of cases: " in line for line in Statement(one).lines())
    small = find_vectors(wanted, most_bytes=1100, progress=lambda doing: None)
    assert small.size <= 1100
    with pytest.raises(UserError, match=r"--budget-kb allows 100 bytes, but the smallest case has 1024; allow more"):
        find_vectors(wanted, most_bytes=100, progress=lambda doing: None)


def test_a_case_of_constant_weights_would_kill_few() -> None:
    """The search depends on designed weights: constant ones hide every order of gates in W."""
    vectors = vectors_named("one case")
    case = vectors.vectors[0].case
    cell = case.weights.layers[0][0].map(lambda array: np.full(array.shape, 0.1))
    dull = replace(case, weights=LSTMWeights(case.spec, ((cell,),), "float32"), id="dull")
    expected = expected_outputs(dull)
    assert len(cover.killed(dull, expected, vectors.mutants, vectors.kills)) < 0.5 * len(vectors.kills)
