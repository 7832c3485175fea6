"""A small foreign error is not called a mistake of the catalogue that happens to fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import answer, diagnose
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.discrepancy import Discrepancy
from lstm_xcheck.diagnose.evidence import Evidence
from lstm_xcheck.diagnose.mistake import result_from, run_mistakes
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, LSTMWeights, Result
from lstm_xcheck.oracle import profile_named

from .cases import float32_lstm

#: One number of one array changed: regime, sizes (hidden, input, steps, batch), bias, array, index, factor - 1,
#: whether all quantities are observed, seed, initial states.
FOREIGN: dict[str, tuple[str, tuple[int, int, int, int], str, str, tuple[int, ...], float, bool, int, bool]] = {
    "one bias +6 %": ("tiny", (2, 2, 7, 1), "split", "b", (1, 1), 0.05623413251903491, False, 588891, True),
    "one W +6e-5": ("keras", (4, 5, 1, 1), "single", "W", (3, 1, 1), 5.623413251903491e-05, False, 988163, False),
    "one U +1e-4": ("keras", (4, 5, 1, 1), "none", "U", (2, 2, 2), 0.0001, False, 798793, True),
    "one bias +1.8 %": ("tiny", (2, 1, 2, 1), "split", "b_r", (1, 1), 0.01777827941003892, True, 989500, True),
    "one bias +18 %": ("saturated", (1, 2, 1, 1), "split", "b_r", (3, 0), 0.17782794100389228, True, 320069, True),
    "one U +6e-6": ("saturated", (1, 2, 1, 1), "single", "U", (3, 0, 0), 6.493816315762114e-06, False, 558755, True),
    "one W +3e-6": ("normal", (1, 2, 2, 1), "single", "W", (0, 0, 1), 3.1622776601683796e-06, True, 605782, False),
}


def foreign(name: str) -> tuple[Case, Result]:
    """A case, and float32 outputs computed with one number of one array changed."""
    init, (hidden, inputs, steps, batch), bias, array, index, size, everything, seed, states = FOREIGN[name]
    spec = LSTMSpec(input_size=inputs, hidden_size=hidden, bias=bias)
    case = Case.random(spec, init=init, seed=seed, steps=steps, batch=batch, states=states)
    arrays: dict[str, Any] = {key: np.array(value) for key, value in case.weights.layers[0][0].items()}
    arrays[array][index] = np.float32(arrays[array][index] * (1 + size))
    changed = LSTMWeights(spec, ((CellWeights(**arrays),),), "float32")
    result = float32_lstm.run(replace(case, weights=changed), "sequential")
    return case, result if everything else Result(y=result.y)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_error_near_the_bound_is_not_named(name: str) -> None:
    case, result = foreign(name)
    assert judge(result, case).verdict in ("mismatch", "suspect")
    found = diagnose(result, case)
    assert (found.cause, found.mistakes) == (None, ())
    assert found.explanation.startswith("No mistake of the catalogue ")
    assert all(entry["mistakes"] and entry["cause"] and entry["reason"] for entry in found.within_reach)


def test_what_would_fit_is_listed_as_within_reach() -> None:
    case, result = foreign("one bias +18 %")
    found = diagnose(result, case)
    assert found.within_reach
    assert found.explanation.startswith("No mistake of the catalogue is proven by these outputs.")


def test_without_evidence_a_foreign_error_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evidence, "lack", lambda self, mistakes, found, tried: "")
    named = [name for name in FOREIGN if diagnose(*reversed(foreign(name))).cause is not None]
    assert len(named) >= 2


def test_a_single_number_explains_its_own_error() -> None:
    case, result = foreign("one bias +1.8 %")

    evidence = Evidence(Discrepancy.of(observed_quantities(result), case, profile_named("float32")))
    assert evidence.honest is not None
    left = evidence.honest.forced.squares - evidence.gains.weight
    assert left < 0.01 * evidence.honest.forced.squares
    assert left < 5.0


def weak_recurrence() -> tuple[Case, Result]:
    """Tiny weights: of U transposed, only gate g shows beyond rounding."""
    case = Case.random(LSTMSpec(input_size=3, hidden_size=4), init="tiny", seed=1, steps=3, batch=2, states=False)
    outputs = run_mistakes([mistake_named("u-transposed")], case)
    assert outputs is not None
    return case, result_from({name: np.asarray(a, np.float32) for name, a in outputs.items() if name != "last"})


def test_rivals_that_rounding_cannot_tell_apart_are_not_named() -> None:
    case, result = weak_recurrence()
    found = diagnose(result, case, pairs=False)
    assert found.cause is None
    reach = {tuple(entry["mistakes"]): entry["reason"] for entry in found.within_reach}
    assert {("u-transposed",), ("u-transposed-g",)} <= reach.keys()
    assert reach[("u-transposed",)].startswith("another mistake explains these outputs as well")


def test_without_rivals_one_of_them_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_is_rival", lambda other, best: False)
    case, result = weak_recurrence()
    assert diagnose(result, case, pairs=False).cause is not None
