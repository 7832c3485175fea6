"""Names the mistake behind a finding: on its case and on a designed one."""

from __future__ import annotations

from dataclasses import replace

from ..adapters import Entry
from ..diagnose import Diagnosis, diagnose
from ..engine import Recipe
from ..errors import SpecError
from ..model import Result
from ..workers.pool import Worker
from .search import Finding, answered


def explain(finding: Finding, entry: Entry, timeout: float = 30.0) -> Diagnosis | None:
    """The diagnosis of a finding; None for a crash.

    On a small case one mistake may look like another. The implementation also runs a probe of the same kind, designed
    so that every mistake shows, and only a mistake that explains both is named.
    """
    if finding.result is None or finding.outcome.verdict not in ("mismatch", "suspect"):
        return None
    small = _diagnosed(finding.result, finding.recipe)
    if small.evidence and small.cause is None:
        return small
    with Worker(entry, timeout=timeout) as worker:
        for recipe in probes_of(finding.recipe):
            outcome, result = answered(worker, recipe)
            if result is not None and outcome.verdict in ("mismatch", "suspect"):
                return _together(small, _diagnosed(result, recipe))
    return small


def probes_of(recipe: Recipe) -> list[Recipe]:
    """Probes of the same kind, large enough to tell mistakes apart; with biases first."""
    sizes = {"hidden": 6, "input": 5, "steps": 7, "batch": 3}
    larger = {name: max(getattr(recipe, name), size) for name, size in sizes.items()}
    probe = replace(recipe, **larger, states=True, one_hot=False, init="probe")
    return list(dict.fromkeys([replace(probe, bias="split"), probe]))


def _diagnosed(result: Result, recipe: Recipe) -> Diagnosis:
    """The diagnosis, or without evidence the reason why there is none."""
    try:
        return diagnose(result, recipe.case())
    except SpecError as reason:
        return Diagnosis(None, explanation=f"{reason}.")


def _together(small: Diagnosis, probe: Diagnosis) -> Diagnosis:
    """What explains both cases; the probe may show a second mistake."""
    possible = {small.mistakes, *(tuple(other["mistakes"]) for other in small.alternatives)}
    if not small.evidence or any(set(mistakes) & set(probe.mistakes) for mistakes in possible):
        return probe
    explanation = f"The smallest case looks like {small.cause}, but a larger one does not. {probe.explanation}"
    return Diagnosis(None, explanation=explanation, evidence=small.evidence)
