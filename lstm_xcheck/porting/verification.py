"""The proof that a ported LSTM is the same: made once, kept beside the file, repeated offline.

The function of the source's weights is fixed by the oracle's bound; source and destination are then run, by their own
frameworks where installed and by the oracle always, and every number is judged against it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ..adapters.registry import installed
from ..compare import Row, judge
from ..diagnose.detection_power import is_small, power
from ..errors import Unsupported, WorkerCrashed
from ..model import Case, LSTMWeights, Result
from ..oracle import forward
from ..workers.process import Worker
from .certificate import Ported

#: Layout of a file -> adapters of the framework it belongs to; the first that is installed is run.
_FRAMEWORKS = {
    "torch": ("torch",),
    "keras": ("keras-torch", "keras-jax", "keras-tensorflow"),
    "jax": ("jax",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}

ORACLE = "oracle"


def cases_for(lstm: Ported) -> tuple[Case, ...]:
    """The data a port is judged on: initial states, and rows of different lengths."""
    shape: dict[str, Any] = {"weights": lstm.weights, "steps": 9, "batch": 3, "precision": lstm.weights.dtype}
    spec = lstm.weights.spec
    return (
        Case.random(spec, seed=0, id=f"{lstm.name}-states", **shape),
        Case.random(spec, seed=1, ragged=True, id=f"{lstm.name}-ragged", **shape),
    )


def frameworks_of(layout: str) -> tuple[str, ...]:
    """The adapter that runs files of a layout, if its framework is installed."""
    here = installed()
    return tuple(name for name in _FRAMEWORKS.get(layout, (layout,)) if name in here)[:1]


def prove(lstms: Sequence[Ported], only: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    """Run both sides and judge every number.

    Args:
        lstms: what was ported.
        only: adapters by role, `source` and `destination`, as a certificate names them; by default what is installed.

    Returns:
        `rows`, `inputs`, `adapters` by role, `environment` by adapter.
    """
    rows: list[dict[str, Any]] = []
    inputs = []
    used: dict[str, list[str]] = {"source": [], "destination": []}
    with ExitStack() as stack:
        runners: dict[str, Worker] = {}
        for lstm in lstms:
            chosen = _roles(lstm, only)
            for case in cases_for(lstm):
                inputs.append({"id": case.id, "fingerprint": case.fingerprint})
                # What is the same on both sides is run once, and counts for both.
                known: dict[str, list[Row]] = {}
                same = lstm.written is lstm.weights
                for role, names in chosen.items():
                    weights = lstm.weights if role == "source" else lstm.written
                    for name in (ORACLE, *names):
                        if name != ORACLE and name not in runners:
                            runners[name] = stack.enter_context(Worker(installed()[name], sys.executable))
                        used[role] += [name] if name != ORACLE and name not in used[role] else []
                        if not same or name not in known:
                            known[name] = list(_judged(case, weights, name, runners.get(name)))
                        found = known[name]
                        rows += [{"lstm": lstm.name, "role": role, **row.to_dict()} for row in found]
        environment = {name: worker.environment for name, worker in runners.items()}
    return {"rows": rows, "inputs": inputs, "adapters": used, "environment": environment}


def detection_power(lstms: Sequence[Ported]) -> list[dict[str, Any]]:
    """What the matches prove: the mistakes that would have been caught, for each LSTM that is not too large."""
    first = [cases_for(lstm)[0] for lstm in lstms]
    return [power(case).to_dict() for case in first if is_small(case)]


def _roles(lstm: Ported, only: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    found = {"source": frameworks_of(lstm.layout), "destination": frameworks_of(lstm.written_layout)}
    if only is None:
        return found
    here = installed()
    return {role: tuple(name for name in only.get(role, ()) if name in here) for role in found}


def _judged(case: Case, weights: LSTMWeights, name: str, worker: Worker | None) -> Iterator[Row]:
    """The answer of one side's weights, judged against the source's function."""
    try:
        own = replace(case, weights=weights)
        result = forward(own) if worker is None else worker.run(own)
    except Unsupported as reason:
        yield Row(case.id, name, "", "unsupported", reason=str(reason))
        return
    except WorkerCrashed as reason:
        yield Row(case.id, name, "", "crashed", reason=str(reason))
        return
    yield from (row for row in judge(result, own, adapter=name, layout=_layout(worker)).rows if _about_weights(row))
    yield from judge(_outputs(result), case, adapter=name).rows


def _layout(worker: Worker | None) -> str:
    return "" if worker is None else worker.layout


def _about_weights(row: Row) -> bool:
    return row.quantity in ("weights", "parameters")


def _outputs(result: Result) -> Result:
    return replace(result, native={}, parameter_count=None)
