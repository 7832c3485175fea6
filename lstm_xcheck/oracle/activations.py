"""Values and slope bounds of the activation functions, in float64.

A bound on an activation's error needs the largest slope on [z - d, z + d]. It is bounded from the value alone:
the logarithm of sigmoid' changes at most at rate 1 and that of tanh' at most at rate 2, so that
sup sigmoid' <= s (1 - s) e^d and sup tanh' <= (1 - t^2) e^(2d). No difference of close numbers is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from ..model.activations import Activation

#: In place of the 1 of 1 - s and 1 - t^2, so that they are never too small: saturated s and t are off by up to 2^-52,
#: and 2^-25 where float32 holds them; squaring rounds once more.
_ONE = {"d": 1.0 + 2.0**-50, "f": 1.0 + 2.0**-23}
#: Smaller errors of pre-activations count as this much, so that one factor does for nearly all numbers.
_LEAST = 2.0**-12


def sigmoid(z: Array, out: Array | None = None) -> Array:
    """1 / (1 + exp(-z)); where exp overflows the quotient is zero, as it should be."""
    grown = np.negative(z, out=out)
    with np.errstate(over="ignore"):
        np.exp(grown, out=grown)
    grown += 1.0
    quotient: Array = np.divide(1.0, grown, out=grown)
    return quotient


def apply(activation: Activation, z: Array, out: Array | None = None) -> Array:
    """The activation's value, elementwise; `out`, which may be z, is where there is room for it."""
    if activation.kind == "sigmoid":
        return sigmoid(z, out)
    if activation.kind == "tanh":
        return np.tanh(z, out=out)
    if activation.kind == "relu":
        return np.maximum(z, 0.0)
    if activation.kind == "hard_sigmoid":
        return np.clip(activation.alpha * z + activation.beta, 0.0, 1.0)
    if activation.kind == "hard_tanh":
        return np.clip(z, -1.0, 1.0)
    if activation.kind == "softsign":
        return z / (1.0 + np.abs(z))
    if activation.kind == "tanh_pade":
        near = np.clip(z, -3.0, 3.0)
        return near * (27.0 + near**2) / (27.0 + 9.0 * near**2)
    return z


def steepest(activation: Activation, z: Array, value: Array, size: Array, d: Array, u: float = 1.0) -> Array:
    """An upper bound on the slope anywhere on [z - u d, z + u d], but for what d's type rounds; of that type.

    Args:
        z: where; `value` is the activation's there, and `size` that without its sign, rounded to d's type.
        d: in units of u.
    """
    widest = float(d.max())
    # In float32 a saturated value has no slope left. What is allowed for that counts only where d is large.
    known = size if widest <= _LEAST / u else value
    if activation.kind == "sigmoid":
        near = np.subtract(_ONE[known.dtype.char], known)
        near *= known
        return _widened(near, 2.0, d, widest, u, 0.25, 1.0)  # e^d <= 1 + 2d for d <= 1
    if activation.kind == "tanh":
        near = np.multiply(known, known)
        np.subtract(_ONE[known.dtype.char], near, out=near)
        return _widened(near, 4.0, d, widest, u, 1.0, 0.5)  # e^2d <= 1 + 4d for d <= 1/2
    return _steepest_of_pieces(activation, z, u * d).astype(d.dtype, copy=False)


def _steepest_of_pieces(activation: Activation, z: Array, d: Array) -> Array:
    """The same for functions whose slope is bounded by where z lies."""
    if activation.kind == "relu":
        return np.where(z + d > 0.0, 1.0, 0.0)
    if activation.kind == "hard_sigmoid":
        low, high = -activation.beta / activation.alpha, (1.0 - activation.beta) / activation.alpha
        return np.where((z + d >= low) & (z - d <= high), activation.alpha, 0.0)
    if activation.kind == "hard_tanh":
        return np.where(np.abs(z) - d <= 1.0, 1.0, 0.0)
    return np.ones_like(z)  # linear; softsign and tanh_pade are nowhere steeper


def _widened(near: Array, rate: float, d: Array, widest: float, u: float, most: float, reach: float) -> Array:
    """The slope at z widened to [z - u d, z + u d].

    Args:
        near: slope at z.
        rate: (1 + rate u d) is how far it grows, up to u d = reach.
        d: in units of u; the result has its type.
        widest: the largest d.
        most: the steepest anywhere.
    """
    slope = near.astype(d.dtype, copy=False)
    if widest <= _LEAST / u:
        slope *= 1.0 + rate * _LEAST
        return slope
    factor = np.maximum(d, _LEAST / u)
    factor *= rate * u
    factor += 1.0
    slope *= factor
    np.minimum(slope, most, out=slope)
    return slope if widest <= reach / u else np.where(d <= reach / u, slope, d.dtype.type(most))


def slope(activation: Activation, z: Array, value: Array) -> Array:
    """The derivative at z, from the value where frameworks take it from the value; at a kink that of one side."""
    if activation.kind == "sigmoid":
        return value * (1.0 - value)
    if activation.kind == "tanh":
        return 1.0 - value * value
    if activation.kind == "softsign":
        return 1.0 / (1.0 + np.abs(z)) ** 2
    if activation.kind == "tanh_pade":
        square = np.clip(z, -3.0, 3.0) ** 2
        return ((square - 9.0) / (3.0 * square + 9.0)) ** 2
    inside = np.ones(z.shape, dtype=bool)
    for kink, upward in kinks(activation):
        inside &= (z > kink) if upward else (z < kink)
    return np.where(inside, activation.alpha, 0.0)


def kinks(activation: Activation) -> tuple[tuple[float, bool], ...]:
    """Where the derivative jumps, and whether it is zero below (True) or above."""
    if activation.kind == "relu":
        return ((0.0, True),)
    if activation.kind == "hard_sigmoid":
        return ((-activation.beta / activation.alpha, True), ((1.0 - activation.beta) / activation.alpha, False))
    if activation.kind == "hard_tanh":
        return ((-1.0, True), (1.0, False))
    return ()


def absolute(value: Array, dtype: DTypeLike) -> Array:
    """|value| in a type; quicker than a cast at the output."""
    size: Array = value.astype(dtype)
    np.abs(size, out=size)
    return size


def error_units(activation: Activation, size: Array, tanh_absolute: float) -> Array | float:
    """The activation's own error in units of u, by the value's size: sigmoids absolutely, tanh relatively.

    The constants cover what CPU kernels of eleven libraries were measured to do: sigmoid within 2.6 u absolute
    (several saturate early or are computed through tanh, so that no relative bound holds), tanh within 7 u relative.
    """
    if activation.kind == "sigmoid":
        return 4.0
    if activation.kind == "hard_sigmoid":
        # alpha z + beta between its kinks: alpha, the product, beta and the sum are rounded once each.
        offset = abs(activation.beta)
        return max(4.0, 2.0 * max(offset, abs(1.0 - activation.beta)) + offset + 1.0)
    error = (8.0 if activation.kind in ("tanh", "tanh_pade") else 2.0) * size
    if activation.kind == "tanh":
        error += tanh_absolute
    return error
