"""Wrong weights in right implementations are caught and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.diagnose import CATALOGUE, Mistake
from lstm_xcheck.model import Case, Result

from .checks import CASES, PEEPHOLES, assert_caught_and_named, of_weights, where_it_shows

Runner = Callable[[Case], Result]
OTHERS = ("keras-tensorflow", "keras-jax", "keras-torch", "jax")

#: torch 2.13.0 says so once, of projections.
pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

#: Mistakes of weights; peepholes only the scan has.
MISTAKES = [mistake for mistake in CATALOGUE if of_weights(mistake)]
OF_PEEPHOLES = [mistake for mistake in MISTAKES if mistake.id.startswith("peepholes")]
COMMON = [mistake for mistake in MISTAKES if mistake not in OF_PEEPHOLES]


def by_id(mistake: Mistake) -> str:
    return mistake.id


def check(run: Runner, mistake: Mistake, cases: list[Case]) -> None:
    """Load the wrong weights, judge by the right ones."""
    case = where_it_shows(mistake, cases)
    assert case is not None, f"{mistake.id} shows on none of {[case.id for case in cases]}"
    wrong = mistake.change_case(case)
    assert wrong is not None
    assert_caught_and_named(run(wrong), mistake, case)


def test_most_of_the_catalogue_is_about_weights() -> None:
    assert len(MISTAKES) > 150
    assert {mistake.family for mistake in MISTAKES} >= {
        "gates",
        "orientation",
        "bias",
        "layers",
        "direction",
        "precision",
    }


@pytest.mark.parametrize("mistake", COMMON, ids=by_id)
@pytest.mark.parametrize("kind", CASES)
def test_torch(torch_run: Runner, mistake: Mistake, kind: str) -> None:
    check(torch_run, mistake, CASES[kind])


@pytest.mark.parametrize("mistake", [m for m in COMMON if "projection" not in m.id], ids=by_id)
@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("name", OTHERS)
def test_another_backend(workers: Callable[[str], Runner], name: str, kind: str, mistake: Mistake) -> None:
    if name == "keras-jax" and mistake.id in ("weights-6-digits", "kernels-6-digits", "kernels-7-digits"):
        pytest.skip("shows in float64 alone, and Keras computes the tanh of a float64 layer in float32 on JAX")
    check(workers(name), mistake, [case for case in CASES[kind] if not case.spec.proj_size])


@pytest.mark.parametrize("mistake", OF_PEEPHOLES, ids=by_id)
def test_peepholes(workers: Callable[[str], Runner], mistake: Mistake) -> None:
    check(workers("jax"), mistake, [PEEPHOLES])


@pytest.mark.parametrize("case", [case for kind in CASES for case in CASES[kind]], ids=lambda case: case.id)
def test_the_right_weights_are_not_flagged(torch_run: Runner, case: Case) -> None:
    assert judge(torch_run(case), case).verdict == "match"


@pytest.mark.parametrize("name", OTHERS)
def test_the_right_weights_are_not_flagged_elsewhere(workers: Callable[[str], Runner], name: str) -> None:
    for case in CASES["probe"]:
        if not case.spec.proj_size:
            assert judge(workers(name)(case), case).verdict == "match", case.id
