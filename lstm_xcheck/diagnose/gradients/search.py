"""Names the mistake that explains wrong gradients of right outputs, or locates them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...model import Case, Result
from ...oracle import Found, Profile, Roundings, with_roundings
from ..diagnosis import Diagnosis
from ..probe import Ask, run_probe
from .candidates import (
    Candidate,
    candidate_of,
    catalogue_candidates,
    fitted_entries,
    is_large,
    is_near,
    number_tried,
    same_numbers,
    together,
)
from .discrepancy import GradientDiscrepancy
from .evidence import Evidence, needed, surprise
from .fitted import roundings
from .locate import describe, locate
from .mistake import GradientMistake
from .rounded import explains_rounding

#: So many mistakes within reach are listed.
_MOST_LISTED = 8
_TOO_LARGE = " Mistakes of the pass itself are searched for in smaller cases: look at one of its kind."


def diagnose_gradients(
    result: Result, case: Case, profile: Profile, outputs: Diagnosis, ask: Ask | None = None
) -> Diagnosis:
    """The diagnosis of right outputs, with what is wrong with their gradients.

    Args:
        outputs: the diagnosis of the outputs: that nothing is wrong.
        ask: runs another case in the implementation; called for large cases, whose mistake is searched for on a probe.
    """
    if not case.gradients and not result.gradients:
        return outputs
    if not result.gradients:
        return _with_remark(outputs, "The gradients that the case asks for were not given, so they were not looked at.")
    discrepancy = GradientDiscrepancy.of(result, case, profile)
    if discrepancy is None:
        remark = "The gradients were not looked at: give the outputs of every step and layer (y and layer_outputs)."
        return _with_remark(outputs, remark)
    if discrepancy.undecided:
        return _with_remark(outputs, f"Nothing can be told from the gradients: {discrepancy.undecided}.")
    found = _found(discrepancy, ask) if discrepancy.wrong else None
    return _with_gaps(found or _nothing_wrong(outputs, discrepancy), discrepancy)


def _with_remark(diagnosis: Diagnosis, remark: str) -> Diagnosis:
    return replace(
        diagnosis, explanation=f"{diagnosis.explanation} {remark}", evidence={**diagnosis.evidence, "gradients": {}}
    )


def _nothing_wrong(outputs: Diagnosis, discrepancy: GradientDiscrepancy) -> Diagnosis:
    evidence = {**outputs.evidence, "gradients": discrepancy.scores}
    if not discrepancy.missing and not discrepancy.unusable:
        return replace(outputs, evidence=evidence)
    looked_at = ", and so are the gradients that could be compared" if discrepancy.observed else ""
    return replace(outputs, explanation=f"The outputs are right{looked_at}.", evidence=evidence)


def _with_gaps(diagnosis: Diagnosis, discrepancy: GradientDiscrepancy) -> Diagnosis:
    """Add which gradients were not looked at, and why."""
    remarks = []
    if discrepancy.missing:
        remarks.append(f"Not given, and so not looked at: the gradients of {', '.join(discrepancy.missing)}.")
    remarks += [f"The gradient of {name} cannot be compared: {why}." for name, why in discrepancy.unusable.items()]
    if not remarks:
        return diagnosis
    gaps = {"missing": list(discrepancy.missing), "unusable": dict(discrepancy.unusable)}
    explanation = " ".join([diagnosis.explanation, *remarks])
    return replace(diagnosis, explanation=explanation, location={**diagnosis.location, **gaps})


def _found(discrepancy: GradientDiscrepancy, ask: Ask | None) -> Diagnosis:
    """The mistake, several together, or where the errors are."""
    rounded = next((_rounded(*found, discrepancy) for found in roundings(discrepancy)), None)
    if rounded is not None:
        return rounded
    fitted = [candidate_of(mistake, frozenset(), discrepancy) for mistake in fitted_entries(discrepancy)]
    probed = frozenset() if ask is None or not is_large(discrepancy.case) else _found_on_probe(discrepancy, ask)
    known, multiples = catalogue_candidates(discrepancy, probed)
    tried = len(fitted) + number_tried(discrepancy)
    for candidates in ([*fitted, *known], together([*fitted, *known], discrepancy), multiples):
        proven, possible = _tested(candidates, discrepancy, tried)
        if proven or possible:
            return _named(proven, possible, discrepancy)
    return _located(discrepancy)


def _found_on_probe(discrepancy: GradientDiscrepancy, ask: Ask) -> frozenset[str]:
    """Ids of the mistakes that explain a smaller case of the same kind."""
    probed = run_probe(discrepancy.case, lambda probe: ask(replace(probe, gradients=True)))
    if probed is None:
        return frozenset()
    probe, result = probed
    found = diagnose_gradients(result, probe, discrepancy.profile, Diagnosis(None))
    return frozenset([*found.mistakes, *(id for other in found.alternatives for id in other["mistakes"])])


def _tested(
    candidates: Iterable[Candidate], discrepancy: GradientDiscrepancy, tried: int
) -> tuple[list[tuple[Candidate, Evidence]], list[tuple[Candidate, Evidence, str]]]:
    """Proven candidates, and those within reach with the reason."""
    proven, possible = [], []
    for candidate in candidates:
        if not is_near(candidate, discrepancy, discrepancy.observed):
            continue
        evidence = _evidence(candidate, discrepancy)
        if not evidence.is_noise:
            continue
        why = _doubt(candidate.mistake, evidence, discrepancy, tried)
        if why:
            possible.append((candidate, evidence, why))
        else:
            proven.append((candidate, evidence))
    return proven, possible


def _evidence(candidate: Candidate, discrepancy: GradientDiscrepancy) -> Evidence:
    """What the candidate leaves of the errors, within its own spread."""

    def back(r: Roundings) -> Found:
        return candidate.mistake.back_propagate(discrepancy.stack, discrepancy.outputs, candidate.cells, r)

    expected = with_roundings(back, discrepancy.case, discrepancy.profile)
    return Evidence(discrepancy, expected)


def _doubt(mistake: GradientMistake, evidence: Evidence, discrepancy: GradientDiscrepancy, tried: int) -> str:
    """Why an explanation that fits is not proven; empty where it is."""
    if not evidence.improves:
        return "the errors are too small to tell it from another cause"
    if not mistake.exact and surprise(discrepancy, evidence.noise, fitted=mistake.fitted) < needed(tried):
        return "one wrong number would explain the gradients as well"
    return ""


def _named(
    proven: Sequence[tuple[Candidate, Evidence]],
    possible: Sequence[tuple[Candidate, Evidence, str]],
    discrepancy: GradientDiscrepancy,
) -> Diagnosis:
    """The proven mistake, unless a rival that gives other numbers holds too."""
    exact = [entry for entry in proven if not entry[0].mistake.fitted] or list(proven)
    if not exact:
        return _located(discrepancy, [_reachable(candidate, why, discrepancy) for candidate, _, why in possible])
    best, nearest = min(exact, key=lambda entry: entry[1].distance)
    first, evidence = next(entry for entry in exact if entry[0] is best or same_numbers(entry[0], best, discrepancy))
    doubted = [(c, e) for c, e, _ in possible if not c.mistake.fitted]
    others = [(c, e) for c, e in [*proven, *doubted] if c is not first and e.rivals(nearest)]
    rivals = [c for c, _ in others if not c.mistake.fitted and not same_numbers(c, first, discrepancy)]
    if rivals:
        why = "several mistakes that differ by less than rounding explain the gradients"
        within = [_reachable(candidate, why, discrepancy) for candidate in [first, *rivals]]
        return _located(discrepancy, within)
    mistake, case = first.mistake, discrepancy.case
    return Diagnosis(
        cause=first.title(case),
        mistakes=tuple(mistake.id.split("+")),
        parameters=dict(mistake.parameters),
        cells=first.own_cells(case),
        explanation=f"The outputs are right, the gradients are not. {mistake.explanation}",
        fix=mistake.fix,
        code=mistake.code,
        evidence={**_scores(discrepancy), "residual_after": evidence.largest / 10.0},
        alternatives=tuple(_alternative(candidate, other, first, discrepancy) for candidate, other in others),
        location=locate(discrepancy),
    )


def _scores(discrepancy: GradientDiscrepancy) -> dict[str, object]:
    scores = {f"grad:{name}": score for name, score in discrepancy.scores.items()}
    return {
        "residual_before": max(scores.values()),
        "by_quantity": scores,
        "first": {},
        "gradients": dict(discrepancy.scores),
    }


def _alternative(
    candidate: Candidate, evidence: Evidence, first: Candidate, discrepancy: GradientDiscrepancy
) -> dict[str, object]:
    return {
        "cause": candidate.title(discrepancy.case),
        "mistakes": candidate.mistake.id.split("+"),
        "residual": evidence.largest / 10.0,
        "same_on_this_case": same_numbers(candidate, first, discrepancy),
    }


def _reachable(candidate: Candidate, why: str, discrepancy: GradientDiscrepancy) -> dict[str, object]:
    return {
        "cause": candidate.title(discrepancy.case),
        "mistakes": candidate.mistake.id.split("+"),
        "parameters": dict(candidate.mistake.parameters),
        "reason": why,
    }


def _rounded(precision: str, names: list[str], discrepancy: GradientDiscrepancy) -> Diagnosis | None:
    """Gradients rounded to a short format after they were computed."""
    if not explains_rounding(precision, names, discrepancy):
        return None
    who = ", ".join(names)
    return Diagnosis(
        cause=f"gradients rounded to {precision}",
        mistakes=(f"gradient-rounded-to-{precision}",),
        explanation=f"The outputs are right. Every number of the gradients of {who} is one of {precision}, and within "
        f"half a unit of the last digit of what it should be.",
        fix=f"Keep gradients in {discrepancy.profile.name}, or verify in {precision}.",
        evidence={**_scores(discrepancy), "residual_after": 0.0},
        location=locate(discrepancy),
    )


def _located(discrepancy: GradientDiscrepancy, within_reach: Sequence[dict[str, object]] = ()) -> Diagnosis:
    """Where the errors are, without a cause."""
    location = locate(discrepancy)
    return Diagnosis(
        None,
        explanation=describe(location, discrepancy) + (_TOO_LARGE if is_large(discrepancy.case) else ""),
        evidence=_scores(discrepancy),
        within_reach=tuple(within_reach[:_MOST_LISTED]),
        location=location,
    )
