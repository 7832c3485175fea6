"""When the benchmark counts two explanations as the same mistake."""

from __future__ import annotations

import pytest

from lstm_xcheck.diagnose import diagnose
from lstm_xcheck.diagnose.catalogue import CATALOGUE
from lstm_xcheck.diagnose.mistake import result_from, run_mistakes
from lstm_xcheck.model import Case, LSTMSpec

from .checks import SAME_THING, named

CASE = Case.random(LSTMSpec(4, 5), steps=4, batch=2, seed=1, init="torch")


@pytest.mark.parametrize(
    ("explanation", "truth", "same"),
    [
        (("bias-minus-1-f", "bias-plus-2-f"), ("bias-plus-1-f",), True),
        (("gates-iofg-w", "gates-iofg-u", "gates-iofg-b"), ("gates-iofg",), True),
        (("bias-ih-dropped", "bias-hh-dropped"), ("bias-dropped",), True),
        (("bias-plus-1-f",), ("bias-minus-1-f",), False),
        (("bias-plus-1-i",), ("bias-plus-1-f",), False),
        (("weights-6-digits",), ("weights-5-digits",), False),
        (("weights-6-digits",), ("x-bfloat16",), False),
        (("h-c-exchanged",), ("h-for-c",), False),
        (("bias-plus-1-f", "h-c-exchanged"), ("bias-plus-1-f",), False),
        (("hard-sigmoid-keras2",), ("hard-sigmoid-keras3",), False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else str(value),
)
def test_equal_explanations_are_recognised_by_their_effect(
    explanation: tuple[str, ...], truth: tuple[str, ...], same: bool
) -> None:
    made, done = [named(id) for id in explanation], [named(id) for id in truth]
    outputs = run_mistakes(done, CASE)
    assert SAME_THING.same_thing(made, done, CASE, outputs) is same


def test_two_constants_on_one_bias_are_not_offered_for_a_third() -> None:
    truth = named("bias-plus-1-f")
    outputs = run_mistakes([truth], CASE)
    assert outputs is not None
    others = [mistake for mistake in CATALOGUE if mistake is not truth]
    found = diagnose(result_from(outputs), CASE, catalogue=others)
    assert set(found.mistakes) != {"bias-minus-1-f", "bias-plus-2-f"}
