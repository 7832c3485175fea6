"""Two mistakes at once are named."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.diagnose import CATALOGUE, Mistake, diagnose
from lstm_xcheck.diagnose.mistake import run_mistakes
from lstm_xcheck.model import Case, LSTMSpec, Result

from .cases import CASES, HONEST, answer, named, same


def draw_pairs(count: int) -> list[tuple[str, str, str]]:
    """Case and two ids, each mistake visible alone and together."""
    rng = np.random.default_rng(7)
    found: list[tuple[str, str, str]] = []
    names = [name for name in CASES if name != "length-0"]  # mistakes at length 0 are named alone, in test_naming
    entries = [mistake for mistake in CATALOGUE if not mistake.id.startswith("length-0")]
    while len(found) < count:
        name = str(rng.choice(names))
        first, second = (entries[int(k)] for k in rng.choice(len(entries), size=2, replace=False))
        runs = [run_mistakes(mistakes, CASES[name]) for mistakes in ([first], [second], [first, second])]
        everything = [*runs, HONEST[name]]
        distinct = all(not same(a, b) for k, a in enumerate(everything) for b in everything[:k])
        if all(run is not None for run in runs) and distinct and second.family != "precision" != first.family:
            found.append((name, first.id, second.id))
    return found


def explains(ids: tuple[str, ...], pair: list[Mistake], name: str) -> bool:
    truth = run_mistakes(pair, CASES[name])
    return any(same(run_mistakes(named(*order), CASES[name]), truth) for order in (ids, ids[::-1]))


@pytest.mark.parametrize(("name", "first", "second"), draw_pairs(15))
def test_the_true_pair_is_among_the_explanations(name: str, first: str, second: str) -> None:
    pair = named(first, second)
    found = diagnose(answer(pair, CASES[name]), CASES[name])
    explanations = [found.mistakes, *(tuple(other["mistakes"]) for other in found.alternatives)]
    assert any(explains(ids, pair, name) for ids in explanations), (explanations, found.explanation)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("gates-iofg", "bias-hh-dropped"),
        ("h0-ignored", "gates-igfo"),
        ("reads-backward", "bias-doubled"),
        ("hard-sigmoid-keras2", "bias-plus-1-f"),
        ("c0-ignored", "h-c-exchanged"),
        ("output-linear", "candidate-relu"),
        ("gates-fiog", "bias-minus-1-f"),
    ],
)
def test_a_pair_is_named_with_both_remedies(first: str, second: str) -> None:
    case, pair = CASES["plain"], named(first, second)
    found = diagnose(answer(pair, case), case)
    assert found.cause is not None and " and " in found.cause
    assert explains(found.mistakes, pair, "plain")
    for mistake in named(*found.mistakes):
        assert mistake.fix in found.fix


@pytest.mark.parametrize("ids", [("bias-ih-dropped", "states-carried-over"), ("states-carried-over", "u-transposed")])
def test_states_carried_over_are_named_whichever_weights_the_earlier_call_had(ids: tuple[str, str]) -> None:
    case = CASES["plain"]
    assert diagnose(answer(named(*ids), case), case).mistakes == ids


@pytest.mark.parametrize("second", ["gates-iofg", "u-transposed"])
def test_merged_directions_with_wrong_weights_are_named(second: str) -> None:
    pair = named("merge-sum", second)
    found = diagnose(answer(pair, CASES["bidirectional"]), CASES["bidirectional"])
    assert explains(found.mistakes, pair, "bidirectional")


@pytest.mark.parametrize("ids", [("bias-hh-doubled", "states-batch-reversed"), ("gates-iofg-u", "candidate-linear")])
def test_a_pair_is_named_from_final_states_alone(ids: tuple[str, str]) -> None:
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4, num_layers=2), steps=5, seed=1)
    result = answer(named(*ids), case)
    assert diagnose(Result(h_n=result.h_n, c_n=result.c_n), case).mistakes == ids


def test_one_mistake_is_never_explained_by_two() -> None:
    case = CASES["plain"]
    assert diagnose(answer(named("gates-iofg"), case), case).mistakes == ("gates-iofg",)


def test_pairs_are_searched_for_only_on_request() -> None:
    case = CASES["plain"]
    result = answer(named("gates-iofg", "bias-hh-dropped"), case)
    assert diagnose(result, case, pairs=False).cause is None
