"""Searches the catalogue for the mistakes that explain the outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..compare.judge import judged_quantities
from ..compare.reference import observed_quantities
from ..errors import SpecError
from ..model import Case, Result
from ..oracle import profile_named
from .batched_mutants import MutantBatches
from .catalogue import BETWEEN, CATALOGUE, FITTED
from .catalogue.dropout import FittedMistake
from .cell_mutants import CellMutants
from .diagnosis import Diagnosis
from .discrepancy import Discrepancy
from .evidence import Evidence
from .fit import Fit, fit
from .free_run import MOST_STEPS, FreeRuns
from .gradients import diagnose_gradients, remarks_on_gradients
from .locate import describe_location, locate
from .low_precision import ROUNDINGS, likely_precision, low_precision_mistake
from .mistake import Mistake, Outputs, applicable_mistakes, gives_shapes, in_cells, run_mistakes
from .numbers import LOG_FAMILIES, FittedNumber, fitting_numbers, same_function, shifted_units
from .observations import check_observed, describe_not_finite, describe_patterns, finite_part
from .pairs import fitting_pairs
from .prefilter import case_distances, distance_limit, observed_window, unobserved_window
from .printed import printed_decimals
from .probe import Ask, is_large, is_nondeterministic, run_probe

#: One mistake or two, and how well they fit.
Explanation = tuple[tuple[Mistake, ...], Fit]

#: So many explanations within reach are listed.
_MOST_LISTED = 8
#: Float64 runs that differ by no more than this are the same on a case.
_SAME = 1e-12


@remarks_on_gradients
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def diagnose(
    result: Result, case: Case, *, pairs: bool = True, catalogue: Sequence[Mistake] = CATALOGUE, ask: Ask | None = None
) -> Diagnosis:
    """Name the mistake, or the two, that explain a result.

    Args:
        result: the observed outputs; y with the outputs of every layer proves most.
        case: what they should have been computed from.
        pairs: whether to search for two mistakes at once when no single one explains the result.
        catalogue: the mistakes to consider.
        ask: runs another case in the implementation. It is called only where several mistakes explain the outputs or
            none does, and for large models, whose mistake is searched for on a small probe.

    Raises:
        SpecError: for outputs of a shape that no mistake gives, and those without a finite number.

    >>> from lstm_xcheck.model import Case, LSTMSpec
    >>> case = Case.random(LSTMSpec(input_size=3, hidden_size=4))
    >>> from lstm_xcheck.diagnose.catalogue import mistake_named
    >>> from lstm_xcheck.diagnose.mistake import result_from
    >>> wrong = result_from(run_mistakes([mistake_named("bias-hh-dropped")], case))
    >>> diagnose(wrong, case).cause
    'second bias (bias_hh) dropped'
    """
    given = observed_quantities(result)
    check_observed(given, case)
    observed, not_finite = finite_part(given), describe_not_finite(given)
    discrepancy = _discrepancy(result, observed, case)
    decimals = printed_decimals(observed) if discrepancy.wrong else None
    if decimals is not None:
        printed = replace(discrepancy.profile, resolution=0.5 * 10.0**-decimals)
        discrepancy = Discrepancy.of(observed, case, printed)
    note = " ".join(text for text in (not_finite, _describe_digits(decimals)) if text)
    if not discrepancy.wrong:
        explanation = discrepancy.describe_nothing_wrong(decimals)
        if not_finite:
            explanation = f"{not_finite} Nothing else is wrong as far as can be seen."
        evidence = discrepancy.evidence()
        right = Diagnosis(None, explanation=explanation, evidence=evidence, nothing_wrong=not not_finite)
        return diagnose_gradients(result, case, discrepancy.profile, right, ask)
    search = _Search(discrepancy, catalogue, FreeRuns(observed, case), Evidence(discrepancy))
    found = _first_proven(search, pairs, ask)
    if not found:
        return _with_note(_unexplained(search, ask), note)
    if len(found) > 1 and ask is not None:
        found = _confirmed_by_probe(found, discrepancy, ask)
    return _with_note(_name(found, search), note)


def _discrepancy(result: Result, observed: Outputs, case: Case) -> Discrepancy:
    """What is wrong by the judge's own rules, where every number is finite."""
    if not all(np.isfinite(array).all() for array in observed.values()):
        return Discrepancy.of(observed, case, profile_named(result.computed_in or case.precision))
    rows, profile = judged_quantities(result, case)
    flagged = frozenset(row.quantity for row in rows if row.verdict in ("mismatch", "suspect"))
    return Discrepancy.of(observed, case, profile, flagged)


