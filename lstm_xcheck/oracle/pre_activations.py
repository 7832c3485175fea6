"""Pre-activations z = W x + U h + b + b_r of many steps, with error bound and standard deviation.

With a = W x, h = U h_{t-1}, B = |b| + |b_r|, L1 = |W||x| + |U||h_{t-1}| + B and n the non-zeros of a row and 2 biases:

    |dz| <= n u_sum L1                         any order of summation, fused or not (Jeannerod and Rump, 2013)
          + u_in |w| |x|                       for operands that are no numbers of the format
          + u (3 (|a| + |h| + B) + |z|)        where partial results are stored in 16 bits

a and h are stored, and two of the sums that follow hold any of a, h, b, b_r; the last is z. If roundings are
independent of the order of signs, a sum has the variance n/6 Q + n/3 z^2 in units of one rounding, with Q the sum of
the squared products. Kernels sum a and h apart, and b and b_r may cancel, so that

    var z = k^2 u_sum^2 (n/3 + 1) (Q + D)      D = a^2 + h^2 + z^2 + B^2,   k = 1/2 the rms of one rounding
          + 2/3 u^2 D                          where partial results are stored in 16 bits
          + u_in^2 (Q/2 + a^2 + h^2)           where operands are rounded; truncation errs to one side

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
    """The sums of one cell with what their error bounds need, for one precision profile."""

    def __init__(self, cell: Cell, profile: Profile, dtype: DTypeLike) -> None:
        p = profile
        self.cell, self.profile, self.dtype = cell, p, np.dtype(dtype)
        terms, bias, bias_mass = (part[_ORDER] for part in (cell.terms, cell.bias, cell.bias_mass))
        relative = terms * p.u_sum
        rows = self._rows(bias)
        self.kernels = _columns(rows)
        errors = absolute(rows, self.dtype)
        #: Squares of the weights, a factor of [1, x^2, h^2].
        self.squares = _columns(errors * errors)
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
        of_sums = ROUNDING_VARIANCE * (p.u_sum / p.u) ** 2 * (terms / 3.0 + 1.0)
        self.of_sums = of_sums[:, None, None].astype(self.dtype)
        self.bias = bias[:, None, None]
        self.bias_mass = bias_mass[:, None, None].astype(self.dtype)
        #: Whether partial results are stored in a lower precision than they are summed in, or may be.
        self.stores = p.is_low or p.u > p.u_sum
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
        """Pre-activations, their bound, and standard deviation / bound, each (4, steps, batch, hidden).

        Args:
            inputs: 1, x and h_{t-1} in one row, (steps, batch, 1 + input + output).
        """
        p, width = self.profile, inputs.shape[-1] - self.cell.spec.output_size
        a = product(inputs[..., 1:width], self.kernels[:, 1:width])
        h = product(inputs[..., width:], self.kernels[:, width:])
        z = a + h
        z += self.bias
        size = absolute(inputs, self.dtype)
        bound = product(size, self.errors)
        rounded = p.u_in > 0.0 and self._add_operands(inputs, bound)
        size *= size
        variance = product(size, self.squares)
        parts = [part.astype(self.dtype) for part in (a, h, z)]
        if self.stores:
            bound += (1.0 + 8.0 * p.u) * self._stored(*parts)
        for part in parts:
            np.multiply(part, part, out=part)
        of_products = parts[0]
        of_products += parts[1]
        operands = (p.u_in / p.u) ** 2 * (0.5 * variance + of_products) if rounded else 0.0
        of_products += parts[2]
        of_products += self.bias_mass**2
        variance += of_products
        variance *= self.of_sums
        if self.stores:
            of_products *= 2.0 * STORED_VARIANCE
            variance += of_products
        variance += operands
        np.sqrt(variance, out=variance)
        variance /= bound
        return [z, bound, variance]

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


def is_inexact(numbers: Array, bits: int) -> Array:
    """Whether each is no number of so many significant bits; with 0 bits none is."""
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
