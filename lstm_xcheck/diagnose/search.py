"""Searches the catalogue for the mistakes that explain the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..compare.judge import judged_quantities
from ..compare.reference import observed_quantities
from ..errors import SpecError
from ..model import Case, Result
from ..oracle import profile_named
from .answer import named, unexplained
from .catalogue import CATALOGUE
from .diagnosis import Diagnosis
from .discrepancy import Discrepancy
from .evidence import Evidence
from .fit import fit
from .free_run import FreeRuns
from .gradients import diagnose_gradients, remarks_on_gradients
from .locate import step_profile
from .mistake import Mistake, Outputs
from .observations import check_observed, describe_not_finite, finite_part
from .printed import printed_decimals
from .probe import Ask, is_large, run_probe
from .stages import Explanation, Search, explaining


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
    >>> from lstm_xcheck.diagnose.mistake import result_from, run_mistakes
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
    lost = given.keys() - observed.keys()  # not one number of these is finite
    if not discrepancy.wrong or (lost and all(score <= 1.0 for score in discrepancy.scores.values())):
        explanation = discrepancy.describe_nothing_wrong(decimals)
        if not_finite:
            explanation = f"{not_finite} Nothing else is wrong as far as can be seen."
        evidence = discrepancy.evidence()
        right = Diagnosis(None, explanation=explanation, evidence=evidence, nothing_wrong=not not_finite)
        return diagnose_gradients(result, case, discrepancy.profile, right, ask)
    search = Search(discrepancy, catalogue, FreeRuns(observed, case), Evidence(discrepancy))
    found = _first_proven(search, pairs, ask)
    if not found:
        return _completed(unexplained(search, ask), note, discrepancy)
    if len(found) > 1 and ask is not None:
        found = _confirmed_by_probe(found, discrepancy, ask)
    return _completed(named(found, search, ask), note, discrepancy)


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


def _completed(found: Diagnosis, note: str, discrepancy: Discrepancy) -> Diagnosis:
    """The diagnosis with a note, and with the errors by step."""
    explanation = f"{found.explanation} {note}" if note else found.explanation
    return replace(found, explanation=explanation, profile=step_profile(discrepancy))


def _first_proven(search: Search, pairs: bool, ask: Ask | None) -> list[Explanation]:
    """The explanations of the first stage that proves any."""
    large = is_large(search.discrepancy.case)
    found = search.proven(_found_on_probe(search, pairs, ask), 0.0) if ask is not None and large else []
    for stage in (search.singles, search.lower_precision, search.read_from_outputs, search.between_layers,
                  search.shifts, search.number):  # fmt: skip
        found = found or stage()
    if not found and pairs and not large:
        found = search.pairs()
    if not found and search.within_reach and ask is not None and not large:
        found = search.proven(_found_on_probe(search, pairs, ask), 0.0)
    return found


def _found_on_probe(search: Search, pairs: bool, ask: Ask) -> list[Explanation]:
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
    return explaining(search.discrepancy, found)


def _confirmed_by_probe(found: list[Explanation], discrepancy: Discrepancy, ask: Ask) -> list[Explanation]:
    """The explanations that also fit a probe, or all."""
    probed = run_probe(discrepancy.case, ask)
    if probed is None:
        return found
    probe, result = probed
    outputs, profile = observed_quantities(result), profile_named(result.computed_in or probe.precision)
    confirmed = [entry for entry in found if fit(entry[0], outputs, probe, profile).within_bound]
    return confirmed or found
