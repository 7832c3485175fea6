"""What a set of vectors proves, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..compare.reference import observed_quantities
from ..diagnose.mistake import Mistake, run_mistakes
from ..model import Case
from ..oracle import forward
from .candidates import candidates
from .cover import VectorSet, counted
from .expected import OUTPUTS, expected_outputs
from .kills import killed

#: The allowed error of kernels with tables or few bits, for which the remaining power is told.
APPROXIMATE = 1e-3


class Statement:
    """The power of vectors, in words and as data."""

    def __init__(self, vectors: VectorSet) -> None:
        self.vectors = vectors

    @cached_property
    def power_when_approximate(self) -> frozenset[str]:
        """The mutants that are killed where every number may be off by 1e-3."""
        found: set[str] = set()
        for vector in self.vectors.vectors:
            allow = max(APPROXIMATE, self.vectors.wanted.allow)
            expected = expected_outputs(vector.case, allow, uniform=self.vectors.wanted.uniform)
            found |= killed(vector.case, expected, self.vectors.mutants, vector.kills - found)
        return frozenset(found)

    @cached_property
    def not_killable(self) -> dict[str, str]:
        """Why no case of this kind shows a mistake, by mutant."""
        cases = [*(vector.case for vector in self.vectors.vectors), *candidates(replace(self.vectors.wanted, seeds=1))]
        left = {key: self.vectors.mutants[key] for key in self.vectors.mutants if key not in self.vectors.killable}
        return {key: self._reason(mistake, cases) for key, mistake in left.items()}

    def _reason(self, mistake: Mistake, cases: Iterable[Case]) -> str:
        case, outputs = next(((c, o) for c in cases if (o := run_mistakes([mistake], c)) is not None), (None, None))
        if case is None or outputs is None:
            return _why_inapplicable(mistake, self.vectors)
        honest = observed_quantities(forward(case))
        if all(np.array_equal(outputs[name].ravel(), honest[name].ravel()) for name in OUTPUTS):
            if any(outputs[name].shape != honest[name].shape for name in OUTPUTS):
                return "it changes the shape of y, no number"
            clips = "clip" in mistake.id
            return "no number is that large in such calls" if clips else "it changes nothing in such an LSTM"
        lost = mistake.family == "precision" and not self.vectors.wanted.allow
        return "it is lost in the rounding of float32" if lost else "its effect is allowed"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        chosen = self.vectors
        return {
            "schema": 1,
            "cases": [{"name": v.case.id, "bytes": v.size, "kills": sorted(v.kills)} for v in chosen.vectors],
            "bytes": chosen.size,
            "killed": len(chosen.kills),
            "killable": len(chosen.killable),
            "not_killed": sorted(chosen.killable - chosen.kills),
            "not_killable": self.not_killable,
            "at_1e-3": {
                "killed": len(self.power_when_approximate),
                "lost": sorted(chosen.kills - self.power_when_approximate),
            },
        }

    def lines(self) -> list[str]:
        """Sentences for people."""
        chosen = self.vectors
        lines = [f"{v.case.id}: {v.size:,} bytes of numbers, kills {counted(v.kills)}" for v in chosen.vectors]
        lines.append(
            f"together they kill {counted(chosen.kills)}, of {counted(chosen.killable)} that such cases can show"
        )
        lost = chosen.kills - self.power_when_approximate
        lines.append(f"with --allow {APPROXIMATE:g} they kill {counted(self.power_when_approximate)}{_but(lost)}")
        if missed := chosen.killable - chosen.kills:
            lines.append(f"not killed, for want of cases: {_listed(missed)}")
        reasons = self.not_killable
        for reason in dict.fromkeys(reasons.values()):
            keys = frozenset(key for key in reasons if reasons[key] == reason)
            lines.append(f"not killable, since {reason}: {_listed(keys)}")
        return lines


def _why_inapplicable(mistake: Mistake, vectors: VectorSet) -> str:
    wanted = vectors.wanted
    if not wanted.lengths and (mistake.family == "lengths" or mistake.id == "reads-padding-first"):
        return "no case has lengths"
    if mistake.id.startswith("length-0"):
        return "no case has a row of length 0"
    if not wanted.states and (mistake.family == "state" or mistake.id.startswith("states-")):
        return "no case has initial states, or there is one cell"
    if wanted.one_row and mistake.family == "axes":
        return "every case has one row"
    if mistake.id == "input-reshaped":
        return "it needs a call without initial states"
    if mistake.family == "orientation":
        return "its matrices have other shapes"
    return "such an LSTM has no room for it"


def _but(lost: frozenset[str]) -> str:
    return f", all but {_listed(lost)}" if lost else ""


def _listed(keys: frozenset[str]) -> str:
    """Ids in order, those of single cells after them."""
    names = sorted(keys, key=lambda key: (" in " in key, key))
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
