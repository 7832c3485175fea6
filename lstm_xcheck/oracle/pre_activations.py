"""Pre-activations of one cell with error bound and variance.

With a = W x, h = U h_{t-1}, z = a + h + b + b_r, B = |b| + |b_r|, L1 = |W||x| + |U||h_{t-1}| + B and n the non-zeros
of a row and 2 biases:

    |dz| <= n u_sum L1                         any order of summation, fused or not (Jeannerod and Rump, 2013)
          + u_in |w| |x|                       for operands that are no numbers of the format
          + u (3 (|a| + |h| + B) + |z|)        where partial results are stored in 16 bits

a and h are stored, and two of the sums that follow hold any of a, h, b, b_r; the last is z. If roundings are
independent of the order of signs, a sum has the variance n/6 Q + n/3 z^2 in units of one rounding, with Q the sum of
the squared products. Kernels sum a and h apart, and b and b_r may cancel, so that

    var z = k^2 u_sum^2 (n/3 + 1) (Q + D)      D = a^2 + h^2 + z^2 + B^2,   k = 1/2 the rms of one rounding
          + 2/3 u^2 D                          where partial results are stored in 16 bits
          + 1/4 u_in^2 (Q + D)                 where operands are rounded; truncation errs to one side

Gates are stacked in front in the order i, f, o, g; bounds are in units of u and variances in units of u^2.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from .activations import absolute
from .cell import Cell
from .precision_profiles import Profile

#: Maximum weights of a cell whose transposed kernels are copied and cached.
SMALL = 32_768
#: Indices of i, f, o, g in the canonical order i, f, g, o.
_ORDER = np.array([0, 1, 3, 2])
#: Variance of one rounding of spread mantissas, in units of u^2: at most 1/3, of a single mantissa.
ROUNDING_VARIANCE = 0.25
#: Variance of a rounding whose mantissas may all be the same.
STORED_VARIANCE = 1.0 / 3.0


class PreActivations:
    """The sums of one cell and their error bounds, for one precision profile."""

    def __init__(self, cell: Cell, profile: Profile, dtype: DTypeLike) -> None:
        p = profile
        self.cell, self.profile, self.dtype = cell, p, np.dtype(dtype)
        terms, bias, bias_mass = (part[_ORDER] for part in (cell.terms, cell.bias, cell.bias_mass))
        relative = terms * p.u_sum
        rows = self._rows(bias)
        self.kernels = _columns(rows)
        errors = absolute(rows, self.dtype)
        #: Half the squares of the weights, of b and of B, a factor of [1, x^2, h^2]; relative to `scale`.
        self.scale = _scale(errors)
        half_squares = np.multiply(errors, 0.5**0.5 / self.scale).astype(np.float32, copy=False)
        half_squares *= half_squares
        half_squares[..., 0] += 0.5 * (bias_mass / self.scale) ** 2
        self.half_squares = _columns(half_squares)
        # The same for dz, from [1, |x|, |h|]. The rounding of that product, about 2^-24 per term in float32, is added;
        # it covers underflows beyond eta.
        allowed = relative * (1.0 + 2.0**-22 * terms) / p.u
        errors *= allowed[..., None].astype(self.dtype)
        #: Whether weights are rounded as operands.
        self.rounds_weights = False
        if p.u_in:
            inexact = is_inexact(rows, p.operand_bits)
            inexact[..., 0] = False
            self.rounds_weights = bool(inexact.any())
            if self.rounds_weights:
                errors += np.where(inexact, np.abs(rows) * (p.u_in * (1.0 + p.u_in) / p.u), 0.0).astype(self.dtype)
        errors[..., 0] = allowed * bias_mass + 2.0 * terms * p.eta / p.u * (1.0 + 2.0**-22 * terms)
        self.errors = _columns(errors)
        of_sums = 2.0 * ROUNDING_VARIANCE * (p.u_sum / p.u) ** 2 * (terms / 3.0 + 1.0)
        self.of_sums = of_sums[:, None, None].astype(self.dtype)
        self.bias = bias[:, None, None]
        self.bias_mass = bias_mass[:, None, None].astype(self.dtype)
        #: Whether partial results are stored in a lower precision than they are summed in, or may be.
        self.stores = p.is_low or p.u > p.u_sum
        #: What half a unit of the last digit printed of h_{t-1} costs: bound and variance.
        recurrent = np.abs(rows[..., 1 + cell.weights.W.shape[2] :]) * (p.resolution / p.u)
        self.of_digits = recurrent.sum(axis=-1)[:, None, None].astype(self.dtype)
        self.variance_of_digits = (recurrent**2 / 3.0).sum(axis=-1)[:, None, None].astype(self.dtype)
        #: Factor on an error of the inputs, which passes through a rounded product.
        self.rounded = (1.0 + relative + p.u_in * (2.0 + p.u_in) + 8.0 * p.u * self.stores)[:, None, None]

    def _rows(self, bias: Array) -> Array:
        """[b | W | U] of each unit, a factor of [1, x, h]."""
        w, u = np.asarray(self.cell.weights.W), np.asarray(self.cell.weights.U)
        inputs = 1 + w.shape[-1]
        rows = np.empty((*bias.shape, inputs + u.shape[-1]))
        rows[..., 0] = bias
        for row, gate in zip(rows, _ORDER, strict=True):
            row[:, 1:inputs], row[:, inputs:] = w[gate], u[gate]
        return rows

    @cached_property
    def magnitudes(self) -> Array:
        """|[b; W; U]|."""
        return np.abs(self.kernels)

    def of(self, inputs: Array) -> list[Array]:
        """Pre-activations, their bound, and their variance, each (4, steps, batch, hidden).

        Args:
            inputs: 1, x and h_{t-1} in one row, (steps, batch, 1 + input + output).
        """
        p, width = self.profile, inputs.shape[-1] - self.cell.spec.output_size
        # Where a itself is not needed, the bias is a term of it: D holds the bias once more.
        first = 1 if self.stores else 0
        z = product(inputs[..., first:width], self.kernels[:, first:width])
        a = z.astype(self.dtype)
        of_h = product(inputs[..., width:], self.kernels[:, width:])
        h = of_h.astype(self.dtype)
        z += of_h
        if self.stores:
            z += self.bias
        size = absolute(inputs, self.dtype)
        bound = product(size, self.errors)
        factor = self.of_sums
        if p.u_in and self._add_operands(inputs, bound):
            factor = factor + np.asarray(0.5 * (p.u_in / p.u) ** 2, self.dtype)
        variance = self._half_squares(size)
        if self.stores:
            bound += (1.0 + 8.0 * p.u) * self._stored(a, h, z)
        # a^2 + h^2 + (a + h)^2 is twice a (a + h) + h^2.
        half = a + h
        half *= a
        h *= h
        half += h
        variance += half
        variance *= factor
        if self.stores:
            half += 0.5 * self.bias_mass**2
            half *= 4.0 * STORED_VARIANCE
            variance += half
        if p.resolution:
            bound += self.of_digits
            variance += self.variance_of_digits
        return [z, bound, variance]

    def _half_squares(self, size: Array) -> Array:
        """(Q + B^2) / 2 from |inputs|, scaled where float32 needs it."""
        scale = _scale(size)
        scaled = size.astype(np.float32) if scale == 1.0 else np.multiply(size, 1.0 / scale).astype(np.float32)
        scaled *= scaled
        total = product(scaled, self.half_squares)
        total = total.astype(self.dtype, copy=False)
        if scale * self.scale != 1.0:
            total *= scale * self.scale
            total *= scale * self.scale  # the square of a large scale is no float
        return total

    def _stored(self, a: Array, h: Array, z: Array) -> Array:
        """Bound on the roundings of stored partial results."""
        total = np.abs(a)
        total += np.abs(h)
        total += self.bias_mass
        total *= 3.0
        total += np.abs(z)
        return total

    def _add_operands(self, inputs: Array, bound: Array) -> bool:
        """Add to the bound what rounding inputs costs; whether any operand is rounded."""
        p = self.profile
        inexact = is_inexact(inputs, p.operand_bits)
        inexact[..., 0] = False
        if not inexact.any():
            return self.rounds_weights
        errors = np.where(inexact, np.abs(inputs) * (p.u_in * (1.0 + p.u_in) / p.u), 0.0)
        bound += product(errors, self.magnitudes)
        return True


def _scale(sizes: Array) -> float:
    """A power of two to divide by before squaring in float32; usually 1."""
    largest = float(sizes.max())
    return 1.0 if 1e-6 <= largest <= 1e12 or largest == 0.0 else float(2.0 ** np.frexp(largest)[1])


def is_inexact(numbers: Array, bits: int) -> Array:
    """Whether each has more significant bits than these; with 0 all do."""
    if not bits:
        return np.ones(numbers.shape, bool)
    mantissa, _ = np.frexp(numbers)
    mantissa *= 2.0**bits
    inexact: Array = mantissa != np.rint(mantissa)
    return inexact


def product(inputs: Array, kernels: Array) -> Array:
    """Products of (steps, batch, width) and (4, width, hidden): (4, steps, batch, hidden)."""
    products: Array = np.matmul(inputs.reshape(-1, inputs.shape[-1]), kernels)
    return products.reshape(4, *inputs.shape[:2], -1)


def _columns(rows: Array) -> Array:
    """Rows as columns; small ones are copied, which halves the time of products."""
    columns = rows.swapaxes(1, 2)
    return np.ascontiguousarray(columns) if columns.size <= SMALL else columns
