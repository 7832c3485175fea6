"""Verifies a port: runs both sides and judges every number.

The oracle's bound on the source's weights is the reference. Source and destination are run by the oracle and, where
installed, by their own frameworks. A certificate keeps the verdicts, and `recheck` repeats them offline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..adapters.registry import installed
from ..compare import Row, VerdictName, judge
from ..diagnose.detection_power import is_small, power
from ..errors import Unsupported, WorkerCrashed
from ..model import Case, LSTMWeights
from ..oracle import forward
from ..workers.process import Worker
from ..workers.sharing import Workers
from .certificate import Ported

ORACLE = "oracle"


def cases_for(lstm: Ported) -> tuple[Case, ...]:
    """The cases a port is judged on: initial states, and rows of different lengths."""
    shape: dict[str, Any] = {"weights": lstm.weights, "steps": 9, "batch": 3, "precision": lstm.weights.dtype}
    spec = lstm.weights.spec
    return (
        Case.random(spec, seed=0, id=f"{lstm.name}-states", **shape),
        Case.random(spec, seed=1, ragged=True, id=f"{lstm.name}-ragged", **shape),
    )


def frameworks_of(layout: str) -> tuple[str, ...]:
    """The adapter that runs files of a layout, if its framework is installed."""
    candidates = [
        entry
        for entry in installed().values()
        if layout == (entry.layout or entry.name) and entry.verifies and not entry.compiles
    ]
    return tuple(entry.name for entry in sorted(candidates, key=lambda entry: entry.rank)[:1])


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
    roles = [_roles(lstm, only) for lstm in lstms]
    for own in roles:
        for role, names in own.items():
            used[role] += [name for name in names if name not in used[role]]
    everyone = list(dict.fromkeys(name for names in used.values() for name in names))
    here = installed()
    with Workers(here[name] for name in everyone) as workers:
        workers.start(everyone)
        for lstm, own in zip(lstms, roles, strict=True):
            for case in cases_for(lstm):
                inputs.append({"id": case.id, "fingerprint": case.fingerprint})
                rows += _rows(lstm, case, own, workers)
        environment = {name: workers[name].environment for name in everyone}
    return {"rows": rows, "inputs": inputs, "adapters": used, "environment": environment}


def detection_power(lstms: Sequence[Ported], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mistakes that matches would have caught, by LSTM and comparison.

    Args:
        rows: of `prove`; each statement lists under `adapters` the sides that it is about.
    """
    statements = []
    for case in (cases_for(lstm)[0] for lstm in lstms):
        for (observed, precision), adapters in _compared(case, rows).items() if is_small(case) else ():
            stating = power(case, observed=observed, precision=precision).to_dict()
            statements.append({**stating, "adapters": sorted(adapters)})
    return statements


def _compared(case: Case, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, ...], str], set[str]]:
    """The adapters that match on a case, by what was compared."""
    judged: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        # The oracle gives the last output, too, which no port is asked for and h_n holds.
        if row["case"] == case.id and row["precision"] and row["quantity"] != "last":
            judged.setdefault(row["adapter"], {})[row["quantity"]] = row
    compared: dict[tuple[tuple[str, ...], str], set[str]] = {}
    for adapter, own in judged.items():
        if all(row["verdict"] == "match" for row in own.values()):
            precision = next(iter(own.values()))["precision"]
            compared.setdefault((tuple(sorted(own)), precision), set()).add(adapter)
    return compared


def _roles(lstm: Ported, only: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """The adapters that run each side."""
    if only is None:
        return {"source": frameworks_of(lstm.layout), "destination": frameworks_of(lstm.written_layout)}
    here = installed()
    return {role: tuple(name for name in only.get(role, ()) if name in here) for role in ("source", "destination")}


def _rows(lstm: Ported, case: Case, roles: Mapping[str, Sequence[str]], workers: Workers) -> Iterator[dict[str, Any]]:
    """The rows of both sides; equal weights are run once and count for both."""
    known: dict[str, list[Row]] = {}
    for role, names in roles.items():
        weights = lstm.weights if role == "source" else lstm.written
        for name in (ORACLE, *names):
            if name not in known or lstm.written is not lstm.weights:
                known[name] = list(_judged(case, weights, name, None if name == ORACLE else workers[name]))
            yield from ({"lstm": lstm.name, "role": role, **row.to_dict()} for row in known[name])


def _judged(case: Case, weights: LSTMWeights, name: str, worker: Worker | None) -> Iterator[Row]:
    """One side's weights and outputs, the outputs judged against the source's function."""
    try:
        own = replace(case, weights=weights)
        result = forward(own) if worker is None else worker.run(own)
    except (Unsupported, WorkerCrashed) as reason:
        verdict: VerdictName = "unsupported" if isinstance(reason, Unsupported) else "crashed"
        yield Row(case.id, name, "", verdict, reason=str(reason))
        return
    layout = "" if worker is None else worker.layout
    verdicts = judge(result, own, adapter=name, layout=layout).rows
    yield from (row for row in verdicts if row.quantity in ("weights", "parameters"))
    yield from judge(replace(result, native={}, parameter_count=None), case, adapter=name).rows
