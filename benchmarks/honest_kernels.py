"""Honest LSTMs in NumPy in many arithmetics: orders of summation, activations, biases and precisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from lstm_xcheck.arrays import Array, round_to
from lstm_xcheck.model import Case, CellWeights, Result
from lstm_xcheck.model.spec import Activation
from lstm_xcheck.oracle.activations import apply

Rounding = Callable[[Array], Array]


@dataclass(frozen=True)
class Kernel:
    """One arithmetic.

    Attributes:
        precision: in which results are stored; with `own` sums are rounded to it as well.
        sums, add, sigmoid, tanh: names in SUMS, ADDS, SIGMOIDS and TANHS.
        fused: whether f c + i g is rounded once less.
    """

    precision: str
    sums: str
    add: str
    sigmoid: str
    tanh: str
    fused: bool = False
    own: bool = False

    @property
    def type(self) -> type:
        """In which it is computed."""
        return np.float64 if self.precision == "float64" else np.float32

    @property
    def store(self) -> Rounding:
        """Rounding of a stored result."""
        if self.precision in ("float32", "float64"):
            return lambda array: array
        return lambda array: round_to(array, self.precision).astype(np.float32)

    @property
    def accumulate(self) -> Rounding:
        """Rounding of a partial sum."""
        return self.store if self.own else lambda array: array


# --- sums of products: (rows, n) and (units, n) ---


def _blas(x: Array, w: Array, _: Rounding) -> Array:
    return x @ w.T


def _one_by_one(x: Array, w: Array, r: Rounding, order: Iterable[int] | None = None) -> Array:
    total = np.zeros((len(x), len(w)), x.dtype)
    for k in range(w.shape[1]) if order is None else order:
        total = r(total + r(x[:, k, None] * w[:, k]))
    return total


def _fused(x: Array, w: Array, r: Rounding) -> Array:
    total, wide = np.zeros((len(x), len(w)), x.dtype), np.float64 if x.dtype == np.float32 else np.longdouble
    a, b = x.astype(wide), w.astype(wide)
    for k in range(w.shape[1]):
        total = r((total + a[:, k, None] * b[:, k]).astype(x.dtype))
    return total


def _pairwise(x: Array, w: Array, r: Rounding) -> Array:
    parts = r(np.moveaxis(x[:, None, :] * w, -1, 0))
    while len(parts) > 1:
        half = len(parts) // 2
        parts = np.concatenate([r(parts[0 : 2 * half : 2] + parts[1 : 2 * half : 2]), parts[2 * half :]])
    return parts[0] if len(parts) else np.zeros((len(x), len(w)), x.dtype)


def _blocks(x: Array, w: Array, r: Rounding) -> Array:
    total = np.zeros((len(x), len(w)), x.dtype)
    for k in range(0, w.shape[1], 16):
        total = r(total + _one_by_one(x[:, k : k + 16], w[:, k : k + 16], r))
    return total


def _strides(x: Array, w: Array, r: Rounding) -> Array:
    total = np.zeros((len(x), len(w)), x.dtype)
    for start in range(min(4, w.shape[1])):
        total = r(total + _one_by_one(x[:, start::4], w[:, start::4], r))
    return total


def _exact(x: Array, w: Array, r: Rounding) -> Array:
    return r((x.astype(np.float64) @ w.astype(np.float64).T).astype(x.dtype))


SUMS: dict[str, Callable[[Array, Array, Rounding], Array]] = {
    "blas": _blas,
    "one by one": _one_by_one,
    "reversed": lambda x, w, r: _one_by_one(x, w, r, range(w.shape[1] - 1, -1, -1)),
    "largest first": lambda x, w, r: _one_by_one(x, w, r, np.argsort(-np.abs(w).sum(axis=0))),
    "fused": _fused,
    "pairwise": _pairwise,
    "blocks of 16": _blocks,
    "strides of 4": _strides,
    "exact": _exact,
}
#: Those that round each partial sum by themselves.
ROUNDED_SUMS = tuple(name for name in SUMS if name not in ("blas", "exact"))


# --- activations ---


def _sigmoid_of_positive(z: Array, _: Rounding) -> Array:
    less = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + less), less / (1 + less))


def _quotient_sigmoid(z: Array, _: Rounding) -> Array:
    grown = np.exp(np.minimum(z, 80))
    return grown / (grown + 1)


def _tanh_sigmoid(z: Array, store: Rounding) -> Array:
    half = z.dtype.type(0.5)
    return half * store(np.tanh(half * z)) + half


def _noisy_sigmoid(z: Array, _: Rounding) -> Array:
    """exp within 2 units in the last place."""
    grown = np.exp(-z)
    off = np.random.default_rng(z.size).integers(-2, 3, z.shape).astype(z.dtype)
    return 1 / (1 + np.where(np.isfinite(grown), grown + off * np.spacing(grown), grown))


SIGMOIDS: dict[str, Callable[[Array, Rounding], Array]] = {
    "exp": lambda z, _: 1 / (1 + np.exp(-z)),
    "each operation stored": lambda z, store: 1 / store(1 + store(np.exp(-z))),
    "exp2": lambda z, _: 1 / (1 + np.exp2(z.dtype.type(-1.4426950408889634) * z)),
    "of |z|": _sigmoid_of_positive,
    "quotient": _quotient_sigmoid,
    "tanh": _tanh_sigmoid,
    "noisy": _noisy_sigmoid,
}
_NUMERATOR = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
_DENOMINATOR = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)


def _eigen_tanh(z: Array) -> Array:
    """The quotient of polynomials of Eigen and XLA; for float32."""
    if z.dtype != np.float32:
        return np.tanh(z)
    near = np.clip(z, np.float32(-7.90531110763549805), np.float32(7.90531110763549805))
    square, top, bottom = near * near, np.float32(0), np.float32(0)
    for coefficient in _NUMERATOR:
        top = top * square + np.float32(coefficient)
    for coefficient in _DENOMINATOR:
        bottom = bottom * square + np.float32(coefficient)
    return np.where(np.abs(z) < np.float32(0.0004), z, top * near / bottom)


def _expm1_tanh(z: Array) -> Array:
    less = np.expm1(-2 * np.abs(z))
    return -np.sign(z) * less / (less + 2)


def _series_tanh(z: Array) -> Array:
    """A series near zero, else exp, as in CUDA."""
    kind, square = z.dtype.type, z * z
    near = z + z * square * (
        kind(-1 / 3) + square * (kind(2 / 15) + square * (kind(-17 / 315) + square * kind(62 / 2835)))
    )
    return np.where(np.abs(z) < 0.15, near, 1 - 2 / (1 + np.exp(2 * z)))


TANHS: dict[str, Callable[[Array], Array]] = {
    "library": np.tanh,
    "eigen": _eigen_tanh,
    "expm1": _expm1_tanh,
    "series": _series_tanh,
}


def _quotient_tanh(z: Array) -> Array:
    return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


#: With an absolute error.
ABSOLUTE_TANHS: dict[str, Callable[[Array], Array]] = {
    "2 sigmoid(2x) - 1": lambda z: 2 / (1 + np.exp(-2 * z)) - 1,
    "1 - 2 / (1 + exp(2x))": lambda z: 1 - 2 / (1 + np.exp(2 * z)),
    "(1 - e) / (1 + e)": lambda z: np.sign(z) * ((1 - np.exp(-2 * np.abs(z))) / (1 + np.exp(-2 * np.abs(z)))),
    "sinh / cosh": lambda z: _quotient_tanh(np.clip(z, -20, 20)),
}
#: Orders in which a = W x, h = U h_{t-1} and both biases are added.
ADDS: dict[str, Callable[[Rounding, Array, Array, Array, Array], Array]] = {
    "a + h + b + b_r": lambda s, a, h, b, b_r: s(s(s(a + h) + b) + b_r),
    "b + b_r + a + h": lambda s, a, h, b, b_r: s(s(s(b + b_r) + a) + h),
    "h + a + (b + b_r)": lambda s, a, h, b, b_r: s(s(h + a) + s(b + b_r)),
    "(a + b) + (h + b_r)": lambda s, a, h, b, b_r: s(s(a + b) + s(h + b_r)),
    "(a + (b + b_r)) + h": lambda s, a, h, b, b_r: s(s(a + s(b + b_r)) + h),
}


def run(case: Case, kernel: Kernel) -> Result:
    """Outputs, final states and every lower layer's outputs."""
    spec, x = case.spec, np.asarray(case.x, kernel.type)
    outputs, h_n, c_n = [], [], []
    with np.errstate(all="ignore"):
        for layer in range(spec.num_layers):
            halves = [_direction(case, layer, d, x, kernel) for d in range(spec.num_directions)]
            x = np.concatenate([y for y, _, _ in halves], axis=-1)
            outputs.append(x)
            h_n += [h for _, h, _ in halves]
            c_n += [c for _, _, c in halves]
    return Result(y=x, h_n=np.stack(h_n), c_n=np.stack(c_n), layer_outputs=tuple(outputs[:-1]))


