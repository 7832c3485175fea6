"""A case in several calls, and one result of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import AdapterError, Unsupported
from ..model import Case, Result
from ..model.options import ALONG_TIME

Run = Callable[[Case], Result]


def run_in_chunks(run: Run, case: Case) -> Result:
    """The result of the calls that `case.chunks` asks for.

    Raises:
        Unsupported: where `run` returns no states to carry on.
    """
    if not case.chunks:
        return run(case)
    parts = pieces(case)
    if case.chunks in ALONG_TIME:
        return _joined(list(_carried(run, parts)), axis=1)
    results = [run(part) for part in parts]
    return _joined(results, axis=0) if case.chunks == "rows" else results[-1]


def pieces(case: Case) -> list[Case]:
    """The case of each call; carried states are not known yet."""
    if not case.chunks:
        return [case]
    whole = replace(case, chunks="")
    if case.chunks == "rows":
        return [_rows(whole, slice(row, row + 1)) for row in range(case.batch)]
    if case.chunks in ALONG_TIME:
        size = 1 if case.chunks == "steps" else case.steps // 2
        ends = list(range(size, case.steps, size)) if case.chunks == "steps" else [size]
        return [_steps(whole, start, stop) for start, stop in zip([0, *ends], [*ends, case.steps], strict=True)]
    return [whole if case.chunks == "twice" else _another(whole), whole]


def _rows(case: Case, rows: slice) -> Case:
    data: dict[str, Any] = case.arrays()
    return replace(case, **{name: data[name][:, rows] if name in ("h0", "c0") else data[name][rows] for name in data})


def _steps(case: Case, start: int, stop: int) -> Case:
    lengths = None if case.lengths is None else np.clip(np.asarray(case.lengths) - start, 0, stop - start)
    mask = None if case.mask is None else case.mask[:, start:stop]
    return replace(case, x=case.x[:, start:stop], lengths=lengths, mask=mask)


def _another(case: Case) -> Case:
    """Another sequence of the same shape, from other states."""
    states: dict[str, Any] = {name: array[..., ::-1] for name, array in case.arrays().items() if name in ("h0", "c0")}
    return replace(case, x=1.0 - case.x[:, ::-1], **states)


def _carried(run: Run, parts: list[Case]) -> Iterator[Result]:
    states: dict[str, Any] = {}
    for number, part in enumerate(parts):
        result = run(replace(part, **states))
        yield result
        states = {"h0": result.h_n, "c0": result.c_n}
        for name, state in states.items():
            if state is None:
                raise Unsupported(f"chunks: no {name[0]}_n is returned that a second call could start from")
            if number < len(parts) - 1 and not np.isfinite(state).all():
                raise AdapterError(f"call {number + 1} of {len(parts)} ends with NaN or infinity in {name[0]}_n")


def _joined(results: list[Result], *, axis: int) -> Result:
    """Results joined along time (axis 1) or rows (axis 0)."""
    axes = {"y": 1, "merged": 1} if axis else {"y": 0, "merged": 0, "last": 0, "h_n": 1, "c_n": 1}
    joined: dict[str, Any] = {}
    for name, along in axes.items():
        found = [getattr(result, name) for result in results]
        joined[name] = None if any(array is None for array in found) else np.concatenate(found, axis=along)
    lower = zip(*(result.layer_outputs for result in results), strict=True)
    return replace(results[-1], **joined, layer_outputs=tuple(np.concatenate(layer, axis=axis) for layer in lower))
