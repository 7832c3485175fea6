"""The shapes of the benchmarks of `verify`."""

from __future__ import annotations

import numpy as np


def shapes(count: int) -> list[tuple[int, int, int, int]]:
    """Distinct (hidden, input, steps, batch)."""
    rng = np.random.default_rng(0)
    found: dict[tuple[int, int, int, int], None] = {}
    while len(found) < count:
        hidden, features, steps, batch = (int(n) for n in rng.integers((1, 1, 2, 1), (33, 33, 20, 5)))
        found[hidden, features, steps, batch] = None
    return list(found)