def _direction(case: Case, layer: int, direction: int, x: Array, kernel: Kernel) -> tuple[Array, Array, Array]:
    spec, cell = case.spec, case.weights.layers[layer][direction]
    h, c = (case.initial(name, layer, direction).astype(kernel.type) for name in ("h0", "c0"))  # type: ignore[arg-type]
    y = np.zeros((case.batch, case.steps, spec.output_size), kernel.type)
    parameters = _Parameters.of(cell, spec.hidden_size, kernel)
    times = range(case.steps)
    for t in reversed(times) if spec.is_backward(direction) else times:
        new_h, new_c = _step(case, parameters, x[:, t], h, c, kernel)
        keep = case.valid[:, t, None]
        h, c = np.where(keep, new_h, h), np.where(keep, new_c, c)
        y[:, t] = np.where(keep, new_h, 0)
    return y, h, c


@dataclass(frozen=True)
class _Parameters:
    """Arrays of one cell as a kernel reads them."""

    w: Array
    u: Array
    b: Array
    b_r: Array
    peephole: Array | None
    projection: Array | None

    @classmethod
    def of(cls, cell: CellWeights, hidden: int, kernel: Kernel) -> _Parameters:
        """All gates in one matrix."""
        w, u = (np.asarray(a, kernel.type).reshape(4 * hidden, -1) for a in (cell.W, cell.U))
        b, b_r = (
            np.zeros(4 * hidden, kernel.type) if a is None else np.asarray(a, kernel.type).reshape(-1)
            for a in (cell.b, cell.b_r)
        )
        more = (None if a is None else np.asarray(a, kernel.type) for a in (cell.peephole, cell.projection))
        return cls(w, u, b, b_r, *more)


