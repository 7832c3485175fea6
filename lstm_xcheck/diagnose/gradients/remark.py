"""Says of wrong outputs that their gradients were not looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar, cast

from ...model import Case, Result
from ..diagnosis import Diagnosis

Diagnose = TypeVar("Diagnose", bound=Callable[..., Diagnosis])

_REMARK = "Gradients follow from the outputs and were not looked at: mend the outputs first."


def remarks_on_gradients(diagnose: Diagnose) -> Diagnose:
    """A diagnosis that mentions gradients which it did not look at."""

    @wraps(diagnose)
    def with_remark(result: Result, case: Case, **options: Any) -> Diagnosis:
        found = diagnose(result, case, **options)
        if "gradients" in found.evidence or not (case.gradients or result.gradients):
            return found
        evidence = {**found.evidence, "gradients": {}}
        return replace(found, explanation=f"{found.explanation} {_REMARK}", evidence=evidence)

    return cast(Diagnose, with_remark)
