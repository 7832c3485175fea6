"""Monte-Carlo rounding: float64 copies of one computation, randomly rounded at every operation."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..model.initializers import generator
from .precision_profiles import Profile

#: A number this many standard deviations from a kink may be on either side of it.
_NEAR_SIGMAS = 8.0


class Roundings:
    """Draws independent roundings for each copy of a computation.

    `copies` is the size of the leading axis of every value, `stream` the number of the random stream, which makes draws
    reproducible; None for no rounding at all. `near_kink`: whether rounding decides on which side of a kink a watched
    value is. `peak`: the largest magnitude of a value.
    """

    def __init__(self, profile: Profile, copies: int = 1, stream: int | None = None) -> None:
        self.profile, self.copies, self.stream = profile, copies, stream
        self._rng = None if stream is None else generator(0, "roundings", stream)
        self.near_kink = False
        self.peak = 0.0

    def rounded(self, value: Array, sigma: Array | float) -> Array:
        """The value (copies, ...) plus a uniform error of that standard deviation.

        The bits are the same on every NumPy.
        """
        if self._rng is None:
            self.peak = max(self.peak, float(np.max(np.abs(value), initial=0.0)))
            return value
        drawn = self._rng.random((self.copies, *value.shape[1:]))
        rounded: Array = value + (sigma + self.profile.eta) * (12.0**0.5 * (drawn - 0.5))
        return rounded

    def watch(self, value: Array, kink: float, counted: Array) -> None:
        """Set `near_kink` when rounding can move a counted element across the kink.

        `counted` has the shape of one copy. Copies differ by earlier roundings; the value's last rounding is added.
        """
        if self._rng is None:
            return
        sigma = value.std(axis=0) + self.profile.u * np.abs(kink) + self.profile.eta
        self.near_kink |= bool((counted & (np.abs(value - kink).min(axis=0) <= _NEAR_SIGMAS * sigma)).any())

    def of_sum(self, mass: Array, terms: Array | float) -> Array:
        """Standard deviation of a rounded sum of that many products; `mass` sums their magnitudes."""
        p = self.profile
        sigma: Array = (np.maximum(1.0, np.sqrt(terms) / 4.0) * p.u_sum + p.u_in) * mass
        return sigma + p.u * mass if p.u > p.u_sum else sigma
