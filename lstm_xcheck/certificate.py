"""The proof that a ported LSTM is the same: made once, kept beside the file, repeated offline.

The function of the source's weights is fixed by the oracle's bound; source and destination are then run, by their own
frameworks where installed and by the oracle always, and every number is judged against it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .adapters.registry import installed
from .arrays import Array
from .compare import Row, judge
from .diagnose.power import is_small, power
from .errors import Unsupported, UserError, WorkerCrashed
from .layouts import TABLE, adapt_cell
from .oracle import forward
from .spec import Case, CellWeights, LSTMWeights, Result
from .sweep.pool import Worker

SCHEMA = 1
KIND = "lstm-xcheck certificate"

#: Layout of a file -> adapters of the framework it belongs to; the first that is installed is run.
_FRAMEWORKS = {
    "torch": ("torch",),
    "keras": ("keras-torch", "keras-jax", "keras-tensorflow"),
    "jax": ("jax",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}

ORACLE = "oracle"


@dataclass(frozen=True)
class Ported:
    """One LSTM before and after.

    Attributes:
        name: in the source.
        weights: the source's.
        layout: the source's.
        names: in the destination: one, or the layers of a chain.
        written: what the destination holds, joined to a stack again.
        written_layout: the destination's.
    """

    name: str
    weights: LSTMWeights
    layout: str
    names: tuple[str, ...]
    written: LSTMWeights
    written_layout: str


def joined(layers: Sequence[LSTMWeights]) -> LSTMWeights:
    """The layers of a chain as one stack."""
    first = layers[0]
    if len(layers) == 1:
        return first
    rows = tuple(row for weights in layers for row in weights.layers)
    return LSTMWeights(replace(first.spec, num_layers=len(rows)), rows, first.dtype)


def losses(lstm: Ported) -> list[dict[str, Any]]:
    """What the destination cannot say to the last bit, with its size: sums of two biases, and forget biases less 1."""
    found = []
    cells = [
        cell if cell.b is None else adapt_cell(cell, "single", lstm.weights.dtype) for *_, cell in lstm.weights.cells()
    ]
    if lstm.weights.spec.bias == "split" and lstm.written.spec.bias == "single":
        pairs = zip(lstm.weights.cells(), cells, strict=True)
        found.append(_loss(lstm, "two biases summed into one", [_rounding(own, total) for (*_, own), total in pairs]))
    if any(row.name == lstm.written_layout and row.forget_bias for row in TABLE):
        pairs = zip(lstm.written.cells(), cells, strict=True)
        errors = [np.abs(held.total_bias[1] - total.total_bias[1]) for (*_, held), total in pairs]
        if any(error.any() for error in errors):
            found.append(_loss(lstm, "1 taken off the forget bias, which the framework adds itself", errors))
    return found


def _rounding(own: CellWeights, summed: CellWeights) -> Array:
    """How far each sum is from b + b_r: exact, as the larger one is taken off first (Dekker's fast two-sum)."""
    b, b_r = (np.asarray(bias, np.float64) for bias in (own.b, own.b_r))
    large, small = np.where(np.abs(b) >= np.abs(b_r), (b, b_r), (b_r, b))
    error: Array = np.abs(small - (summed.total_bias - large))
    return error


def _loss(lstm: Ported, what: str, errors: Sequence[Array]) -> dict[str, Any]:
    return {
        "lstm": lstm.name,
        "what": what,
        "numbers": int(sum(error.size for error in errors)),
        "rounded": int(sum(np.count_nonzero(error) for error in errors)),
        "max_abs": float(max(error.max() for error in errors)),
    }


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


def strength(lstms: Sequence[Ported]) -> list[dict[str, Any]]:
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


def verdict_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """`disagree` for anything proven or suspected wrong, `error` for a crash or no match at all, else `agree`."""
    seen = {row["verdict"] for row in rows}
    if seen & {"mismatch", "suspect"}:
        return "disagree"
    return "error" if "crashed" in seen or "match" not in seen else "agree"


def seal(content: Mapping[str, Any]) -> str:
    """A hash over everything a certificate says but the hash itself."""
    rest = {key: value for key, value in content.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_certificate(path: Path) -> dict[str, Any]:
    """The content of a certificate.

    Raises:
        UserError: for a file that is missing or none of this kind.
    """
    try:
        if path.stat().st_size > 1 << 28:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND or content["schema"] != SCHEMA:
            raise ValueError(f"kind {content['kind']!r}, schema {content['schema']!r}")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); expected a certificate, X.xcheck.json") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no certificate ({error}); make one with: lstm-xcheck port SRC DST") from error
    found: dict[str, Any] = content
    return found


def fingerprints(weights: LSTMWeights) -> dict[str, Any]:
    """What identifies weights in a certificate."""
    return {"fingerprint": weights.fingerprint, "dtype": weights.dtype, "spec": weights.spec.to_dict()}


def largest(rows: Sequence[Mapping[str, Any]]) -> float:
    """The largest error / bound among rows."""
    scores = [float(row["score"]) for row in rows if row["score"] is not None]
    return max(scores, default=0.0)
