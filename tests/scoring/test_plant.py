"""A planted mistake: what it adds to a call, and when it adds nothing."""

from __future__ import annotations

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.errors import UserError
from lstm_xcheck.oracle import forward
from lstm_xcheck.scoring import HOSTS
from lstm_xcheck.scoring.plant import OUTPUTS, Plant
from lstm_xcheck.scoring.score import vectors_of

CASE = lx.Case.random(lx.LSTMSpec(4, 4), steps=3, batch=2, seed=1)
ZERO = lx.Case.random(lx.LSTMSpec(4, 4), steps=3, batch=2, seed=1, states=False)


def planted(id: str, *, loud: bool = False) -> Plant:
    plant = Plant()
    plant.set(mistake_named(id), loud=loud)
    return plant


@pytest.mark.parametrize("id", ["gates-iofg", "h0-c0-exchanged", "output-reversed", "hard-sigmoid-keras2"])
def test_what_is_added_makes_the_right_outputs_the_mistaken_ones(id: str) -> None:
    plant, right = planted(id), observed_quantities(forward(CASE))
    added, mistaken = plant.changes(lambda: CASE), run_mistakes([mistake_named(id)], CASE)
    assert added is not None
    assert mistaken is not None
    for name in OUTPUTS:
        np.testing.assert_allclose(right[name] + added[name], mistaken[name], rtol=0, atol=1e-12)
    assert (plant.calls, plant.applied, plant.changed) == (1, 1, 1)


def test_a_loud_mistake_is_gross_exactly_where_it_changes_a_number() -> None:
    quiet, loud = (planted("output-reversed", loud=loud).changes(lambda: CASE) for loud in (False, True))
    assert quiet is not None
    assert loud is not None
    assert (loud["y"] == np.where(quiet["y"] == 0.0, 0.0, 1000.0)).all()
    assert not loud["y"][:, 1].any()
    assert not loud["h_n"].any()


def test_no_room_and_no_effect_are_told_apart() -> None:
    plant = planted("halves-exchanged")
    assert plant.changes(lambda: CASE) is None
    assert (plant.applied, plant.changed) == (0, 0)
    plant = planted("bias-dropped")
    flat = lx.LSTMWeights.random(CASE.spec, seed=1, init="keras")  # whose second bias is 0
    assert plant.changes(lambda: lx.Case(weights=flat, x=CASE.x)) is not None
    plant.set(mistake_named("bias-hh-dropped"), loud=False)
    assert plant.changes(lambda: lx.Case(weights=flat, x=CASE.x)) is None
    assert (plant.applied, plant.changed) == (1, 0)


def test_mistakes_around_the_steps_are_not_made_in_each_step() -> None:
    assert planted("h0-c0-exchanged").changes(lambda: CASE, of_step=True) is None
    assert planted("gates-iofg").changes(lambda: CASE, of_step=True) is not None


def test_a_mistake_that_gives_another_shape_is_not_planted() -> None:
    case = lx.Case.random(lx.LSTMSpec(4, 4, bidirectional=True), steps=3, batch=2, seed=1)
    assert planted("merge-sum").changes(lambda: case) is None
    assert "merge-sum" not in vectors_of(HOSTS["torch"])


def test_a_mistake_is_idle_if_no_call_that_was_seen_shows_it() -> None:
    plant = Plant()
    assert plant.changes(lambda: ZERO) is None
    assert plant.is_idle(mistake_named("states-ignored"))
    assert not plant.is_idle(mistake_named("gates-iofg"))
    plant.changes(lambda: CASE)
    assert not plant.is_idle(mistake_named("states-ignored"))


def test_a_call_that_is_no_case_is_counted() -> None:
    def refuse() -> lx.Case:
        raise UserError("random dropout")

    plant = planted("gates-iofg")
    assert plant.changes(refuse) is None
    assert (plant.calls, plant.unknown) == (1, 1)


def test_every_mistake_that_counts_has_a_call_that_shows_it() -> None:
    counts = {name: set(vectors_of(host)) for name, host in HOSTS.items()}
    assert {name: len(ids) for name, ids in counts.items()} == {"torch": 285, "keras": 257, "jax": 218, "onnx": 282}
    assert {"bias-hh-dropped", "halves-exchanged", "rows-left-sorted"} <= counts["torch"]
    assert "bias-hh-dropped" not in counts["keras"]  # one bias
    assert not {"states-ignored", "lengths-ignored", "output-reversed"} & counts["jax"]  # single steps
    assert "peepholes-dropped" in counts["onnx"] - counts["torch"]
