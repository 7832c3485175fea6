"""The answer of a search: the mistake, or where the error is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..display import Shown, Summary
from .mistake import Mistake


@dataclass(frozen=True)
class Diagnosis(Shown):
    """Why outputs are wrong.

    Attributes:
        cause: the mistake in a few words; None when none is proven.
        mistakes: the ids of the catalogue that make up the cause: one, or two together.
        parameters: numbers of the cause, such as {"value": 2.7, "standard_error": 1e-6} of a fitted one.
        cells: the (layer, direction) that alone have the mistake; empty for all.
        explanation, fix, code: why it happens, what to do, and that as code on canonical arrays.
        evidence: residuals (error / bound) before and after, and where the error shows first.
        alternatives: other mistakes that explain the outputs, and whether they give the same numbers on this case.
        profile: error and bound by step, and what each gate would need; {} where the outputs are right.
        nothing_wrong: whether every number is what rounding, of the computation or of printed digits, allows.
        within_reach: mistakes that would explain the outputs but are not proven, each with the reason.
        named: the mistakes themselves, with fitted numbers; not in JSON.
        location: where the error is, in terms of layer, direction, step, gate and array; {} where nothing is wrong.
    """

    cause: str | None
    mistakes: tuple[str, ...] = ()
    parameters: dict[str, float] = field(default_factory=dict)
    cells: tuple[tuple[int, int], ...] = ()
    explanation: str = ""
    fix: str = ""
    code: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    alternatives: tuple[dict[str, Any], ...] = ()
    within_reach: tuple[dict[str, Any], ...] = ()
    location: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    nothing_wrong: bool = False
    named: tuple[Mistake, ...] = field(default=(), repr=False, compare=False)

    def summary(self) -> Summary:
        """The cause, why, and the fix; without a cause, where the error is."""
        title = self.cause or ("nothing is wrong" if self.nothing_wrong else "no mistake is proven")
        notes = (full_explanation(vars(self)), f"fix: {self.fix}" if self.fix else "")
        others = tuple(f"or: {other['cause']}" for other in self.alternatives)
        return Summary(title, notes=tuple(note for note in (*notes, *others) if note))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lists = ("mistakes", "cells", "alternatives", "within_reach")
        data = {name: value for name, value in vars(self).items() if name != "named"}
        return {**data, **{name: list(getattr(self, name)) for name in lists}}


def full_explanation(found: Mapping[str, Any]) -> str:
    """The explanation of a diagnosis (as plain data), and what is within reach.

    >>> reach = [{"cause": "cell clipped", "mistakes": ["cell-clip"], "reason": "one number fits as well"}]
    >>> full_explanation({"explanation": "No mistake explains it.", "within_reach": reach})
    'No mistake explains it. Within reach, not proven: cell clipped (one number fits as well).'
    """
    reach = [f"{other['cause']} ({other['reason']})" for other in found.get("within_reach", ())]
    return str(found["explanation"]) + (f" Within reach, not proven: {'; '.join(reach)}." if reach else "")
