"""The same sum in some twenty honest orders.

Roundings of equal terms all err to one side, so that no statistic of independent roundings holds for them. Which terms
do is not visible in their magnitudes; computing the very sums in question shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays import Array, round_to
from .precision_profiles import Profile

Rounding = Callable[[Array], Array]

#: Widths of partial sums: of vector registers, and of the blocks of matrix products.
_STRIDES, _BLOCKS = (4, 8, 16), (16, 64, 256, 384)


def sum_type(profile: Profile) -> type[np.floating[Any]]:
    """The NumPy type in which a profile's arithmetic is carried out."""
    return np.float64 if profile.u_sum < 2.0**-40 else np.float32


def exact_type(profile: Profile) -> type[np.floating[Any]]:
    """The type of the truth beside it."""
    return np.longdouble if sum_type(profile) == np.float64 else np.float64


def rounding_of(u: float) -> Rounding:
    """Rounding to a format of 16 bits; operations in wider ones round by themselves."""
    if u < 2.0**-20:
        return lambda array: array
    name = "float16" if u == 2.0**-11 else "bfloat16"
    return lambda array: round_to(array, name).astype(np.float32)


def rounded_operands(array: Array, profile: Profile, truncated: bool) -> Array:
    """Operands of a matrix product with the bits that this precision keeps of them."""
    if not profile.u_in or not profile.operand_bits:
        return array
    mantissa, exponent = np.frexp(array)
    scaled = mantissa * 2.0**profile.operand_bits
    return np.ldexp((np.trunc if truncated else np.rint)(scaled) / 2.0**profile.operand_bits, exponent)


class HonestSums:
    """Sums of terms (rows, n) and two biases (rows,), in a profile's arithmetic.

    The first `split` terms are those of W x.
    """

    def __init__(self, terms: Array, split: int, biases: tuple[Array, Array], profile: Profile) -> None:
        self.type, self.split = sum_type(profile), split
        self.round, self.store = rounding_of(profile.u_sum), rounding_of(profile.u)
        self.exact = np.ascontiguousarray(terms.T)
        self.terms = self.round(self.exact.astype(self.type))
        self.b, self.b_r = (self.round(bias.astype(self.type)) for bias in biases)
        self.is_low = profile.is_low

    def __iter__(self) -> Iterator[Array]:
        """The pre-activations, stored, in each order."""
        for total in self._in_registers():
            yield self.store(total)
        if self.is_low:  # partial results are stored too
            x, h = (self.store(self._fused(part)) for part in self._parts(self.exact))
            store = self.store
            yield store(store(store(x + h) + self.b) + self.b_r)
            yield store(store(store(self.b + self.b_r) + x) + h)

    def _in_registers(self) -> Iterator[Array]:
        terms, exact, parts = self.terms, self.exact, self._parts
        both = self._add(self.b, self.b_r)
        yield self._biased(self._plain(terms))
        yield self._biased(self._plain(terms[::-1]))
        yield self._biased(self._fused(exact))
        yield self._plain(terms, both)
        yield self._fused(exact[::-1], both)
        yield self._biased(self._add(*(self._fused(part) for part in parts(exact))))
        x, h = (self._plain(part) for part in parts(terms))
        yield self._biased(self._add(x, h))
        yield self._add(self._add(x, self.b), self._add(h, self.b_r))
        x, h = parts(exact)
        yield self._add(self._fused(x, both), self._fused(h))
        by_size = [np.take_along_axis(part, np.argsort(-np.abs(part), axis=0), axis=0) for part in parts(terms)]
        for step in (1, -1):
            yield self._biased(self._add(*(self._plain(part[::step]) for part in by_size)))
        for stride in _STRIDES:
            every = [self._fused(exact[start::stride]) for start in range(min(stride, len(exact)))]
            yield self._biased(self._pairwise(np.stack(every)))
        for size in _BLOCKS:
            if size < len(exact):
                yield self._biased(self._in_blocks(size))
        yield self._biased(self._pairwise(terms))

    def _parts(self, terms: Array) -> tuple[Array, Array]:
        """Those of W x and of U h."""
        return terms[: self.split], terms[self.split :]

    def _add(self, a: Array, b: Array) -> Array:
        return self.round(a + b)

    def _biased(self, total: Array) -> Array:
        return self._add(self._add(total, self.b), self.b_r)

    def _plain(self, terms: Array, start: Array | None = None) -> Array:
        """One term after another."""
        total = np.zeros(terms.shape[1:], self.type) if start is None else start
        for term in terms:
            total = self._add(total, term)
        return total

    def _fused(self, exact: Array, start: Array | None = None) -> Array:
        """The same with products that are not rounded; in float64 NumPy cannot."""
        if self.type == np.float64:
            return self._plain(exact.astype(np.float64), start)
        total = np.zeros(exact.shape[1:], self.type) if start is None else start
        for term in exact:
            total = self.round((total + term).astype(self.type))
        return total

    def _pairwise(self, parts: Array) -> Array:
        while len(parts) > 1:
            half = len(parts) // 2
            parts = np.concatenate([self._add(parts[0 : 2 * half : 2], parts[1 : 2 * half : 2]), parts[2 * half :]])
        total: Array = parts[0]
        return total

    def _in_blocks(self, size: int) -> Array:
        total = np.zeros(self.terms.shape[1:], self.type)
        for start in range(0, len(self.exact), size):
            total = self._add(total, self._fused(self.exact[start : start + size]))
        return total
