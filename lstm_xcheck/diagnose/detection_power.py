"""Detection power: the mistakes that a match rules out.

A statement is about one comparison: a case, the quantities that were observed, and the precision that judged them. The
LSTM with each mistake of the catalogue is run in float64, its outputs stand for the observed ones, and they are scored
by the bound of that precision. A mistake that only some cells can have is planted in each of them alone, and the lowest
score counts. A score above 2 is caught for certain: an honest result may use up one bound, and the
rounding of the faulty one another. Most mistakes show so early that `first_effects` needs no run of its own for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..arrays import STORAGE, round_to
from ..compare.reference import Reference, expected_shapes, observed_quantities, references
from ..compare.tanh_evidence import absolute_tanh, may_show_absolute_tanh
from ..model import Case, LSTMSpec, LSTMWeights
from ..oracle import Profile, forward, profile_named
from .catalogue import CATALOGUE
from .first_effects import certain_mistakes
from .fit import largest_ratio, layer_outputs
from .mistake import Mistake, Outputs, applicable_mistakes, changed_case, changed_outputs, in_cells, run_mistakes

#: Caught for certain beyond this many bounds.
CERTAIN = 2.0
#: What the oracle's own rounding comes to, in bounds of float32.
_ORACLE_ROUNDING = 1e-6
#: Larger cases, in multiplications of a run, get no statement: a probe of the same spec proves as much.
_MOST_WORK = 4_000_000
#: Scores below this many bounds are looked at again, with what the faulty implementation rounds.
_NEAR = 64.0


@dataclass(frozen=True)
class Power:
    """The detection power of one comparison.

    Attributes:
        caught: ids of the mistakes that would certainly have been caught.
        blind: ids of those that make no difference beyond rounding on this case, with the reason.
        uncertain: ids of those whose effect is near the bound.
        not_applicable: how many entries do not apply to this spec, such as exchanged directions of one direction.
        observed: the quantities that were compared.
        precision: the precision profile that judged them.
        scope: what this comparison lacks beside a complete one in the precision of the case, in words.
    """

    case: str
    caught: tuple[str, ...]
    blind: dict[str, str]
    uncertain: tuple[str, ...]
    not_applicable: int
    observed: tuple[str, ...]
    precision: str
    scope: str = ""

    @property
    def sentence(self) -> str:
        """One sentence for a report."""
        total = len(self.caught) + len(self.blind) + len(self.uncertain)
        text = f"would have caught {len(self.caught)} of {total} mistakes{self.scope}"
        if self.blind:
            first = [f"{name} ({why})" for name, why in list(self.blind.items())[:4]]
            more = f" and {len(self.blind) - 4} more" if len(self.blind) > 4 else ""
            text += f"; blind here to {', '.join(first)}{more}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lists = {name: list(getattr(self, name)) for name in ("caught", "uncertain", "observed")}
        data = {**vars(self), **lists, "sentence": self.sentence}
        del data["scope"]
        return data


@dataclass(frozen=True)
class _Comparison:
    """What is compared, and by which bound."""

    case: Case
    names: tuple[str, ...]
    profile: Profile

    @cached_property
    def without_outputs(self) -> dict[str, Reference]:
        """The references where no outputs were observed: equal for every mistake."""
        return references(self.case, {}, self.profile)

    def visible(self, outputs: Outputs) -> Outputs:
        """The outputs that are observed."""
        return {name: outputs[name] for name in self.names if name in outputs}

    def expected(self, visible: Outputs) -> dict[str, Reference]:
        """The references of observed outputs, as `judge` makes them."""
        finite = {name: array for name, array in visible.items() if np.isfinite(array).all()}
        forcing = layer_outputs(finite, self.case)
        return references(self.case, forcing, self.profile) if forcing else self.without_outputs

    def score(self, visible: Outputs, own_bounds: Outputs | None = None) -> float:
        """Largest error / bound of observed outputs.

        `own_bounds`: how far rounding may move the observed outputs themselves; the bound is then the mean of both.
        """
        worst = 0.0
        for name, reference in self.expected(visible).items():
            if name not in visible:
                continue
            array = visible[name]
            if array.shape != reference.value.shape:
                return float("inf")
            bound = reference.bound
            if own_bounds is not None:
                bound = 0.5 * (bound + np.maximum(bound, np.abs(own_bounds[name])))
            decided = np.abs(reference.value) <= np.finfo(STORAGE[self.case.precision]).max
            if (decided & ~np.isfinite(array)).any():
                return float("inf")
            decided &= np.isfinite(bound)
            error = np.where(decided, np.abs(array - reference.value), 0.0)
            worst = max(worst, largest_ratio(error, np.where(decided, bound, 1.0)))
        return worst


def power(
    case: Case, catalogue: Sequence[Mistake] = CATALOGUE, *, observed: Sequence[str] | None = None, precision: str = ""
) -> Power:
    """State what a match on this case proves.

    Args:
        case: the case of the comparison.
        catalogue: the mistakes in question.
        observed: the quantities that were compared, by default all that the case asks for.
        precision: the precision profile that judged them, by default that of the case.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> case = Case.random(LSTMSpec(input_size=3, hidden_size=4))
    >>> "gates-iofg" in power(case).caught, "h-for-c" in power(case, observed=["y"]).caught
    (True, False)
    """
    everything = _requested(case)
    names = everything if observed is None else tuple(name for name in expected_shapes(case) if name in set(observed))
    comparison = _Comparison(case, names, _widest(profile_named(precision or case.precision), case.spec, names))
    honest = observed_quantities(forward(case))
    certain = certain_mistakes(case, comparison.visible(honest), comparison.profile, catalogue, CERTAIN)
    caught, uncertain, blind, inapplicable = [], [], {}, 0
    for mistake in catalogue:
        if mistake.id in certain:
            caught.append(mistake.id)
            continue
        scores = [
            (_careful_score(planted, outputs, comparison), planted, outputs)
            for planted in plants(mistake, case.weights)
            if (outputs := run_mistakes([planted], case)) and applicable_mistakes([planted], outputs, case)
        ]
        if not scores:
            inapplicable += 1
            continue
        score, planted, outputs = min(scores, key=lambda entry: entry[0])
        if score > CERTAIN:
            caught.append(mistake.id)
        elif score > 0.5:
            uncertain.append(mistake.id)
        else:
            blind[mistake.id] = _why_blind(planted, comparison, outputs, honest, score)
    scope = _scope(comparison, everything)
    return Power(case.id, tuple(caught), blind, tuple(uncertain), inapplicable, names, comparison.profile.name, scope)


def plants(mistake: Mistake, weights: LSTMWeights) -> list[Mistake]:
    """The mistake, or in each cell alone where only some can have it.

    A matrix that only looks right when transposed is square, and a stack may have square and other ones.
    """
    if mistake.cell is None:
        return [mistake]
    cells = [(layer, direction) for layer, direction, cell in weights.cells() if mistake.cell(cell) is not None]
    count = weights.spec.num_layers * weights.spec.num_directions
    return [mistake] if len(cells) in (0, count) else [in_cells(mistake, [place]) for place in cells]


class Sized(Protocol):
    """A case, or a recipe of one."""

    @property
    def spec(self) -> LSTMSpec:
        """Its LSTM."""

    @property
    def batch(self) -> int:
        """Its rows."""

    @property
    def steps(self) -> int:
        """Its steps."""


def is_small(case: Sized) -> bool:
    """Whether stating the power is cheap beside a verification."""
    spec = case.spec
    cells = spec.num_layers * spec.num_directions
    return cells * case.batch * case.steps * 4 * spec.hidden_size * (spec.hidden_size + spec.input_size) <= _MOST_WORK


def _requested(case: Case) -> tuple[str, ...]:
    """The quantities that a complete implementation returns for a case."""
    return tuple(name for name in expected_shapes(case) if name != "last" or case.returns == "last")


def _widest(profile: Profile, spec: LSTMSpec, names: Sequence[str]) -> Profile:
    """The widest profile that `judge` may come to, with an absolute tanh."""
    return absolute_tanh(profile) if may_show_absolute_tanh(spec, names) else profile


def _scope(comparison: _Comparison, everything: Sequence[str]) -> str:
    """What a comparison lacks beside a complete one."""
    known = {*comparison.names, *(("last",) if "h_n" in comparison.names else ())}
    text = f" in {_listed(comparison.names)} alone" if set(everything) - known else ""
    if comparison.profile.name != comparison.case.precision:
        text += f"{',' if text else ''} judged as {comparison.profile.name}"
    return text


def _listed(names: Sequence[str]) -> str:
    """Words with commas and a last `and`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "nothing"