def _describe_digits(decimals: int | None) -> str:
    """What is allowed for printed digits."""
    if decimals is None:
        return ""
    return f"The outputs were printed with {decimals} decimals: half a unit of the last one is allowed for."


def _with_note(found: Diagnosis, note: str) -> Diagnosis:
    return replace(found, explanation=f"{found.explanation} {note}") if note else found


@dataclass(frozen=True)
class _Search:
    """What the stages of one search share.

    `within_reach`: explanations that are not proven, with the reason; `numbers`: proven ones with a fitted number.
    """

    discrepancy: Discrepancy
    catalogue: Sequence[Mistake]
    free_runs: FreeRuns
    evidence: Evidence
    within_reach: list[tuple[Explanation, str]] = field(default_factory=list)
    numbers: list[FittedNumber] = field(default_factory=list)

    def proven(self, found: Iterable[Explanation], tried: float) -> list[Explanation]:
        """The explanations that the evidence proves; keeps the others as within reach.

        `tried`: the logarithm of the number of hypotheses tried to find these.
        """
        proven = []
        for mistakes, quality in found:
            lack = self.evidence.lack(quality, tried)
            if lack:
                self.within_reach.append(((mistakes, quality), lack))
            else:
                proven.append((mistakes, quality))
        return proven

    def proven_between(self) -> list[Explanation]:
        """The mistakes of every layer of a stack that the evidence proves."""
        discrepancy = self.discrepancy
        if discrepancy.case.spec.num_layers == 1 or not gives_shapes((), discrepancy.observed, discrepancy.case):
            return []
        candidates = ((mistake,) for mistake in BETWEEN)
        return self.proven(_explaining(discrepancy, candidates), math.log(len(BETWEEN)))

    def proven_shift(self) -> list[Explanation]:
        """The cyclic shifts of units that the evidence proves."""
        shifts = shifted_units(self.discrepancy.case.spec)
        wrong = self.discrepancy.wrong_cells()
        window = observed_window(self.discrepancy.case, self.discrepancy.observed, wrong[0]) if wrong else None
        if not shifts or window is None:
            return []
        near = _cell_candidates(shifts, self.discrepancy, wrong[0], self.free_runs)
        candidates = [(mistake,) for mistake in near]
        if len(wrong) < len([*self.discrepancy.case.weights.cells()]):
            candidates += [(in_cells(mistake, wrong),) for mistake in near]
        return self.proven(_explaining(self.discrepancy, candidates, wrong[:1]), math.log(2 * len(shifts)))

    def proven_number(self) -> list[Explanation]:
        """The mistake with a fitted number, if the evidence proves one alone."""
        numbers = fitting_numbers(self.discrepancy)
        proven = []
        for number in numbers:
            lack = self.evidence.lack_of_number(number.fit, LOG_FAMILIES)
            if lack:
                self.within_reach.append((((number.mistake,), number.fit), lack))
            else:
                proven.append(number)
        if any(not same_function(number.mistake, proven[0].mistake, self.discrepancy.case) for number in proven[1:]):
            reason = "several numbers would explain these outputs: more steps or rows would tell them apart"
            self.within_reach.extend((((number.mistake,), number.fit), reason) for number in proven)
            return []
        self.numbers.extend(proven)
        return [((number.mistake,), number.fit) for number in proven]


def _first_proven(search: _Search, pairs: bool, ask: Ask | None) -> list[Explanation]:
    """The explanations of the first stage that proves any."""
    discrepancy, catalogue = search.discrepancy, search.catalogue
    large = is_large(discrepancy.case)
    single, pair = math.log(len(catalogue)), math.log(len(catalogue) * (len(catalogue) - 1) / 2)
    found = search.proven(_found_on_probe(search, pairs, ask), 0.0) if ask is not None and large else []
    found = found or search.proven(_fitting_singles(search), single)
    found = found or search.proven(_lower_precision(discrepancy), math.log(ROUNDINGS))
    for fitted in () if found else FITTED:
        found += search.proven(_fitted(fitted, discrepancy), fitted.tried(discrepancy.case))
    found = found or search.proven_between()
    found = found or search.proven_shift()
    found = found or search.proven_number()
    if not found and pairs and not large:
        found = search.proven(_fitting_pairs(search), pair)
    if not found and search.within_reach and ask is not None and not large:
        found = search.proven(_found_on_probe(search, pairs, ask), 0.0)
    return found


