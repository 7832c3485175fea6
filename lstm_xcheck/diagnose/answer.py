"""Words an answer: the named mistake, or where an unexplained error is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compare.lower_precision import eight_bit_step
from .diagnosis import Diagnosis
from .fit import Fit
from .locate import describe_location, locate
from .low_precision import likely_precision
from .mistake import Mistake, Outputs, run_mistakes
from .observations import describe_patterns
from .probe import Ask, is_large, is_nondeterministic
from .stages import Explanation, Search

#: So many explanations within reach are listed.
_MOST_LISTED = 8
#: Sums of squares that differ by no more prefer neither: 20 to 1.
_HARDLY = 2.0 * math.log(20.0)
_AMBIGUOUS = "another mistake explains these outputs as well: more steps, rows or quantities would tell them apart"
#: Float64 runs that differ by no more than this are the same on a case.
_SAME = 1e-12


def unexplained(search: Search, ask: Ask | None) -> Diagnosis:
    """A diagnosis without a cause."""
    discrepancy = search.discrepancy
    lower = likely_precision(discrepancy.observed, discrepancy.case, discrepancy.profile)
    hint = f" The errors look like those of computing in {lower}." if lower else ""
    if step := eight_bit_step(discrepancy.observed):
        hint = f" All outputs are multiples of {step:.3g} apart: does the model compute with integers of 8 bits?"
    patterns = describe_patterns(discrepancy.observed, discrepancy.case)
    hint += f" {patterns}" if patterns else ""
    if ask is not None and is_nondeterministic(discrepancy, ask):
        hint += " The same case run again gives other numbers: the answer is not deterministic; is dropout left on?"
    if is_large(discrepancy.case):
        hint += " Two mistakes at once were not looked for in a model of this size: look at a smaller one of its kind."
    elif search.free_runs.exhausted:
        hint += " Not every pair of mistakes was tried: give the outputs of every layer, or a smaller case."
    location = locate(discrepancy)
    alone = bool(location.get("outputs_alone"))
    wrong = discrepancy.describe_unexplained(within_reach=bool(search.within_reach), outputs_alone=alone)
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


def named(found: list[Explanation], search: Search, ask: Ask | None) -> Diagnosis:
    """Name the best explanation, unless a rival fits as well."""
    discrepancy, catalogue = search.discrepancy, search.catalogue
    order = {mistake.id: k for k, mistake in enumerate(catalogue)}
    found = sorted(found, key=lambda entry: [order.get(mistake.id, len(order)) for mistake in entry[0]])
    runs = [run_mistakes(mistakes, discrepancy.case) for mistakes, _ in found] if len(found) > 1 else [None]
    best = min(range(len(found)), key=lambda k: found[k][1].rms_sigmas)
    first = next(k for k in range(len(found)) if k == best or _same(runs[k], runs[best]))
    mistakes, quality = found[first]
    if not search.numbers and any(
        k != first and _is_rival(other, quality) and not _same(runs[k], runs[first])
        for k, (_, other) in enumerate(found)
    ):
        search.within_reach.extend((explanation, _AMBIGUOUS) for explanation in found)
        return unexplained(search, ask)
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


def _is_rival(other: Fit, best: Fit) -> bool:
    """Whether the data hardly prefer the best explanation to another."""
    more = other.forced.squares + other.free.squares - best.forced.squares - best.free.squares
    return more <= _HARDLY


def _title(mistakes: Sequence[Mistake]) -> str:
    return " and ".join(mistake.title for mistake in mistakes)


def _same(a: Outputs | None, b: Outputs | None) -> bool:
    """Whether two runs give the same numbers on this case; `last` only repeats y."""
    if a is None or b is None:
        return False
    names = [name for name in a if name != "last" or "y" not in a]
    return all(a[n].shape == b[n].shape and float(np.abs(a[n] - b[n]).max()) <= _SAME for n in names)
