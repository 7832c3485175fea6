"""Activations: values, slopes and assumed rounding errors."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.model.activations import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, Activation
from lstm_xcheck.oracle.activations import apply, error_units, steepest

SMOOTH = ("sigmoid", "tanh")
NAMES = (*SMOOTH, "relu", "linear", HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, "softsign", "hard_tanh", "tanh_pade")

#: From linear to saturated, both signs, zero, and points near every kink.
Z = np.concatenate([np.linspace(-45, 45, 1201), [0.0, 1e-300, -1e-9, 2.5, -2.5, 3.0, -3.0, 700.0, -700.0]])
#: Half widths; the bound changes its form at 1/2 and 1.
D = np.array([0.0, 1e-300, 2.0**-53, 1e-9, 1e-4, 0.01, 0.3, 0.5, 0.50001, 0.9, 1.0, 1.00001, 2.0, 10.0, 1e3, 1e30])


def true_slope(activation: Activation, z: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The largest slope within d of z; smooth activations have it nearest to 0."""
    nearest = np.minimum(np.maximum(np.abs(z) - d, 0.0), 700.0)
    if activation.kind == "sigmoid":
        return 1.0 / (2.0 + 2.0 * np.cosh(nearest))
    if activation.kind == "tanh":
        return (1.0 / np.cosh(nearest)) ** 2
    if activation.kind == "linear":
        return np.ones_like(z)
    if activation.kind == "softsign":
        return 1.0 / (1.0 + nearest) ** 2
    if activation.kind == "hard_tanh":
        return np.where(nearest < 1.0, 1.0, 0.0)
    if activation.kind == "tanh_pade":  # z (27 + z^2) / (27 + 9 z^2) up to |z| = 3
        return np.where(nearest < 3.0, ((nearest**2 - 9.0) / (3.0 * nearest**2 + 9.0)) ** 2, 0.0)
    if activation.kind == "relu":
        return np.where(z + d > 0.0, 1.0, 0.0)
    low, high = -activation.beta / activation.alpha, (1.0 - activation.beta) / activation.alpha
    return np.where((z + d > low) & (z - d < high), activation.alpha, 0.0)


def both(activation: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value and its size."""
    value = apply(activation, z)
    return value, np.abs(value)


@pytest.mark.parametrize("name", NAMES)
def test_steepest_bounds_the_slope_everywhere(name: str) -> None:
    activation = Activation.parse(name)
    z, d = (grid.ravel() for grid in np.meshgrid(Z, D))
    bound = steepest(activation, z, *both(activation, z), d)
    true = true_slope(activation, z, d)
    worst = int(np.argmin(bound - true))
    assert (bound >= true).all(), f"z={z[worst]}, d={d[worst]}: {bound[worst]} < {true[worst]}"


@pytest.mark.parametrize("most", [1e-9, 2.0**-12, 1e30], ids=["small", "at-the-limit", "large"])
@pytest.mark.parametrize("name", NAMES)
def test_in_float32_steepest_bounds_the_slope_up_to_rounding(name: str, most: float) -> None:
    """Including saturated values, which float32 rounds to 1 and thus to slope 0."""
    activation, u = Activation.parse(name), 2.0**-24
    z, d = np.meshgrid(np.concatenate([Z, np.linspace(-20, 20, 4001)]), np.append(D[most >= D], most))
    z, d = z.ravel(), d.ravel()
    d, (value, size) = (d / u).astype(np.float32), both(activation, z)
    bound = steepest(activation, z, value, size.astype(np.float32), d, u)
    assert bound.dtype == np.float32
    true = true_slope(activation, z, u * d.astype(np.float64))
    worst = int(np.argmin(bound - true))
    beyond = true * (1.0 - 2.0**-21) - 2.0**-126
    assert (bound >= beyond).all(), f"z={z[worst]}, d={d[worst]}: {bound[worst]} < {true[worst]}"


@pytest.mark.parametrize("name", NAMES)
def test_steepest_bounds_every_difference(name: str) -> None:
    """|a(z + s) - a(z)| <= steepest * |s| inside the interval."""
    activation = Activation.parse(name)
    rng = np.random.default_rng(0)
    z, d = rng.uniform(-20, 20, 20_000), 10.0 ** rng.uniform(-6, 2, 20_000)
    shift = d * rng.uniform(-1, 1, z.shape)
    bound = steepest(activation, z, *both(activation, z), d) * np.abs(shift)
    moved = np.abs(apply(activation, z + shift) - apply(activation, z))
    assert (moved <= bound + 2.0**-50 * np.maximum(1.0, np.abs(z) + np.abs(shift))).all()


@pytest.mark.parametrize("name", SMOOTH)
def test_steepest_is_sharp_for_small_intervals(name: str) -> None:
    activation = Activation.parse(name)
    z, d = np.linspace(-12, 12, 500), 1e-6
    bound = steepest(activation, z, *both(activation, z), np.full_like(z, d))
    assert (bound <= 1.001 * true_slope(activation, z, d) + 2.0**-48).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_activation_overflows(name: str) -> None:
    huge = np.array([-1e308, -800.0, 800.0, 1e308])
    value = apply(Activation.parse(name), huge)
    assert np.isfinite(value).all()
    if name != "linear":
        assert (value[:2] <= 0.0).all()


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.5, 1.0, 3.0, -2.0])
def test_error_of_a_hard_sigmoid_in_float32_is_within_its_bound(beta: float) -> None:
    """Large offsets cancel, which leaves larger errors."""
    activation = Activation("hard_sigmoid", 0.3, beta)
    low, high = -beta / 0.3, (1.0 - beta) / 0.3
    z = np.random.default_rng(1).uniform(low, high, 200_000).astype(np.float32)
    rounded = np.clip(np.float32(0.3) * z + np.float32(beta), np.float32(0), np.float32(1)).astype(np.float64)
    exact = apply(activation, z.astype(np.float64))
    assert (np.abs(rounded - exact) <= 2.0**-24 * error_units(activation, np.abs(exact), 0.0)).all()


def test_a_profile_can_allow_an_absolute_error_of_tanh() -> None:
    activation, value = Activation("tanh"), np.array([0.0, 0.5, 1.0])
    plain, absolute = error_units(activation, value, 0.0), error_units(activation, value, 4.0)
    np.testing.assert_array_equal(absolute - plain, 4.0)
    assert plain[0] == 0.0
