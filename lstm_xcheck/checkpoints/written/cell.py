"""Reads the weights of a step that a graph writes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Generic

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ...model import GATES
from ..codecs.limits import escape, shortlist
from ..detect.assemble import why_unsupported
from ..tensor_info import TensorInfo
from .flow import Flow, NoCellError, V
from .step import Step, is_surely, steps_of
from .terms import Term, span_of, terms_of

#: What PyTorch and Keras call recurrent kernels; Keras multiplies the input first, the state second.
_RECURRENT = re.compile(r"weight_hh(?![a-z])|recurrent_kernel|lstm(_cell)?(_\d+)*/(\w+/)?MatMul_1\b")


@dataclass(frozen=True)
class StepWeights:
    """W and U (4, H, inputs), perhaps b and b_r (4, H)."""

    arrays: dict[str, Array]
    dtype: str
    notes: tuple[str, ...] = ()


#: Said of a loop that reverses its sequence and not its outputs.
IN_ORDER_READ = (
    "it reads backward, and its outputs come in the order read; the canonical form is aligned with the input"
)
#: Each costs the reader some 50 microseconds.
_MOST_FAILURES = 20_000


@dataclass
class Known:
    """Weights that were read, which the steps of one LSTM share.

    `weights` are by the tensors and their parts; `left` is how many bytes may be read.
    """

    path: Path
    left: int
    failures: int = 0
    weights: dict[Hashable, StepWeights] = field(default_factory=dict)

    def add(self, key: Hashable, weights: StepWeights) -> None:
        """Keep new weights.

        Raises:
            CheckpointError: when they are too many.
        """
        self.left -= sum(array.nbytes for array in weights.arrays.values())
        if self.left < 0:
            raise CheckpointError(f"{self.path} combines its weights in too many ways; it is not a real model")
        self.weights[key] = weights

    def count_failure(self) -> None:
        """Note that a step was none after all.

        Raises:
            CheckpointError: when too many were none.
        """
        self.failures += 1
        if self.failures > _MOST_FAILURES:
            raise CheckpointError(
                f"{self.path} has more than {_MOST_FAILURES} products that look like steps of an LSTM"
            )


@dataclass(frozen=True)
class WrittenCell(Generic[V]):
    """A step with its weights."""

    step: Step[V]
    weights: StepWeights
    sequence: V  # what is multiplied with W
    state: V  # what is multiplied with U
    kernels: tuple[V, ...]  # the stored tensors
    taken: V  # one step of the sequence, or of its products with W


def cell_at(flow: Flow[V], h: V, fits: Callable[[Step[V]], bool], known: Known) -> WrittenCell[V] | None:
    """The step whose result a value is, or None.

    Args:
        flow: the graph.
        h: the value.
        fits: whether a reading may be one.
        known: what was read of this file.

    Raises:
        NoCellError: for a step that surely is an LSTM's, with weights that cannot be read.
    """
    reason: NoCellError | None = None
    for step in filter(fits, steps_of(flow, h)):
        try:
            return _cell(flow, step, known)
        except NoCellError as error:
            known.count_failure()
            reason = reason or (error if is_surely(step) else None)
    if reason is not None:
        raise reason
    return None


def refuse_other_states(flow: Flow[V], cell: WrittenCell[V]) -> None:
    """Refuse a single step whose states are not given.

    Raises:
        NoCellError: with the reason.
    """
    before = cell.step.before
    for name, value in (("c", before), ("h", cell.state)):
        if by := flow.computed_by(value):
            raise NoCellError(f"what it takes for the {name} of the step before is computed by {escape(by)}")
    if before in (cell.state, cell.sequence) and not flow.made(before).inputs and flow.constant(before) is None:
        raise NoCellError(
            f"it takes {escape(flow.name(before))} for the c of the step before and multiplies it with weights"
        )


def _cell(flow: Flow[V], step: Step[V], known: Known) -> WrittenCell[V]:
    """The weights of a step.

    Raises:
        NoCellError: where its pre-activations are no W x + U h + b of stored tensors.
    """
    gates = [list(terms_of(flow, gate)) for gate in step.gates]
    terms = [term for gate in gates for term in gate]
    feds = list(dict.fromkeys(term.fed for term in terms if term.fed is not None))
    if len(feds) != 2:
        raise NoCellError(f"its pre-activations are made of {len(feds)} products with different values instead of 2")
    kernels = tuple(dict.fromkeys(term.kernel for term in terms))
    stored = {kernel: _stored(flow, kernel) for kernel in kernels}
    state = _state(flow, step, feds, terms, stored)
    key = tuple(tuple((t.kernel, t.parts, t.place, t.fed == state, t.partner == state) for t in gate) for gate in gates)
    if key not in known.weights:
        known.add(key, _read(gates, stored, state))
    (sequence,) = [fed for fed in feds if fed != state]
    steps = {term.fed: term.step for term in terms if term.step is not None}
    if state in steps:
        raise NoCellError("it multiplies its weights with all states at once")
    return WrittenCell(step, known.weights[key], sequence, state, kernels, steps.get(sequence, sequence))


def _read(gates: list[list[Term[V]]], stored: dict[V, TensorInfo], state: V) -> StepWeights:
    types = sorted({tensor.dtype for tensor in stored.values()})
    if reason := why_unsupported(types):
        raise NoCellError(reason)
    if len(types) > 1 and "float64" in types:
        raise NoCellError("its weights are of float64 and other types")
    dtype = types[0] if len(types) == 1 else "float32"
    reader = _Reader(stored, state, _units(gates[0], stored), dtype)
    arrays = {name: [reader.weights(gate, own=name == "U") for gate in gates] for name in "WU"}
    biases, constants = zip(*(reader.biases(gate) for gate in gates), strict=True)
    count = max(len(vectors) for vectors in biases)
    if count > 2 or any(len(vectors) not in (0, count) for vectors in biases):
        raise NoCellError(f"its gates have {[len(vectors) for vectors in biases]} biases")
    zeros = np.zeros(reader.units, arrays["W"][0].dtype)
    for k, name in enumerate(("b", "b_r")[: max(count, int(any(constants)))]):
        arrays[name] = [vectors[k] if vectors else zeros for vectors in biases]
    if any(constants):
        arrays["b"] = [bias + bias.dtype.type(more) for bias, more in zip(arrays["b"], constants, strict=True)]
    shapes = {name: {part.shape for part in parts} for name, parts in arrays.items()}
    own = (reader.units, reader.units)
    if any(len(each) != 1 for each in shapes.values()) or shapes["U"] != {own} or len(arrays["W"][0]) != own[0]:
        raise NoCellError(f"its weights are {listed(stored.values())}, not those of an LSTM")
    added = zip(GATES, constants, strict=True)
    notes = [f"the graph adds {more:g} to the bias of {gate}" for gate, more in added if more]
    notes += [f"stored as {' and '.join(types)}, widened to float32"] if len(types) > 1 else []
    return StepWeights({name: np.stack(parts) for name, parts in arrays.items()}, dtype, tuple(notes))


def _stored(flow: Flow[V], kernel: V) -> TensorInfo:
    tensor = flow.constant(kernel)
    if tensor is None:
        raise NoCellError(f"its weights are computed by other operators ({escape(flow.made(kernel).kind)})")
    return tensor


def _units(terms: list[Term[V]], stored: dict[V, TensorInfo]) -> int:
    term = next((term for term in terms if term.fed is not None), None)
    shape = stored[term.kernel].shape if term is not None else ()
    if term is None or len(shape) != 2:
        raise NoCellError(f"its weights are {listed(stored.values())}, not those of an LSTM")
    start, stop = span_of(term.parts, shape[0 if term.transposed else 1])
    return stop - start


def _state(flow: Flow[V], step: Step[V], feds: list[V], terms: list[Term[V]], stored: dict[V, TensorInfo]) -> V:
    """Which of two values is the h of the step before."""
    products = {term.fed: term for term in terms if term.fed is not None}
    units = _units(terms, stored)

    def square(fed: V) -> bool:
        term = products[fed]
        columns = stored[term.kernel].shape[1 if term.transposed else 0]
        if term.places == 1:
            return columns == units
        return columns != 2 * units and flow.width(fed) == units

    def named(fed: V) -> bool:
        term = products[fed]
        return term.places == 1 and any(map(_RECURRENT.search, (term.name, flow.name(term.kernel))))

    # What is sure comes first; names decide where shapes do not.
    for tells in (lambda fed: flow.is_state(fed, step.h), square, named):
        fitting = [fed for fed in feds if tells(fed)]
        if len(fitting) == 1:
            return fitting[0]
    raise NoCellError(
        f"nothing tells which of its weights {listed(stored.values())} take the input and which the state"
    )


def listed(tensors: Iterable[TensorInfo]) -> str:
    """Tensors as messages list them."""
    return shortlist([f"{escape(one.name)} {one.dtype}{list(one.shape)[:8]}" for one in tensors])


class _Reader(Generic[V]):
    """Reads the weights of one step, each tensor once."""

    def __init__(self, stored: dict[V, TensorInfo], state: V, units: int, dtype: str) -> None:
        self._stored, self._state, self.units = stored, state, units
        mixed = len({tensor.dtype for tensor in stored.values()}) > 1

        @cache
        def load(kernel: V) -> Array:
            values = stored[kernel].load()
            return values.astype(dtype) if mixed else values

        self._load = load

    def weights(self, terms: list[Term[V]], *, own: bool) -> Array:
        """One gate's rows of W, or of U (`own`)."""
        found = [term for term in terms if term.fed is not None and (term.fed == self._state) == own]
        if len(found) != 1:
            raise NoCellError(f"a gate has {len(found)} products with its {'state' if own else 'input'}")
        (term,) = found
        kernel = self._load(term.kernel)
        if kernel.ndim != 2:
            raise NoCellError(f"its weights are {listed(self._stored.values())}, not those of an LSTM")
        rows = kernel if term.transposed else kernel.T
        start, stop = span_of(term.parts, rows.shape[0])
        rows = rows[start:stop]
        if term.places == 1:
            return rows
        if term.places != 2:
            raise NoCellError(f"it multiplies {term.places} values that are joined")
        first = (term.place == 0) == own  # whether the state comes first
        cut = self.units if first else rows.shape[1] - self.units
        return rows[:, :cut] if term.place == 0 else rows[:, cut:]

    def biases(self, terms: list[Term[V]]) -> tuple[list[Array], float]:
        """One gate's biases, the input's first, and its single numbers summed."""
        vectors: list[tuple[bool, Array]] = []
        number = 0.0
        for term in terms:
            if term.fed is not None:
                continue
            values = self._load(term.kernel)
            if values.size == 1 and self.units > 1:
                number += float(values.reshape(()))
                continue
            if values.shape and values.size != values.shape[-1]:
                raise NoCellError(f"its weights are {listed(self._stored.values())}, not those of an LSTM")
            start, stop = span_of(term.parts, values.size)
            vectors.append((term.partner == self._state, values.reshape(-1)[start:stop]))
        return [vector for _, vector in sorted(vectors, key=lambda entry: entry[0])], number
