"""Compile options for programs that run a few times, and where compiled programs are kept.

A sweep compiles one program for each shape and runs it once: XLA's optimisation takes longer than it saves. With these
options a scan compiles in a fraction of the time; the numbers stay within the same rounding bound, which is what a
sweep checks. Set LSTM_XCHECK_XLA=default to compile as users of `jax.jit` do.

Level 0 compiles three times as fast as level 1, but multiplies and adds in two roundings there: with jaxlib 0.10.2
tanh(-12) is -0.99999982 and not -1. Gates that are taken from one tanh lose their small values that way, so only
programs that take them from the logistic function go so low. What LLVM then does at level 1 to loops that run once,
unrolling and vectorizing them, takes 30 of 130 ms; that is switched off through XLA_FLAGS, the only way to reach it.
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
    """What holds for every program of a worker; to be called before JAX makes its first array.

    XLA reads XLA_FLAGS once. Flags that are there already come last, and win. Where in the Python code an operation
    came from, which JAX would note down for every one of them, is of no use here.
    """
    if _is_quick():
        os.environ["XLA_FLAGS"] = f"{_PLAIN_LOOPS} {os.environ.get('XLA_FLAGS', '')}".strip()
        jax.config.update("jax_traceback_in_locations_limit", 0)


def _is_quick() -> bool:
    return os.environ.get(VARIABLE, "quick") == "quick"


@functools.cache
def quick_compile(level: int) -> dict[str, Any]:
    """The options that this version of JAX takes on this device, with XLA's optimisation at a level from 0 to 3.

    JAX 0.4.30 takes none in `jit`; XLA renames and drops some of them. Empty where there is an accelerator.
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
    """What to give `jax.jit` beside the function."""
    options = quick_compile(level)
    return {"compiler_options": options} if options else {}


def described(level: int) -> dict[str, str]:
    """The options as an adapter's `environment` lists them."""
    options = [f"{name}={value}" for name, value in quick_compile(level).items()]
    flags = os.environ.get("XLA_FLAGS")
    return {"xla": ", ".join(options + ([flags] if flags else [])) or "default options"}