def _careful_score(mistake: Mistake, outputs: Outputs, comparison: _Comparison) -> float:
    """The score of the exact outputs; near the bound, the least likely one.

    The faulty implementation rounds its weights to the precision that it computes in, and its outputs by its own bound.
    """
    visible = comparison.visible(outputs)
    with np.errstate(over="ignore", invalid="ignore"):
        score = comparison.score(visible)
        if not CERTAIN < score < _NEAR:
            return score
        changed = changed_case([mistake], comparison.case)
        assert changed is not None, "it has outputs"
        stored = stored_in(changed, comparison.profile)
        for faulty in (changed, stored):
            raw = observed_quantities(forward(faulty))
            seen = changed_outputs([mistake], raw, comparison.case)
            own = references(faulty, layer_outputs(comparison.visible(raw), faulty), comparison.profile)
            bounds = changed_outputs([mistake], {name: r.bound for name, r in own.items()}, comparison.case)
            if seen is None or bounds is None:
                return CERTAIN
            score = min(score, comparison.score(comparison.visible(seen), bounds))
        return score


def stored_in(case: Case, profile: Profile) -> Case:
    """The case with every number as an implementation of that precision stores it."""
    precision = profile.name.removesuffix("-own")
    precision = precision if precision in STORAGE else "float32"
    layers = tuple(
        tuple(cell.map(lambda array: round_to(array, precision)) for cell in row) for row in case.weights.layers
    )
    weights, stored = copy(case.weights), copy(case)
    object.__setattr__(weights, "layers", layers)
    for name, value in {"weights": weights, "x": case.x, "h0": case.h0, "c0": case.c0}.items():
        rounded = round_to(value, precision) if isinstance(value, np.ndarray) else value
        object.__setattr__(stored, name, rounded)
    return stored


