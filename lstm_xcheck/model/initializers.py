"""Random weights, states and inputs with the same bits on every NumPy.

Only `Philox` + `Generator.random()` (whose stream NumPy guarantees) and correctly rounded elementwise
operations are used: no `normal()`, libm, BLAS or `np.sum`, whose last bits vary between builds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from .spec import LSTMSpec
from .weights import CellWeights, GateArray, expected_shapes

#: Mean pre-activation of the gates i, f, g, o in a probe: different, so that exchanged gates are detected.
PROBE_GATE_MEANS = (0.4, 0.9, -0.6, 0.1)
#: The same for "range" units, whose gates nearly saturate, to detect tanh approximations and clips.
PROBE_RANGE_MEANS = (2.2, 2.9, 4.5, 1.2)
#: Non-zeros in each row of W and U: the error bound grows with them, not with the width.
PROBE_NONZEROS = 4


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A separate random stream for each purpose.

    The size of one tensor therefore never changes the numbers of another.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Array:
    """Uniform numbers in [low, high)."""
    return low + (high - low) * rng.random(shape)


def signed(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Array:
    """Numbers of random sign and magnitude in [low, high)."""
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0) * uniform(rng, shape, low, high)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Nearly normal numbers: twelve uniforms minus six (Irwin-Hall), added in order."""
    total: Array
    total, *others = rng.random((12, *shape))
    for drawn in others:
        total += drawn
    return total - 6.0


def range_units(hidden_size: int) -> Array:
    """The units of a probe that are near saturation, every fourth one."""
    saturated: Array = np.arange(hidden_size) % 4 == 3
    return saturated


def random_cell(spec: LSTMSpec, layer: int, direction: int, seed: int, init: str) -> CellWeights:
    """One direction of one layer, drawn by the named initializer."""
    if init not in INITIALIZERS:
        raise SpecError(f"unknown init {init!r}; expected one of {', '.join(INITIALIZERS)}")
    shapes = expected_shapes(spec, layer)
    draw = INITIALIZERS[init]
    arrays: dict[str, Any] = {
        name: draw(generator(seed, init, layer, direction, name), name, shape, spec) for name, shape in shapes.items()
    }
    return CellWeights(**{k: v.view(GateArray) if k in ("W", "U", "b", "b_r") else v for k, v in arrays.items()})


def _probe(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
    """Sparse, asymmetric weights; every tensor non-zero, both biases different."""
    if name in ("b", "b_r"):
        means = np.where(range_units(spec.hidden_size), np.array([PROBE_RANGE_MEANS]).T, np.array([PROBE_GATE_MEANS]).T)
        # The first bias carries 0.7 of the mean and the second 0.3: never equal, never zero.
        share = 1.0 if spec.bias == "single" else (0.7 if name == "b" else 0.3)
        return share * means + signed(rng, shape, 0.05, 0.3)
    if name in ("peephole", "projection"):
        dense = name == "peephole"
        return signed(rng, shape, 0.1, 0.4) if dense else _sparse(rng, shape, amplitude=1.6)
    return _sparse(rng, shape, amplitude=1.8 if name == "W" else 2.0)


def _sparse(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> Array:
    """A few non-zeros per row, spread over all columns."""
    columns = shape[-1]
    nonzeros = min(PROBE_NONZEROS, columns)
    values = signed(rng, shape, 0.35, 1.0) * (amplitude / nonzeros**0.5)
    order = np.argsort(rng.random((*shape[:-2], columns)), axis=-1, kind="stable")[..., None, :]
    start = nonzeros * np.arange(shape[-2])[:, None]
    keep = (np.arange(columns) - start) % columns < nonzeros
    mask = np.take_along_axis(np.broadcast_to(keep, shape), np.broadcast_to(order, shape), axis=-1)
    return np.where(mask, values, 0.0)


def _torch(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
    """torch 2.13.0 `RNNBase.reset_parameters`: everything uniform within 1 / sqrt(hidden)."""
    bound = 1.0 / float(spec.hidden_size) ** 0.5
    return uniform(rng, shape, -bound, bound)


def _keras(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
    """keras 3.15.1 `LSTM`: Glorot uniform, orthogonal, zero bias with ones for the forget gate."""
    if name in ("b", "b_r"):
        bias = np.zeros(shape)
        bias[1] = 1.0 if name == "b" else 0.0
        return bias
    if name == "U":
        gates, hidden, width = shape
        return _orthonormal_rows(rng, width, gates * hidden).T.reshape(shape)
    limit = (6.0 / (shape[-1] + 4 * spec.hidden_size)) ** 0.5
    return uniform(rng, shape, -limit, limit)


def _orthonormal_rows(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """Gram-Schmidt with sums in a fixed order, independent of BLAS."""
    basis = normal(rng, (rows, columns))
    for row in range(rows):
        for _ in range(2):  # the second pass removes rounding errors of the first
            overlap = _tree_sum(basis[:row] * basis[row])
            basis[row] = basis[row] - _tree_sum((basis[:row] * overlap[:, None]).T)
        basis[row] = basis[row] / np.sqrt(_tree_sum(basis[row : row + 1] * basis[row]))[0]
    return basis


def _tree_sum(terms: Array) -> Array:
    """Sum the last axis pairwise, in an order that depends on its length only."""
    while terms.shape[-1] > 1:
        half = terms.shape[-1] // 2
        rest = terms[..., 2 * half :]
        terms = np.concatenate([terms[..., :half] + terms[..., half : 2 * half], rest], axis=-1)
    return terms[..., 0] if terms.shape[-1] else np.zeros(terms.shape[:-1])


def _scaled(weight: float, recurrent: float, bias: float, forget: float = 0.0) -> _Draw:
    """Dense, nearly normal weights of given standard deviations, with a forget bias.

    Those of matrices are multiplied by 1 / sqrt(columns).
    """

    def draw(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
        scale = {"W": weight, "U": recurrent, "projection": 1.0}.get(name)
        values: Array = normal(rng, shape)
        if scale is not None:
            values *= scale / float(shape[-1]) ** 0.5
            return values
        values *= bias
        if name == "b":
            values[1] += forget
        return values

    return draw


def _positive(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
    values: Array = uniform(rng, shape, 0.02, 1.0) / float(shape[-1])
    return values


def _outliers(rng: np.random.Generator, name: str, shape: tuple[int, ...], spec: LSTMSpec) -> Array:
    values: Array = normal(rng, shape) * (0.5 / float(shape[-1]) ** 0.5)
    return np.where(rng.random(shape) < 0.02, values * 40.0, values)


#: Quoted, since NumPy loads its generators on first access.
_Draw = Callable[["np.random.Generator", str, tuple[int, ...], LSTMSpec], Array]

#: Initializers by name. The regimes after `torch` are those in which careless comparisons fail.
INITIALIZERS: dict[str, _Draw] = {
    "probe": _probe,
    "keras": _keras,
    "torch": _torch,
    "normal": _scaled(1.0, 1.0, 0.3),
    "saturated": _scaled(6.0, 6.0, 2.0),
    "longmem": _scaled(1.0, 0.5, 0.3, forget=6.0),
    "chaotic": _scaled(1.0, 4.0, 0.3),
    "chaos8": _scaled(1.0, 8.0, 0.3),
    "tiny": _scaled(1e-4, 1e-4, 1e-4),
    "positive": _positive,
    "outliers": _outliers,
}
