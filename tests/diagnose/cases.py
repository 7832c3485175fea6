"""Cases on which, together, every mistake applies and shows."""

from __future__ import annotations

from functools import cache
from typing import Any

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Mistake
from lstm_xcheck.diagnose.mistake import Outputs, result_from, run_mistakes
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS3
from lstm_xcheck.oracle import forward

from ..helpers import ROOT, load_file

#: Honest float32 in several orders of summation, for everything a spec can say.
float32_lstm = load_file(ROOT / "benchmarks" / "float32_lstm.py")
same = load_file(ROOT / "benchmarks" / "same_thing.py").same

_SPECS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "square": ({"input_size": 6, "hidden_size": 6}, {"steps": 5, "batch": 5}),
    "ragged": ({}, {"ragged": True, "batch": 4}),
    "held": ({}, {"ragged": True, "batch": 4, "padding": "held"}),
    "length-0": ({}, {"ragged": "zero", "batch": 4}),
    "bidirectional": ({"bidirectional": True}, {}),
    "stack": ({"input_size": 8, "hidden_size": 4, "num_layers": 3, "bidirectional": True}, {}),
    "projection": ({"proj_size": 3, "cell_clip": 1.5}, {}),
    "peepholes": ({"peepholes": True}, {}),
    "gate-clip": ({"gate_clip": 1.2, "bias": "single"}, {}),
    "coupled": ({"coupling": "f=1-i"}, {}),
    "hard-sigmoid": ({"gate_activation": HARD_SIGMOID_KERAS3}, {}),
    "relu": ({"cell_activation": "relu", "output_activation": "relu", "gate_activation": HARD_SIGMOID_KERAS3}, {}),
    "zero-states": ({"bidirectional": True}, {"states": False, "batch": 4}),
    "double": ({}, {"precision": "float64"}),
}


def _case(name: str) -> Case:
    spec, data = _SPECS[name]
    return Case.random(
        LSTMSpec(**{"input_size": 4, "hidden_size": 7, **spec}), seed=11, id=name, **{"steps": 6, "batch": 3, **data}
    )


CASES = {name: _case(name) for name in _SPECS}
HONEST = {name: observed_quantities(forward(case)) for name, case in CASES.items()}


@cache
def run_alone(id: str, name: str) -> Outputs | None:
    """The float64 outputs with one mistake on one of `CASES`."""
    return run_mistakes(named(id), CASES[name])


def others_than(mistake: Mistake, case: Case) -> list[Mistake]:
    """The catalogue without a mistake and its equals on a case."""
    truth = run_alone(mistake.id, case.id)
    return [m for m in CATALOGUE if m.id != mistake.id and not same(run_alone(m.id, case.id), truth)]


@cache
def where_it_shows(mistake: Mistake) -> Case | None:
    """The first case on which a mistake shows."""
    for name, case in CASES.items():
        if run_alone(mistake.id, name) is not None and judge(answer([mistake], case), case).verdict == "mismatch":
            return case
    return None


def answer(mistakes: list[Mistake], case: Case) -> Result:
    """Outputs with these mistakes, rounded to the case's precision."""
    outputs = run_mistakes(mistakes, case)
    assert outputs is not None, f"{[mistake.id for mistake in mistakes]} do not apply to {case.id}"
    return result_from({name: round_to(array, case.precision) for name, array in outputs.items()})


def named(*ids: str) -> list[Mistake]:
    """Entries by id."""
    known = {mistake.id: mistake for mistake in CATALOGUE}
    return [known[id] for id in ids]
