"""Which mistake explains the observed outputs? The one that does within the bound is named, or none is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compare import judge
from ..compare.reference import expected_shapes, observed_quantities, references
from ..errors import SpecError
from ..oracle import Profile, profile_named, rougher_than
from ..spec import Case, Result
from .catalogue import CATALOGUE
from .fit import Fit, fit, layer_outputs
from .mistake import Mistake, Outputs, applied, in_cells, run_mistakes
from .pairs import fitting_pairs
from .screen import Wrongs, limit_of, near_cases, window

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


def diagnose(result: Result, case: Case, *, pairs: bool = True, catalogue: Sequence[Mistake] = CATALOGUE) -> Diagnosis:
    """Name the mistake, or the two mistakes, that explain a result.

    Args:
        result: what was observed; y with the outputs of every layer tells most.
        case: what it should have been computed from.
        pairs: whether two mistakes at once are looked for when no single one explains the result.
        catalogue: the mistakes to consider.

    Raises:
        SpecError: for outputs that no mistake can explain: another shape, not finite, or constant.

    >>> from lstm_xcheck.spec import Case, LSTMSpec
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
    evidence = _evidence(observed, case, profile)
    if all(row.verdict == "match" for row in judge(result, case).rows):
        return Diagnosis(None, explanation="Nothing is wrong: every number is what honest rounding allows.", evidence=evidence)
    fits = _fitting_singles(observed, case, profile, catalogue)
    found = [((mistake,), quality) for mistake, quality in fits]
    if not found:
        rougher = _precision(observed, case, profile, evidence)
        if rougher is not None:
            return rougher
    if not found and pairs:
        found = list(fitting_pairs(observed, case, profile, catalogue))
    return _name(found, observed, case, evidence) if found else _unexplained(evidence)


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
            raise SpecError(f"{name} holds {bad} of {array.size} numbers that are not finite; nothing can be told from them")
        if array.size > 1 and (array == array.flat[0]).all():
            raise SpecError(f"{name} is {array.flat[0]:g} everywhere; a constant output tells nothing about its cause")


