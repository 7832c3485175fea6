"""An implementation run beside the trace of an LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..compare import Row, judge
from ..compare.reference import observed_quantities
from ..diagnose import Diagnosis, diagnose, full_explanation
from ..diagnose.discrepancy import Discrepancy
from ..diagnose.fit import difference, error_ratio
from ..errors import AdapterError, Unsupported, WorkerCrashed
from ..model import Case
from ..oracle import profile_named
from ..workers.process import Worker
from .custom_adapters import chosen_entries


@dataclass(frozen=True)
class AdapterTrace:
    """What an implementation answers to a case.

    Attributes:
        rows: each judged quantity.
        y: its outputs, shape (batch, steps, output * directions).
        score: error / bound of each, by an oracle that follows the implementation's own states.
        diagnosis: of a wrong answer.
    """

    adapter: str
    rows: tuple[Row, ...]
    y: Array
    score: Array
    diagnosis: Diagnosis | None

    @property
    def sentence(self) -> str:
        """The verdict, and why it is none of "right"."""
        if self.diagnosis is None:
            undecided = [row.reason for row in self.rows if row.verdict == "inconclusive"]
            return f"{self.adapter}: " + ("; ".join(undecided) or "every number is what honest rounding allows")
        fix = f" {self.diagnosis.fix}" if self.diagnosis.fix else ""
        return f"{self.adapter} is wrong: {self.diagnosis.cause or full_explanation(self.diagnosis.to_dict())}.{fix}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is no number becomes text."""
        diagnosis = None if self.diagnosis is None else self.diagnosis.to_dict()
        numbers = {name: _plain(getattr(self, name)) for name in ("y", "score")}
        return {
            "adapter": self.adapter,
            "rows": [row.to_dict() for row in self.rows],
            **numbers,
            "diagnosis": diagnosis,
        }


def _plain(array: Array) -> Any:
    text = array.astype(str)
    return np.where(np.isfinite(array), array.astype(object), text.astype(object)).tolist()


def trace_adapter(adapter: str, case: Case, timeout: float = 60.0) -> AdapterTrace:
    """Run `NAME` or `NAME=TARGET`, as `verify` takes them, on one case.

    Raises:
        AdapterError: for an unknown adapter, and for one that refuses the case, crashes or gives no outputs.
    """
    own = "=" in adapter
    (entry,) = chosen_entries(None if own else [adapter], [adapter] if own else [])
    with Worker(entry, timeout=timeout) as worker:
        try:
            result = worker.run(case)
        except (Unsupported, WorkerCrashed) as reason:
            raise AdapterError(f"{entry.name} gives no answer to trace: {reason}") from reason
        verdict = judge(result, case, adapter=entry.name)
        wrong = verdict.verdict in ("mismatch", "suspect")
        diagnosis = diagnose(result, case, ask=worker.run) if wrong else None
    expected = (case.batch, case.steps, case.spec.output_size * case.spec.num_directions)
    if result.y is None or result.y.shape != expected:
        found = "no sequence of outputs" if result.y is None else f"outputs of shape {result.y.shape}"
        raise AdapterError(
            f"{entry.name} gives {found}, but should give (batch, steps, output) = {expected} for a trace"
        )
    profile = profile_named(result.computed_in or case.precision)
    array, reference = Discrepancy.of(observed_quantities(result), case, profile).comparable["y"]
    score = error_ratio(difference(array, reference.value), reference.bound)
    return AdapterTrace(entry.name, verdict.rows, result.y, score, diagnosis)
