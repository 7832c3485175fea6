"""Compile options of XLA for programs that run a few times.

A sweep compiles one program for each shape and runs it once, so that XLA's optimisation takes longer than it saves.
With these options a scan compiles in a fraction of the time, and its numbers stay within the same rounding bound.
LSTM_XCHECK_XLA=default compiles as `jax.jit` does by default.

Level 0 compiles three times as fast as level 1, but rounds between multiplication and addition: with jaxlib 0.10.2
tanh(-12) is -0.99999982 and not -1. Gates from one tanh lose their small values that way, so that only programs with
the logistic function use level 0. At level 1, LLVM unrolls and vectorizes loops that run once, which takes 30 of 130
ms; XLA_FLAGS, the only way to reach LLVM, switch that off.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any

import jax

_LEVEL = "xla_backend_optimization_level"
_QUICK_COMPILE = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_prefer_vector_width": 128,
}
_PLAIN_LOOPS = (
    "--xla_backend_extra_options="
    "xla_cpu_optimize_for_size,xla_cpu_disable_loop_unrolling,xla_cpu_disable_slp_vectorizer"
)

#: `quick` (the default) or `default`: XLA's own options.
VARIABLE = "LSTM_XCHECK_XLA"


def prepare_process() -> None:
    """Set options of the process; call this before JAX makes its first array.

    XLA reads XLA_FLAGS once. Flags of the user come last, and win.
    """
    if _is_quick():
        flags = os.environ.get("XLA_FLAGS", "").removeprefix(_PLAIN_LOOPS)  # of another adapter in this process
        os.environ["XLA_FLAGS"] = f"{_PLAIN_LOOPS} {flags.strip()}".strip()
        jax.config.update("jax_traceback_in_locations_limit", 0)  # no Python source lines in programs


def _is_quick() -> bool:
    return os.environ.get(VARIABLE, "quick") == "quick"


@functools.cache
def quick_compile(level: int) -> dict[str, Any]:
    """The options that this version of JAX accepts.

    `level` is that of XLA's optimisation, from 0 to 3. Empty for JAX 0.4.30, whose `jit` takes no options, and on
    accelerators. XLA renames and drops options.
    """
    known: dict[str, Any] = {}
    if (
        not _is_quick()
        or "compiler_options" not in inspect.signature(jax.jit).parameters
        or jax.default_backend() != "cpu"
    ):
        return known
    for name, value in {_LEVEL: level, **_QUICK_COMPILE}.items():
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
        else:
            known[name] = value
    return known


def jit_arguments(level: int) -> dict[str, Any]:
    """Keyword arguments for `jax.jit`."""
    options = quick_compile(level)
    return {"compiler_options": options} if options else {}


def describe(level: int) -> dict[str, str]:
    """The options, as an entry of an adapter's environment."""
    options = [f"{name}={value}" for name, value in quick_compile(level).items()]
    options += filter(None, [os.environ.get("XLA_FLAGS")])
    return {"xla": ", ".join(options) or "default options"}
