"""What every adapter on JAX shares: the set-up of a process, precisions and arrays."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import Array
from ...model import Case
from . import compile_options, program_cache


def prepare() -> None:
    """Set the process's options and cache programs, before JAX makes its first array."""
    compile_options.prepare_process()
    program_cache.enable()


def environment(level: int, *distributions: str) -> dict[str, str]:
    """Versions of what computes, the device and the compile options of a level."""
    device = jax.devices()[0]
    return {
        **versions(*distributions, "jax", "jaxlib"),
        "device": f"{device.platform}: {device.device_kind}",
        **compile_options.describe(level),
    }


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions."""
    return {name: version(name) for name in distributions}


def computes_in(case: Case) -> tuple[str, str]:
    """The precision of the case; float32 for float64 while x64 is off."""
    if case.precision == "float64" and not _has_float64():
        return "float32", "jax_enable_x64 is off in this process; set JAX_ENABLE_X64=1 before jax is imported"
    return case.precision, ""


def _has_float64() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def dtype_of(precision: str) -> Any:
    """The type of parameters; without x64, JAX would warn and replace float64."""
    if precision == "float64" and not _has_float64():
        return jnp.float32
    return jnp.dtype(precision)


def from_numpy(array: Array, dtype: Any) -> jax.Array:
    """A JAX array, cast by NumPy: jax 0.10.2 compiles each cast, also `jnp.asarray`."""
    return jax.device_put(np.array(array, dtype))