def _why_blind(mistake: Mistake, comparison: _Comparison, outputs: Outputs, honest: Outputs, score: float) -> str:
    """Why a mistake does not show."""
    case = comparison.case
    if mistake.family == "bias" or mistake.id.endswith("-b"):
        cell = case.weights.layers[0][0]
        for name, array in (("b", cell.b), ("b_r", cell.b_r)):
            if array is not None and not np.asarray(array).any():
                return f"{name} = 0"
    states = [state for state in (case.h0, case.c0) if state is not None]
    if mistake.family == "state" and not any(state.any() for state in states):
        return "the initial states are 0"
    elsewhere = [name for name in _requested(case) if name not in comparison.names and _differ(name, outputs, honest)]
    if score < _ORACLE_ROUNDING and elsewhere:
        return f"it shows in {_listed(elsewhere)}, not observed"
    if "clip" in mistake.id:
        return "nothing is that large here"
    if mistake.family == "precision":
        return "the rounding is lost in that of the computation"
    return "it makes no difference here" if score < _ORACLE_ROUNDING else f"its effect is {score:.1g} of the bound"


def _differ(name: str, outputs: Outputs, honest: Outputs) -> bool:
    """Whether a mistake changes this quantity beyond the oracle's rounding."""
    if name not in outputs or outputs[name].shape != honest[name].shape:
        return True
    return not np.allclose(outputs[name], honest[name], rtol=1e-9, atol=1e-12)
