"""Recordings made by workers without a framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, grid
from lstm_xcheck.recordings import Recording
from lstm_xcheck.runs.record import record

#: Where `own_adapters.py` and `faulty_adapters.py` lie.
ADAPTERS = (str(Path(__file__).parent), str(Path(__file__).parents[1] / "engine"))

#: A stack in both directions, padding, another precision, and one that the honest adapter does not support.
RECIPES = (
    *grid(hidden=2, input=3, steps=4, layers=[1, 2], directions=2, ragged=True),
    *grid(hidden=1, input=1, steps=3, dtype=["float64", "float16"], states=False),
    *grid(hidden=2, input=2, batch=5),
)

Maker = Callable[..., Recording]


def make(
    *adapters: str, environment: str = "here", run: str = "", recipes: tuple[Recipe, ...] = RECIPES[:2]
) -> Recording:
    """A recording by adapters of `own_adapters`."""
    entries = tuple(Entry(name, f"own_adapters:{name}", path=ADAPTERS) for name in adapters)
    return record(Plan(recipes, entries, timeout=60.0, jobs=2), environment, run)


@pytest.fixture(scope="session")
def maker() -> Maker:
    return make


@pytest.fixture(scope="session")
def honest() -> Recording:
    """One adapter, five cases, one of them unsupported."""
    return make("Honest", recipes=RECIPES)
