"""What tests of several adapters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def jax_float64() -> Iterator[None]:
    """JAX with float64 in this process, as its adapters have it in their workers."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
