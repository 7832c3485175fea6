"""Random roundings: copies of one computation in float64, each disturbed at every operation as a backend may be."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..model.initializers import generator
from .precision_profiles import Profile

#: A number this many standard deviations from a kink may lie on either side of it.
_NEAR = 8.0


class Roundings:
    """Disturbs values by independent roundings, one draw for each copy; without a stream it leaves them as they are.

    Args:
        profile: the precision whose roundings are drawn.
        copies: the leading axis of every value.
        stream: a name for the draws, the same numbers for the same name; None for no disturbance.

    Attributes:
        near_kink: whether a watched value was so near a kink that rounding decides which side's slope counts.
        peak: the largest number seen.
    """

    def __init__(self, profile: Profile, copies: int = 1, stream: int | None = None) -> None:
        self.profile, self.copies = profile, copies
        self._rng = None if stream is None else generator(0, "roundings", stream)
        self.near_kink = False
        self.peak = 0.0

    def rounded(self, value: Array, sigma: Array | float) -> Array:
        """The value (copies, ...) with an error of that standard deviation; uniform, the same bits on every NumPy."""
        if self._rng is None:
            self.peak = max(self.peak, float(np.max(np.abs(value), initial=0.0)))
            return value
        drawn = self._rng.random((self.copies, *value.shape[1:]))
        disturbed: Array = value + (sigma + self.profile.eta) * (12.0**0.5 * (drawn - 0.5))
        return disturbed

    def watch(self, value: Array, kink: float, counted: Array) -> None:
        """Note when one of the counted elements (of the shape of one copy) is too near a kink to be sure of its side.

        Copies differ by what was rounded before; the value's own last rounding is added.
        """
        if self._rng is None:
            return
        sigma = value.std(axis=0) + self.profile.u * np.abs(kink) + self.profile.eta
        self.near_kink |= bool((counted & (np.abs(value - kink).min(axis=0) <= _NEAR * sigma)).any())

    def of_sum(self, mass: Array, terms: Array | float) -> Array:
        """Standard deviation of a sum of products: mass is the sum of their magnitudes, terms their number."""
        p = self.profile
        sigma: Array = (np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in) * mass
        return sigma + p.u * mass if p.u > p.u_sum else sigma
