"""An honest LSTM in NumPy that adds up in random order: float32 or float64 arithmetic, nothing of the oracle.

Every pre-activation is a sum of products W x, U h and p c and of biases. The order is drawn for each step: all terms in
one sum or parts summed apart, one after the other, pairwise, or as a random tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array

#: The diagonal of each gate that sees c, by the gate's place in i, f, g, o.
PEEPHOLES = {0: 0, 1: 1, 3: 2}


def evaluate(case: lx.Case, seed: int, gates: str = "ifgo", *, lower_outputs: bool = True) -> lx.Result:
    """The case computed in its own precision.

    Args:
        case: with precision float32 or float64.
        seed: of the order of all sums.
        gates: which gate's weights each of i, f, g, o takes; `ifgo` is right, anything else is the mutant.
        lower_outputs: whether the outputs of the layers below the top are given, too.
    """
    spec, run = case.spec, _Run(case, Random(seed), ["ifgo".index(gate) for gate in gates])
    x, outputs, h_n, c_n = np.asarray(case.x), [], [], []
    with np.errstate(over="ignore", under="ignore"):
        for layer in range(spec.num_layers):
            halves = [run.direction(layer, direction, x) for direction in range(spec.num_directions)]
            x = np.concatenate([y for y, _, _ in halves], axis=-1)
            outputs.append(x)
            h_n += [h for _, h, _ in halves]
            c_n += [c for _, _, c in halves]
    last = np.concatenate(h_n[-spec.num_directions :], axis=-1)
    lower = tuple(outputs[:-1]) if lower_outputs else ()
    return lx.Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), last=last, layer_outputs=lower)


class _Run:
    def __init__(self, case: lx.Case, random: Random, gates: Sequence[int]) -> None:
        self.case, self.spec, self.random, self.gates = case, case.spec, random, gates
        self.kind: Any = np.dtype(case.precision).type

    def direction(self, layer: int, direction: int, x: Array) -> tuple[Array, Array, Array]:
        case = self.case
        h, c = (case.initial(name, layer, direction).astype(self.kind) for name in ("h0", "c0"))
        y = np.zeros((case.batch, case.steps, self.spec.output_size), self.kind)
        steps = range(case.steps)
        for t in reversed(steps) if self.spec.is_backward(direction) else steps:
            new_h, new_c = self.step(case.weights.cell(layer, direction), x[:, t], h, c)
            valid = case.valid[:, t, None]
            h, c = np.where(valid, new_h, h), np.where(valid, new_c, c)
            y[:, t] = np.where(valid, h, self.kind(0))
        return y, h, c

    def step(self, cell: Any, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        spec, one = self.spec, self.kind(1)
        z_i, z_f, z_g = (self.pre_activation(cell, place, x, h, c) for place in range(3))
        i, f = (self.activation(spec.gate_activation, z) for z in (z_i, z_f))
        if spec.coupling is not None:
            i, f = (i, one - i) if spec.coupling == "f=1-i" else (one - f, f)
        c = _clipped(f * c + i * self.activation(spec.cell_activation, z_g), spec.cell_clip)
        o = self.activation(spec.gate_activation, self.pre_activation(cell, 3, x, h, c))
        h = o * self.activation(spec.output_activation, c)
        if cell.projection is not None:
            h = _clipped(self.sum(self.products(np.asarray(cell.projection), h)), spec.proj_clip)
        return h, c

    def pre_activation(self, cell: Any, place: int, x: Array, h: Array, c: Array) -> Array:
        gate = self.gates[place]
        groups = [self.products(np.asarray(cell.W)[gate], x), self.products(np.asarray(cell.U)[gate], h)]
        ones = np.ones((len(x), 1), self.kind)
        groups += [[np.asarray(bias)[gate] * ones] for bias in (cell.b, cell.b_r) if bias is not None]
        if cell.peephole is not None and place in PEEPHOLES:
            groups.append([np.asarray(cell.peephole)[PEEPHOLES[place]] * c])
        self.random.shuffle(groups)
        if self.random.random() < 0.5:
            total = self.sum([term for group in groups for term in group])
        else:
            total = self.sum([self.sum(group) for group in groups])
        return _clipped(total, self.spec.gate_clip)

    def products(self, matrix: Array, vector: Array) -> list[Array]:
        """One term of (batch, rows) for each column."""
        return [vector[:, k, None] * matrix[:, k] for k in range(matrix.shape[1])]

    def sum(self, terms: Sequence[Array]) -> Array:
        """The terms added up in a random order, each addition rounded once."""
        terms = list(terms)
        self.random.shuffle(terms)
        how = self.random.choice(["sequential", "pairwise", "tree"])
        while len(terms) > 1:
            if how == "pairwise":
                pairs = [terms[k] + terms[k + 1] for k in range(0, len(terms) - 1, 2)]
                terms = pairs + terms[2 * len(pairs) :]
            else:
                second = terms.pop(self.random.randrange(1, len(terms)) if how == "tree" else 1)
                terms[0] = terms[0] + second
                if how == "tree":
                    terms.append(terms.pop(0))
        return terms[0]

    def activation(self, name: str, z: Array) -> Array:
        kind, _, numbers = name.partition(":")
        if kind == "hard_sigmoid":
            alpha, beta = (self.kind(float(number)) for number in numbers.split(","))
            return np.clip(alpha * z + beta, self.kind(0), self.kind(1))
        if kind == "sigmoid":
            return self.kind(1) / (self.kind(1) + np.exp(-z))
        return {"tanh": np.tanh, "relu": lambda v: np.maximum(v, self.kind(0)), "linear": lambda v: v}[kind](z)


def _clipped(value: Array, clip: float | None) -> Array:
    return value if clip is None else np.clip(value, -value.dtype.type(clip), value.dtype.type(clip))