def _lower_precision(discrepancy: Discrepancy) -> list[Explanation]:
    lower = low_precision_mistake(discrepancy.observed, discrepancy.case, discrepancy.profile)
    return [] if lower is None else [((lower[0],), lower[1])]


def _found_on_probe(search: _Search, pairs: bool, ask: Ask) -> list[Explanation]:
    """Mistakes found on a probe that explain these outputs too."""
    probed = run_probe(search.discrepancy.case, ask)
    if probed is None:
        return []
    probe, result = probed
    try:
        cause = diagnose(result, probe, pairs=pairs, catalogue=search.catalogue)
    except SpecError:  # the probe's outputs prove nothing; these may
        return []
    known = {mistake.id: mistake for mistake in search.catalogue}
    all_ids = [cause.mistakes, *(tuple(other["mistakes"]) for other in cause.alternatives)]
    found = [tuple(known[id] for id in ids) for ids in all_ids if ids and all(id in known for id in ids)]
    return _explaining(search.discrepancy, found)


def _confirmed_by_probe(found: list[Explanation], discrepancy: Discrepancy, ask: Ask) -> list[Explanation]:
    """The explanations that also fit a probe, or all."""
    probed = run_probe(discrepancy.case, ask)
    if probed is None:
        return found
    probe, result = probed
    outputs, profile = observed_quantities(result), profile_named(result.computed_in or probe.precision)
    confirmed = [entry for entry in found if fit(entry[0], outputs, probe, profile).within_bound]
    return confirmed or found


def _explaining(
    discrepancy: Discrepancy, candidates: Iterable[tuple[Mistake, ...]], wrong_cells: Sequence[tuple[int, int]] = ()
) -> list[Explanation]:
    """The candidates within the bound that explain a wrong quantity."""
    observed, case, profile = discrepancy.observed, discrepancy.case, discrepancy.profile
    tested = ((mistakes, fit(mistakes, observed, case, profile, wrong_cells)) for mistakes in candidates)
    return [(m, quality) for m, quality in tested if quality.within_bound and quality.decisive & discrepancy.wrong]


def _fitting_singles(search: _Search) -> list[Explanation]:
    """Every single mistake that explains the outputs."""
    discrepancy = search.discrepancy
    candidates = ((mistake,) for mistake in _candidates(discrepancy, search.catalogue, search.free_runs))
    return _explaining(discrepancy, candidates, discrepancy.wrong_cells()[:1])


def _fitted(fitted: FittedMistake, discrepancy: Discrepancy) -> list[Explanation]:
    """The mistake with its fitted parameters, if it explains the outputs."""
    found = fitted.fit(discrepancy.observed, discrepancy.case)
    return [] if found is None else _explaining(discrepancy, [(found,)])


def _fitting_pairs(search: _Search) -> list[Explanation]:
    """Every pair of mistakes that explains the outputs."""
    discrepancy = search.discrepancy
    tested = fitting_pairs(discrepancy, search.catalogue, _distance_limit(discrepancy, (0, 0)), search.free_runs)
    return [(pair, quality) for pair, quality in tested if quality.decisive & discrepancy.wrong]


def _candidates(discrepancy: Discrepancy, catalogue: Sequence[Mistake], free_runs: FreeRuns) -> Iterator[Mistake]:
    """The mistakes that pass the prefilter.

    First those of all cells, then those of data, spec and outputs, then those in the wrong cells alone.
    """
    observed, case = discrepancy.observed, discrepancy.case
    if gives_shapes((), observed, case):
        yield from _cell_candidates(catalogue, discrepancy, (0, 0), free_runs)
    others = applicable_mistakes([mistake for mistake in catalogue if mistake.cell is None], observed, case)
    wrong = discrepancy.wrong_cells()
    for index in dict.fromkeys([(0, 0), *wrong[:1]]):  # what fits the first cell may not fit another
        distances = case_distances([mutated for _, mutated in others], _distance_limit(discrepancy, index), index)
        others = [other for other, distance in zip(others, distances, strict=True) if distance < float("inf")]
    by_free_run = observed_window(case, observed, (0, 0)) is None and case.steps <= MOST_STEPS
    for mistake, _ in others:
        if not by_free_run or free_runs.distance((mistake,)) < float("inf"):
            yield mistake
    if 0 < len(wrong) < case.spec.num_layers * case.spec.num_directions:
        yield from (in_cells(m, wrong) for m in _cell_candidates(catalogue, discrepancy, wrong[0], free_runs))


