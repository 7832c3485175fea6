"""Activation functions in float64: values, slopes and error bounds.

A bound on an activation's error needs the largest slope on [z - d, z + d]. It is bounded from the value alone:
the logarithm of sigmoid' changes at most at rate 1 and that of tanh' at most at rate 2, so that
sup sigmoid' <= s (1 - s) e^d and sup tanh' <= (1 - t^2) e^(2d). No difference of close numbers is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..arrays import Array
from ..model.spec import Activation

#: Stands for 1 in 1 - s and 1 - t^2, so that they are never too small: saturated s and t are off by up to 2^-52, in
#: float32 by 2^-25; squaring rounds once more.
_ONE = {"d": 1.0 + 2.0**-50, "f": 1.0 + 2.0**-23}
#: Smaller errors of pre-activations are rounded up to this one, so that nearly all numbers share one factor.
_LEAST = 2.0**-12


def sigmoid(z: Array, out: Array | None = None) -> Array:
    """1 / (1 + exp(-z)), zero where exp overflows."""
    grown = np.negative(z, out=out)
    with np.errstate(over="ignore"):
        np.exp(grown, out=grown)
    grown += 1.0
    quotient: Array = np.divide(1.0, grown, out=grown)
    return quotient


def apply(activation: Activation, z: Array, out: Array | None = None) -> Array:
    """The activation elementwise; `out`: buffer for sigmoid and tanh, may be z."""
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
    """Upper bound on the slope in an interval, up to rounding in d's type.

    The interval is [z - u d, z + u d]. `value` is the activation at z, `size` its magnitude in d's type.
    """
    widest = float(d.max())
    # A value saturated in float32 has slope zero; the allowance for that matters only where d is large.
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
    """The same for piecewise functions, whose slope depends on where z lies."""
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
        rate: the slope grows at most by the factor 1 + rate u d, up to u d = reach.
        d: half width in units of u; the result has its type.
        widest: the largest d.
        most: the largest slope anywhere.
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
    """The derivative at z, from the value where frameworks do so; one-sided at kinks."""
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
    """Points where the derivative jumps, and whether it is zero below (True) or above."""
    if activation.kind == "relu":
        return ((0.0, True),)
    if activation.kind == "hard_sigmoid":
        return ((-activation.beta / activation.alpha, True), ((1.0 - activation.beta) / activation.alpha, False))
    if activation.kind == "hard_tanh":
        return ((-1.0, True), (1.0, False))
    return ()


def absolute(value: Array, dtype: DTypeLike) -> Array:
    """|value| in a type, faster than a cast afterwards."""
    size: Array = value.astype(dtype)
    np.abs(size, out=size)
    return size


def error_units(activation: Activation, size: Array, tanh_absolute: float) -> Array | float:
    """Bound on an activation's rounding error in units of u.

    It is absolute for sigmoids and relative for the others. The constants cover measured CPU kernels of eleven
    libraries: sigmoid within 2.6 u absolute (several saturate early or use tanh, so that no relative bound exists),
    tanh within 7 u relative.
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


def stored_error_units(size: Array, kind: str, finer: float) -> Array:
    """Bound on the error of a sigmoid or tanh stored in 16 bits.

    In units of their u, it covers every number of both formats in torch, XLA and TensorFlow: sigmoids within 1.43 u,
    whether exp overflows, each operation is stored or tanh is used; a tanh is evaluated with roundoff `finer` u and
    stored once.
    """
    if kind == "sigmoid":
        return np.minimum(1.5, 2.25 * size + 0.5)
    error: Array = (1.0 + 8.0 * finer) * size
    return error