def _step(case: Case, p: _Parameters, x: Array, h: Array, c: Array, kernel: Kernel) -> tuple[Array, Array]:
    spec, store, product = case.spec, kernel.store, SUMS[kernel.sums]
    a, r = (store(product(v, m, kernel.accumulate)) for v, m in ((x, p.w), (h, p.u)))
    z = ADDS[kernel.add](store, a, r, p.b, p.b_r)
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
    gate, candidate, output = (
        _function(Activation.parse(name), kernel)
        for name in (spec.gate_activation, spec.cell_activation, spec.output_activation)
    )
    if p.peephole is not None:
        z_i, z_f = store(z_i + store(p.peephole[0] * c)), store(z_f + store(p.peephole[1] * c))
    i, f, g = gate(z_i), gate(z_f), candidate(z_g)
    if spec.coupling == "f=1-i":
        f = store(1 - i)
    elif spec.coupling == "i=1-f":
        i = store(1 - f)
    if kernel.fused:
        wide = np.float64 if kernel.type == np.float32 else np.longdouble
        c = store((f.astype(wide) * c + store(i * g)).astype(kernel.type))
    else:
        c = store(store(f * c) + store(i * g))
    if p.peephole is not None:
        z_o = store(z_o + store(p.peephole[2] * c))
    h = store(gate(z_o) * output(c))
    return (h if p.projection is None else store(product(h, p.projection, kernel.accumulate))), c


def _function(activation: Activation, kernel: Kernel) -> Rounding:
    if activation.kind == "sigmoid":
        return lambda z: kernel.store(SIGMOIDS[kernel.sigmoid](z, kernel.store))
    if activation.kind == "tanh":
        return lambda z: kernel.store((TANHS | ABSOLUTE_TANHS)[kernel.tanh](z))
    return lambda z: kernel.store(apply(activation, z))
