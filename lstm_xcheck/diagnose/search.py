"""Which mistake explains the observed outputs? The one that does within the bound is named, or none is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compare.reference import expected_shapes, observed_quantities
from ..errors import SpecError
from ..model import Case, Result
from ..oracle import profile_named
from .batched_mutants import MutantBatches
from .catalogue import CATALOGUE, FITTED
from .cell_mutants import CellMutants
from .discrepancy import Discrepancy
from .fit import Fit, fit
from .free_run import MOST_STEPS, FreeRuns
from .low_precision import rough_arithmetic, wide_enough
from .mistake import Mistake, Outputs, applied, gives_shapes, in_cells, run_mistakes
from .pairs import fitting_pairs
from .prefilter import case_distances, crude_limit, unseen_window, window
from .probe import Ask, is_chance, is_large, probed

#: One mistake or two, and how well they fit.
Explanation = tuple[tuple[Mistake, ...], Fit]

#: Outputs that differ less than this in float64 are the same on a case.
_SAME = 1e-12


@dataclass(frozen=True)
class Diagnosis:
    """Why outputs are wrong.

    Attributes:
        cause: the mistake in a few words; None when nothing in the catalogue explains the outputs.
        mistakes: the ids of the catalogue that make up the cause: one, or two together.
        explanation, fix, code: why it happens, what to do, and that as code on canonical arrays.
        evidence: residuals (error / bound) before and after, and where the error shows first.
        alternatives: other mistakes that explain the outputs, and whether they are the same thing on this case.
    """

    cause: str | None
    mistakes: tuple[str, ...] = ()
    explanation: str = ""
    fix: str = ""
    code: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    alternatives: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "cause": self.cause,
            "mistakes": list(self.mistakes),
            "explanation": self.explanation,
            "fix": self.fix,
            "code": self.code,
            "evidence": self.evidence,
            "alternatives": list(self.alternatives),
        }


def diagnose(
    result: Result,
    case: Case,
    *,
    pairs: bool = True,
    catalogue: Sequence[Mistake] = CATALOGUE,
    ask: Ask | None = None,
) -> Diagnosis:
    """Name the mistake, or the two mistakes, that explain a result.

    Args:
        result: what was observed; y with the outputs of every layer tells most.
        case: what it should have been computed from.
        pairs: whether two mistakes at once are looked for when no single one explains the result.
        catalogue: the mistakes to consider.
        ask: runs another case in the implementation in question. It is used only where several mistakes explain the
            outputs or none does, and for large models, whose mistake is looked for on a small probe.

    Raises:
        SpecError: for outputs that no mistake can explain: another shape, not finite, or constant.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> case = Case.random(LSTMSpec(input_size=3, hidden_size=4))
    >>> from lstm_xcheck.diagnose.catalogue import mistake_named
    >>> from lstm_xcheck.diagnose.mistake import result_from
    >>> wrong = result_from(run_mistakes([mistake_named("bias-hh-dropped")], case))
    >>> diagnose(wrong, case).cause
    'second bias (bias_hh) dropped'
    """
    observed = observed_quantities(result)
    check_observed(observed, case)
    profile = profile_named(result.computed_in or case.precision)
    view = Discrepancy.of(observed, case, profile)
    if not view.wrong:
        return Diagnosis(None, explanation=view.why_not_wrong(), evidence=view.evidence())
    looks = FreeRuns(observed, case)
    found = _found_on_probe(view, catalogue, pairs, ask) if ask is not None and is_large(case) else []
    found = found or _fitting_singles(view, catalogue, looks)
    if not found:
        rougher = rough_arithmetic(observed, case, profile)
        found = [] if rougher is None else [((rougher[0],), rougher[1])]
    found = found or _fitted(view)
    if not found and pairs and not is_large(case):
        found = _fitting_pairs(view, catalogue, looks)
    if not found:
        return _unexplained(view, looks, ask)
    if len(found) > 1 and ask is not None:
        found = _settled(found, view, ask)
    return _name(found, view, catalogue)


def _found_on_probe(view: Discrepancy, catalogue: Sequence[Mistake], pairs: bool, ask: Ask) -> list[Explanation]:
    """What a small probe shows to be wrong, where that explains these outputs as well."""
    asked = probed(view.case, ask)
    if asked is None:
        return []
    probe, result = asked
    try:
        cause = diagnose(result, probe, pairs=pairs, catalogue=catalogue)
    except SpecError:  # the probe's outputs tell nothing; these may
        return []
    known = {mistake.id: mistake for mistake in catalogue}
    found = []
    for ids in (cause.mistakes, *(tuple(other["mistakes"]) for other in cause.alternatives)):
        if ids and all(id in known for id in ids):
            mistakes = tuple(known[id] for id in ids)
            found.append((mistakes, fit(mistakes, view.observed, view.case, view.profile)))
    return [(mistakes, quality) for mistakes, quality in found if quality.holds and quality.decides & view.wrong]


def _settled(found: list[Explanation], view: Discrepancy, ask: Ask) -> list[Explanation]:
    """Those explanations that a probe bears out as well; all of them where it bears out none."""
    asked = probed(view.case, ask)
    if asked is None:
        return found
    probe, result = asked
    outputs, profile = observed_quantities(result), profile_named(result.computed_in or probe.precision)
    borne_out = [entry for entry in found if fit(entry[0], outputs, probe, profile).holds]
    return borne_out or found


def check_observed(observed: Outputs, case: Case) -> None:
    """Refuse outputs that are not this case's at all.

    Raises:
        SpecError: saying what was found and expected.
    """
    shapes = expected_shapes(case)
    for name, array in observed.items():
        merged = name in ("y", "last") and case.spec.bidirectional and array.shape == _merged_shape(shapes[name])
        if array.shape != shapes.get(name) and not merged:
            raise SpecError(f"{name} has shape {array.shape}, but should be {shapes.get(name, 'absent')} for this case")
        if not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            found = f"{bad} of {array.size} numbers that are not finite"
            raise SpecError(f"{name} holds {found}; nothing can be told from them")
        if array.size > 1 and (array == array.flat[0]).all():
            raise SpecError(
                f"{name} is {array.flat[0] + 0.0:g} everywhere; a constant output tells nothing about its cause"
            )


def _merged_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Directions summed or averaged leave half the width."""
    return (*shape[:-1], shape[-1] // 2)


def _fitting_singles(view: Discrepancy, catalogue: Sequence[Mistake], looks: FreeRuns) -> list[Explanation]:
    """Every single mistake that explains the outputs."""
    doubtful = view.wrong_cells()[:1]
    tested = [
        (m, fit([m], view.observed, view.case, view.profile, doubtful)) for m in _candidates(view, catalogue, looks)
    ]
    return [((mistake,), quality) for mistake, quality in tested if quality.holds and quality.decides & view.wrong]


def _fitted(view: Discrepancy) -> list[Explanation]:
    """The mistakes whose own numbers can be read off the outputs, where they then explain them."""
    made = [mistake for one in FITTED if (mistake := one.fitted(view.observed, view.case)) is not None]
    tested = [((mistake,), fit([mistake], view.observed, view.case, view.profile)) for mistake in made]
    return [(mistakes, quality) for mistakes, quality in tested if quality.holds and quality.decides & view.wrong]


def _fitting_pairs(view: Discrepancy, catalogue: Sequence[Mistake], looks: FreeRuns) -> list[Explanation]:
    """Every pair of mistakes that explains the outputs."""
    limit, wrong = _limit(view, (0, 0)), view.wrong_cells()
    tested = fitting_pairs(view.observed, view.case, view.profile, catalogue, limit, looks, wrong)
    return [(pair, quality) for pair, quality in tested if quality.decides & view.wrong]


def _candidates(view: Discrepancy, catalogue: Sequence[Mistake], looks: FreeRuns) -> Iterator[Mistake]:
    """What survives the quick look: mistakes in all cells, of the rest, and in the wrong cells alone."""
    of_cells = [mistake for mistake in catalogue if mistake.cell is not None]
    if gives_shapes((), view.observed, view.case):
        yield from _near_in_cell(of_cells, view, (0, 0), looks)
    others = applied([mistake for mistake in catalogue if mistake.cell is None], view.observed, view.case)
    wrong = view.wrong_cells()
    for where in dict.fromkeys([(0, 0), *wrong[:1]]):  # what is right in the first cell may be wrong in another
        far = case_distances([(changed, driving) for _, changed, driving in others], _limit(view, where), where)
        others = [other for other, distance in zip(others, far, strict=True) if distance < float("inf")]
    blind = window(view.case, view.observed, 0, 0) is None and view.case.steps <= MOST_STEPS
    yield from (m for m, _, _ in others if not blind or looks.far((m,)) < float("inf"))
    if 0 < len(wrong) < view.case.spec.num_layers * view.case.spec.num_directions:
        yield from (in_cells(mistake, wrong) for mistake in _near_in_cell(of_cells, view, wrong[0], looks))


def _near_in_cell(
    mistakes: Sequence[Mistake], view: Discrepancy, where: tuple[int, int], looks: FreeRuns
) -> list[Mistake]:
    """The mistakes of weights that may explain the first steps of one cell."""
    observed, case = view.observed, view.case
    look = window(case, observed, *where)
    wrongs = CellMutants(mistakes, case.weights.layers[where[0]][where[1]])
    if look is None:
        near = [*looks.near(MutantBatches(wrongs.mistakes), case, observed), *wrongs.elsewhere]
        return [mistake for mistake in near if looks.far((mistake,)) < float("inf")]
    return [mistake for _, mistake in wrongs.near(case, *where, look, _limit(view, where))]


def _limit(view: Discrepancy, where: tuple[int, int]) -> float:
    """How far the first steps of a cell may be from what is tested in full."""
    look = window(view.case, view.observed, *where)
    if look is None and where[0] == 0:  # what a mistake of layers makes visible all the same
        look = unseen_window(view.case, view.observed, where[1])
    cell = view.case.weights.layers[where[0]][where[1]]
    return float("inf") if look is None else crude_limit(cell, look, view.profile)


def _unexplained(view: Discrepancy, looks: FreeRuns, ask: Ask | None) -> Diagnosis:
    """What can be said without a cause."""
    rougher = wide_enough(view.observed, view.case, view.profile)
    hint = f" The errors are no larger than computing in {rougher} could make them." if rougher else ""
    if ask is not None and is_chance(view, ask):
        hint += " The same case run again gives other numbers: the answer is not deterministic; is dropout left on?"
    if is_large(view.case):
        hint += " Two mistakes at once were not looked for in a model of this size: look at a smaller one of its kind."
    elif looks.stopped:
        hint += " Not every pair of mistakes was tried: give the outputs of every layer, or a smaller case."
    return Diagnosis(None, explanation=view.unexplained() + hint, evidence=view.evidence())


def _name(found: list[Explanation], view: Discrepancy, catalogue: Sequence[Mistake]) -> Diagnosis:
    """Name the best explanation; of those that are the same on this case, the first of the catalogue."""
    order = {mistake.id: k for k, mistake in enumerate(catalogue)}
    found = sorted(found, key=lambda entry: [order.get(mistake.id, len(order)) for mistake in entry[0]])
    runs = [run_mistakes(mistakes, view.case) for mistakes, _ in found] if len(found) > 1 else [None]
    best = min(range(len(found)), key=lambda k: found[k][1].misfit)
    first = next(k for k in range(len(found)) if k == best or _same(runs[k], runs[best]))
    mistakes, quality = found[first]
    alternatives = tuple(
        {
            "cause": _title(others),
            "mistakes": [mistake.id for mistake in others],
            "residual": other.score,
            "same_on_this_case": _same(runs[k], runs[first]),
        }
        for k, (others, other) in enumerate(found)
        if k != first
    )
    return Diagnosis(
        cause=_title(mistakes),
        mistakes=tuple(mistake.id for mistake in mistakes),
        explanation=" ".join(mistake.explanation for mistake in mistakes),
        fix=" ".join(mistake.fix for mistake in mistakes),
        code="\n".join(mistake.code for mistake in mistakes if mistake.code),
        evidence={**view.evidence(), "residual_after": quality.score},
        alternatives=alternatives,
    )


def _title(mistakes: Sequence[Mistake]) -> str:
    return " and ".join(mistake.title for mistake in mistakes)


def _same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two runs give the same numbers on this case."""
    if a is None or b is None:
        return False
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= _SAME for n in a)
