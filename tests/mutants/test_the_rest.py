"""The other entries, made with real backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Mistake
from lstm_xcheck.diagnose.detection_power import power
from lstm_xcheck.diagnose.mistake import result_from
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights, Result

pytest.importorskip("torch")  # the two modules below need it

from ..diagnose.cases import CASES
from . import test_semantics, test_weights
from .checks import assert_caught_and_named

Runner = Callable[[Case], Result]

ELSEWHERE = {
    *(mistake.id for mistake in test_weights.MISTAKES),
    *test_semantics.CALLS,
    *test_semantics.LENGTHS,
    *test_semantics.OF_LAYERS,
    *test_semantics.FUNCTIONS,
}
REST = [mistake for mistake in CATALOGUE if mistake.id not in ELSEWHERE]
#: torch 2.13.0 says so once, of projections.
pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]
SMALL = {"double"}  # in float64 the rest of the catalogue is run by the other files


def each_direction_alone(case: Case, wrong: Case, run: Runner) -> Result:
    """Two LSTMs of one direction, reading as the wrong one."""
    halves = []
    for direction, row in enumerate(case.weights.layers[0]):
        spec = LSTMSpec(**{**case.spec.to_dict(), "bidirectional": False})
        x, backward = np.asarray(case.x), wrong.spec.is_backward(direction)
        states = {name: getattr(case, name)[[direction]] for name in ("h0", "c0")}
        weights = LSTMWeights(spec, ((row,),), case.weights.dtype)
        own = Case(weights=weights, x=x[:, ::-1] if backward else x, **states)
        result = run(own)
        halves.append(replace(result, y=np.asarray(result.y)[:, ::-1]) if backward else result)
    y = np.concatenate([np.asarray(half.y) for half in halves], axis=-1)
    states = [np.concatenate([getattr(half, name) for half in halves]) for name in ("h_n", "c_n")]
    return Result(y=y, h_n=states[0], c_n=states[1])


def answers(mistake: Mistake, torch_run: Runner, workers: Callable[[str], Runner]) -> Iterator[tuple[Case, Result]]:
    """Results of real backends with this mistake, where it shows."""
    for name, case in CASES.items():
        wrong = mistake.change_case(case)
        if name in SMALL or wrong is None or mistake.id not in power(case, [mistake]).caught:
            continue
        for run in (torch_run, workers("jax")):
            try:
                plain = type(wrong.spec) is LSTMSpec
                result = run(wrong) if plain else each_direction_alone(case, wrong, run)
            except Unsupported:
                continue
            outputs = observed_quantities(result)
            made = outputs if mistake.outputs is None else mistake.outputs(outputs, case)
            if made is not None:
                yield case, result_from(made)


@pytest.mark.parametrize("mistake", REST, ids=lambda mistake: mistake.id)
def test_it_is_caught_and_named(mistake: Mistake, torch_run: Runner, workers: Callable[[str], Runner]) -> None:
    found = next(answers(mistake, torch_run, workers), None)
    assert found is not None, f"no backend can be made to make {mistake.id} where it shows"
    case, result = found
    assert_caught_and_named(result, mistake, case)


def test_every_entry_is_run_by_one_file_or_another() -> None:
    assert {mistake.id for mistake in CATALOGUE} == ELSEWHERE | {mistake.id for mistake in REST}
    assert not ELSEWHERE & {mistake.id for mistake in REST}
    assert {mistake.id for mistake in CATALOGUE} >= ELSEWHERE
