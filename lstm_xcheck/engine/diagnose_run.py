"""`diagnose --run`: runs an implementation and names its mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..adapters.registry import own_entry
from ..compare import judge
from ..diagnose import Diagnosis, diagnose
from ..diagnose.probe import shrunk
from ..errors import AdapterError, NothingComparedError, SpecError, Unsupported, WorkerCrashed
from ..model import Case, LSTMWeights, Result
from ..workers.process import Worker

#: Cases by name: whether with these weights, and what else they have. Probes show nearly every mistake.
_CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "probe": (False, {}),
    "weights": (True, {"steps": 12}),
    "weights-short": (True, {"steps": 4}),
    "probe-lengths": (False, {"ragged": True}),
    "weights-lengths": (True, {"ragged": True}),
    "weights-zero-states": (True, {"states": False, "returns": "last"}),
    "weights-gradients": (True, {"gradients": True, "batch": 3}),
    "probe-square": (False, {"steps": 4}),
}


def diagnose_run(target: str, weights: LSTMWeights, timeout: float, *, pairs: bool) -> tuple[Diagnosis, bool]:
    """The diagnosis of the implementation's answers, and whether nothing is wrong.

    Of several wrong answers, the first whose explanation is the only one counts.

    Raises:
        AdapterError: when it cannot be run.
        NothingComparedError: when it refuses every case, or nothing is decided.
    """
    with Worker(own_entry("the-implementation", target, str(Path.cwd())), timeout=timeout) as worker:
        stateful = _stateful(worker, weights)
        if stateful is not None:
            return stateful, False
        found: list[Diagnosis] = []
        reasons: list[str] = []
        compared = 0
        for case in _cases(weights):
            try:
                result = worker.run(case)
                verdict = judge(result, case).verdict
            except Unsupported as reason:
                reasons.append(str(reason))
                continue
            except (WorkerCrashed, SpecError) as crash:
                raise AdapterError(f"--run {target}: case {case.id}: {crash}") from crash
            compared += verdict == "match"
            if verdict in ("mismatch", "suspect"):
                found.append(_diagnosis(result, case, worker.run, pairs=pairs))
                if found[-1].cause is not None and not found[-1].alternatives:
                    return found[-1], False
    if found:
        return next((one for one in found if one.cause is not None), found[0]), False
    if not compared:
        raise NothingComparedError(
            f"--run {target} could not be compared on any case; {'; '.join(dict.fromkeys(reasons))}"
        )
    explanation = f"Nothing is wrong: {compared} cases match."
    return Diagnosis(None, explanation=explanation, nothing_wrong=True), True


def _stateful(worker: Worker, weights: LSTMWeights) -> Diagnosis | None:
    """The diagnosis of the second call, where only the first is right."""
    case = Case.random(weights.spec, weights=weights, steps=6, batch=4, seed=41, states=False, id="second-call")
    try:
        results = [worker.run(case), worker.run(case)]
    except (Unsupported, WorkerCrashed):  # the cases that follow say so
        return None
    first, second = (judge(result, case).verdict for result in results)
    wrong = first == "match" and second in ("mismatch", "suspect")
    return _diagnosis(results[1], case, None, pairs=False) if wrong else None


def _diagnosis(result: Result, case: Case, ask: Callable[[Case], Result] | None, *, pairs: bool) -> Diagnosis:
    try:
        found = diagnose(result, case, pairs=pairs, ask=ask)
    except SpecError as reason:  # outputs of another shape, or not finite
        return Diagnosis(None, explanation=f"{reason}.")
    return replace(found, explanation=f"{found.explanation} Seen in case {case.id}.")


def _cases(weights: LSTMWeights) -> Iterator[Case]:
    spec = weights.spec
    small = shrunk(spec)
    square = replace(small, input_size=small.hidden_size)
    for name, (own, options) in _CASES.items():
        if "chunks" in options and (spec.bidirectional or spec.reverse):
            continue
        chosen = spec if own else square if name == "probe-square" else small
        own_weights = {"weights": weights} if own else {}
        yield Case.random(
            chosen,
            **{"steps": 6, "batch": 4, "seed": 41, "precision": weights.dtype, "id": name, **options, **own_weights},
        )