def _cell_candidates(
    catalogue: Sequence[Mistake], discrepancy: Discrepancy, index: tuple[int, int], free_runs: FreeRuns
) -> list[Mistake]:
    """The mistakes that may explain the window of one cell."""
    observed, case = discrepancy.observed, discrepancy.case
    window = observed_window(case, observed, index)
    mutants = CellMutants(catalogue, case.weights.layers[index[0]][index[1]])
    if window is None:
        near = [*free_runs.candidates(MutantBatches(mutants.mistakes), case, observed), *mutants.unfiltered]
        return [mistake for mistake in near if free_runs.distance((mistake,)) < float("inf")]
    limit = _distance_limit(discrepancy, index)
    return [mistake for _, mistake in mutants.candidates(case, index, window, limit)]


def _distance_limit(discrepancy: Discrepancy, index: tuple[int, int]) -> float:
    """How far from a cell's window a candidate may be."""
    observed, case = discrepancy.observed, discrepancy.case
    window = observed_window(case, observed, index)
    if window is None and index[0] == 0:  # a mistake of layers may make it visible
        window = unobserved_window(case, observed, index[1])
    cell = case.weights.layers[index[0]][index[1]]
    return float("inf") if window is None else distance_limit(cell, window, discrepancy.profile)


def _unexplained(search: _Search, ask: Ask | None) -> Diagnosis:
    """A diagnosis without a cause."""
    discrepancy = search.discrepancy
    lower = likely_precision(discrepancy.observed, discrepancy.case, discrepancy.profile)
    hint = f" The errors look like those of computing in {lower}." if lower else ""
    patterns = describe_patterns(discrepancy.observed, discrepancy.case)
    hint += f" {patterns}" if patterns else ""
    if ask is not None and is_nondeterministic(discrepancy, ask):
        hint += " The same case run again gives other numbers: the answer is not deterministic; is dropout left on?"
    if is_large(discrepancy.case):
        hint += " Two mistakes at once were not looked for in a model of this size: look at a smaller one of its kind."
    elif search.free_runs.exhausted:
        hint += " Not every pair of mistakes was tried: give the outputs of every layer, or a smaller case."
    location = locate(discrepancy)
    wrong = discrepancy.describe_unexplained(within_reach=bool(search.within_reach))
    return Diagnosis(
        None,
        explanation=wrong + describe_location(location, discrepancy.case) + hint,
        evidence=discrepancy.evidence(),
        within_reach=_listed(search.within_reach),
        location=location,
    )


def _listed(within_reach: Sequence[tuple[Explanation, str]]) -> tuple[dict[str, Any], ...]:
    """Unproven explanations as plain data, single mistakes first, the best fitting first."""
    single = {mistakes[0].id for (mistakes, _), _ in within_reach if len(mistakes) == 1}
    more = [e for e in within_reach if len(e[0][0]) == 1 or not single & {mistake.id for mistake in e[0][0]}]
    order = sorted(more, key=lambda entry: (len(entry[0][0]), entry[0][1].rms_sigmas))
    return tuple(
        {
            "cause": _title(mistakes),
            "mistakes": [mistake.id for mistake in mistakes],
            "residual": quality.score,
            "reason": reason,
        }
        for (mistakes, quality), reason in order[:_MOST_LISTED]
    )


def _name(found: list[Explanation], search: _Search) -> Diagnosis:
    """Name the best explanation, or the first equal to it."""
    discrepancy, catalogue = search.discrepancy, search.catalogue
    order = {mistake.id: k for k, mistake in enumerate(catalogue)}
    found = sorted(found, key=lambda entry: [order.get(mistake.id, len(order)) for mistake in entry[0]])
    runs = [run_mistakes(mistakes, discrepancy.case) for mistakes, _ in found] if len(found) > 1 else [None]
    best = min(range(len(found)), key=lambda k: found[k][1].rms_sigmas)
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
        named=mistakes,
        parameters=next((n.parameters for n in search.numbers if n.mistake in mistakes), {}),
        cells=mistakes[0].cells if len(mistakes) == 1 else (),
        explanation=" ".join(mistake.explanation for mistake in mistakes),
        fix=" ".join(mistake.fix for mistake in mistakes),
        code="\n".join(mistake.code for mistake in mistakes if mistake.code),
        evidence={**discrepancy.evidence(), "residual_after": quality.score},
        alternatives=alternatives,
    )


def _title(mistakes: Sequence[Mistake]) -> str:
    return " and ".join(mistake.title for mistake in mistakes)


def _same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two runs give the same numbers on this case."""
    if a is None or b is None:
        return False
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= _SAME for n in a)