def _merged_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Directions summed or averaged leave half the width."""
    return (*shape[:-1], shape[-1] // 2)


def _fitting_singles(
    observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]
) -> list[tuple[Mistake, Fit]]:
    """Every single mistake that explains the outputs, best first among what differs."""
    fits = []
    for mistake in _candidates(observed, case, profile, catalogue):
        quality = fit([mistake], observed, case, profile)
        if quality.holds:
            fits.append((mistake, quality))
    return fits


def _candidates(observed: Outputs, case: Case, profile: Profile, catalogue: Sequence[Mistake]) -> Iterator[Mistake]:
    """What survives the quick look: mistakes in all cells, of the rest, and in the wrong cells alone."""
    of_cells = [mistake for mistake in catalogue if mistake.cell is not None]
    limit = limit_of(case, observed, profile)
    yield from _near_in_cell(of_cells, observed, case, (0, 0), limit)
    others = applied([mistake for mistake in catalogue if mistake.cell is None], observed, case)
    near = near_cases([(changed, driving) for _, changed, driving in others], limit)
    yield from (mistake for (mistake, _, _), close in zip(others, near, strict=True) if close)
    wrong = wrong_cells(observed, case, profile)
    if 0 < len(wrong) < case.spec.num_layers * case.spec.num_directions:
        yield from (in_cells(mistake, wrong) for mistake in _near_in_cell(of_cells, observed, case, wrong[0], limit))


def _near_in_cell(
    mistakes: Sequence[Mistake], observed: Outputs, case: Case, where: tuple[int, int], limit: float
) -> list[Mistake]:
    """The mistakes of weights that may explain the first steps of one cell."""
    look = window(case, observed, *where, limit)
    if look is None:
        return list(mistakes)
    return Wrongs(mistakes, case.weights.layers[where[0]][where[1]]).near(case, *where, look)


def wrong_cells(observed: Outputs, case: Case, profile: Profile) -> list[tuple[int, int]]:
    """The (layer, direction) whose outputs are beyond their bound, as far as they were observed."""
    outputs = layer_outputs(observed, case)
    expected = references(case, outputs, profile)
    width, top = case.spec.output_size, case.spec.num_layers - 1
    wrong = []
    for layer, array in outputs.items():
        reference = expected["y" if layer == top else f"layer{layer}.y"]
        outside = (np.abs(array - reference.value) > reference.bound).any(axis=(0, 1))
        wrong += [(layer, d) for d in range(case.spec.num_directions) if outside[d * width : (d + 1) * width].any()]
    return wrong


def _precision(observed: Outputs, case: Case, profile: Profile, evidence: dict[str, Any]) -> Diagnosis | None:
    """A rougher arithmetic than the one asked for."""
    for rougher in rougher_than(profile.name):
        quality = fit([], observed, case, rougher)
        if quality.holds:
            return Diagnosis(
                f"computed in {rougher.name} instead of {profile.name}",
                (f"computed-in-{rougher.name}",),
                "The implementation rounds more than its types promise.",
                f"Switch {rougher.name} arithmetic off, or ask for {rougher.name} when verifying.",
                evidence={**evidence, "residual_after": quality.score},
            )
    return None


def _name(
    found: list[tuple[tuple[Mistake, ...], Fit]], observed: Outputs, case: Case, evidence: dict[str, Any]
) -> Diagnosis:
    """Name the best explanation; of those that are the same on this case, the first of the catalogue."""
    runs = [run_mistakes(mistakes, case) for mistakes, _ in found]
    best = min(range(len(found)), key=lambda k: (len(found[k][0]), found[k][1].sigmas))
    first = next(k for k in range(len(found)) if _same(runs[k], runs[best]) and len(found[k][0]) == len(found[best][0]))
    mistakes, quality = found[first]
    alternatives = tuple(
        {
            "cause": " and ".join(mistake.title for mistake in others),
            "mistakes": [mistake.id for mistake in others],
            "residual": other.score,
            "same_on_this_case": _same(runs[k], runs[first]),
        }
        for k, (others, other) in enumerate(found)
        if k != first
    )
    return Diagnosis(
        cause=" and ".join(mistake.title for mistake in mistakes),
        mistakes=tuple(mistake.id for mistake in mistakes),
        explanation=" ".join(mistake.explanation for mistake in mistakes),
        fix=" ".join(mistake.fix for mistake in mistakes),
        code="\n".join(mistake.code for mistake in mistakes if mistake.code),
        evidence={**evidence, "residual_after": quality.score},
        alternatives=alternatives,
    )


def _same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two runs give the same numbers on this case."""
    if a is None or b is None:
        return False
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= _SAME for n in a)


def _evidence(observed: Outputs, case: Case, profile: Profile) -> dict[str, Any]:
    """How wrong, and where it shows first: layer, direction, step, row and unit."""
    expected = references(case, layer_outputs(observed, case), profile)
    scores = {}
    first: dict[str, Any] = {}
    for name, array in observed.items():
        reference = expected[name]
        if array.shape != reference.value.shape:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(array - reference.value)
            ratio = np.where(error == 0, 0.0, error / reference.bound)
        scores[name] = float(ratio.max())
        if name.endswith("y") and not first and (ratio > 1.0).any():
            first = _first_wrong(name, ratio > 1.0, case)
    return {"residual_before": max(scores.values(), default=float("inf")), "by_quantity": scores, "first": first}


def _first_wrong(name: str, outside: Any, case: Case) -> dict[str, Any]:
    layer = case.spec.num_layers - 1 if name == "y" else int(name[5:-2])
    step = int(np.argmax(outside.any(axis=(0, 2))))
    row, unit = (int(k) for k in np.argwhere(outside[:, step])[0])
    direction, unit = divmod(unit, case.spec.output_size)
    return {"layer": layer, "direction": direction, "step": step, "batch": row, "unit": unit}


def _unexplained(evidence: dict[str, Any]) -> Diagnosis:
    first = evidence["first"]
    where = (
        f"It shows first in layer {first['layer']}, direction {first['direction']}, step {first['step']}"
        if first
        else "The outputs are right; only final states are wrong"
    )
    wrong = [name for name, score in evidence["by_quantity"].items() if score > 1.0]
    return Diagnosis(
        None,
        explanation=f"No mistake of the catalogue explains these outputs. {where}; wrong: {', '.join(wrong) or 'none'}.",
        evidence=evidence,
    )
