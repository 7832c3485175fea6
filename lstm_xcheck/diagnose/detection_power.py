"""Detection power: the mistakes that a match rules out.

The LSTM with each mistake of the catalogue is run in float64 and its outputs are scored by the usual bound. A score
above 2 is caught for certain: an honest result may use up one bound, and the rounding of the faulty one another. Most
mistakes show at the first step, where the states are known and no run is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compare.reference import observed_quantities, references
from ..model import Case
from ..oracle import forward, profile_named, teacher_force
from .catalogue import CATALOGUE
from .cell_mutants import CellMutants
from .fit import direction_half, largest_ratio, layer_outputs
from .mistake import Mistake, Outputs, applicable_mistakes, output_name, run_mistakes
from .prefilter import observed_window

#: Caught for certain beyond this many bounds.
CERTAIN = 2.0
#: What the oracle's own rounding comes to, in bounds of float32.
_ORACLE_ROUNDING = 1e-6
#: Larger cases, in multiplications of a run, get no statement: a probe of the same spec proves as much.
_MOST_WORK = 4_000_000


@dataclass(frozen=True)
class Power:
    """The detection power of one case.

    Attributes:
        caught: ids of the mistakes that would certainly have been caught.
        blind: ids of those that make no difference beyond rounding on this case, with the reason.
        uncertain: ids of those whose effect is near the bound.
        not_applicable: how many entries do not apply to this spec, such as exchanged directions of one direction.
    """

    case: str
    caught: tuple[str, ...]
    blind: dict[str, str]
    uncertain: tuple[str, ...]
    not_applicable: int

    @property
    def sentence(self) -> str:
        """One sentence for a report."""
        total = len(self.caught) + len(self.blind) + len(self.uncertain)
        text = f"would have caught {len(self.caught)} of {total} mistakes"
        if self.blind:
            first = [f"{name} ({why})" for name, why in list(self.blind.items())[:4]]
            more = f" and {len(self.blind) - 4} more" if len(self.blind) > 4 else ""
            text += f"; blind here to {', '.join(first)}{more}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lists = {"caught": list(self.caught), "uncertain": list(self.uncertain)}
        return {**vars(self), **lists, "sentence": self.sentence}


def power(case: Case, catalogue: Sequence[Mistake] = CATALOGUE) -> Power:
    """State what a match on this case proves.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> "gates-iofg" in power(Case.random(LSTMSpec(input_size=3, hidden_size=4))).caught
    True
    """
    honest = observed_quantities(forward(case))
    certain = _caught_at_first_step(case, honest, catalogue)
    caught, uncertain, blind, inapplicable = [], [], {}, 0
    for mistake in catalogue:
        score = CERTAIN + 1.0 if mistake.id in certain else _score(mistake, case)
        if score is None:
            inapplicable += 1
        elif score > CERTAIN:
            caught.append(mistake.id)
        elif score > 0.5:
            uncertain.append(mistake.id)
        else:
            blind[mistake.id] = _why_blind(mistake, case, score)
    return Power(case.id, tuple(caught), blind, tuple(uncertain), inapplicable)


def is_small(case: Case) -> bool:
    """Whether stating the power is cheap beside a verification."""
    spec = case.spec
    cells = spec.num_layers * spec.num_directions
    return cells * case.batch * case.steps * 4 * spec.hidden_size * (spec.hidden_size + spec.input_size) <= _MOST_WORK


def _caught_at_first_step(case: Case, honest: Outputs, catalogue: Sequence[Mistake]) -> set[str]:
    """Ids of mistakes that show at the first step."""
    window = observed_window(case, honest, (0, 0))
    if window is None:
        return set()
    y = direction_half(honest[output_name(case.spec, 0)], case.spec, 0)
    bound = teacher_force(case, 0, 0, case.x, y, profile_named(case.precision)).y_bound
    mutants = CellMutants(catalogue, case.weights.layers[0][0])
    limit = 2.0 * CERTAIN * float(bound.max())
    candidates = mutants.candidates(case, (0, 0), window.cut(1, len(window.c)), limit)
    return {mistake.id for mistake in mutants.mistakes} - {mistake.id for _, mistake in candidates}


def _score(mistake: Mistake, case: Case) -> float | None:
    """Largest error / bound of the mutant; None if inapplicable."""
    outputs = run_mistakes([mistake], case)
    if outputs is None or not applicable_mistakes([mistake], outputs, case):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        expected = references(case, layer_outputs(outputs, case), profile_named(case.precision))
        worst = 0.0
        for name, array in outputs.items():
            if array.shape != expected[name].value.shape:
                return float("inf")
            worst = max(worst, largest_ratio(np.abs(array - expected[name].value), expected[name].bound))
    return worst


def _why_blind(mistake: Mistake, case: Case, score: float) -> str:
    """Why a mistake does not show."""
    if mistake.family == "bias" or mistake.id.endswith("-b"):
        cell = case.weights.layers[0][0]
        for name, array in (("b", cell.b), ("b_r", cell.b_r)):
            if array is not None and not np.asarray(array).any():
                return f"{name} = 0"
    states = [state for state in (case.h0, case.c0) if state is not None]
    if mistake.family == "state" and not any(state.any() for state in states):
        return "the initial states are 0"
    if "clip" in mistake.id:
        return "nothing is that large here"
    if mistake.family == "precision":
        return "the rounding is lost in that of the computation"
    return "it makes no difference here" if score < _ORACLE_ROUNDING else f"its effect is {score:.1g} of the bound"
