"""The project's own LSTM on JAX: a `jax.lax.scan`, see `jax_lstm`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import Array, to_numpy
from ...errors import SpecError
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result
from . import compile_options, program_cache
from .gradients import data_and_pulls, pull_stack
from .lstm import Outputs, Params, named, run_stack, zeros

#: Of XLA's optimisation in a sweep; one lower, and the gates' one tanh is no longer what users compute.
_LEVEL = 1


@dataclass
class JaxModel:
    """Parameters and the function they are for."""

    spec: LSTMSpec
    params: Params


class JaxScan:
    """`jax_scan.lstm.lstm`, compiled once for each shape; the only adapter that computes every spec."""

    layout = "jax"

    def __init__(self, name: str) -> None:
        self.name = name
        compile_options.prepare_process()
        program_cache.keep_programs()
        self._lstm = jax.jit(run_stack, static_argnames="spec", **compile_options.jit_arguments(_LEVEL))
        self._pulled = jax.jit(pull_stack, static_argnames="spec", **compile_options.jit_arguments(_LEVEL))

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and on which device."""
        device = jax.devices()[0]
        name = f"{device.platform}: {device.device_kind}"
        return {
            "jax": jax.__version__,
            "jaxlib": version("jaxlib"),
            "device": name,
            **compile_options.described(_LEVEL),
        }

    def unsupported(self, case: Case) -> str | None:
        """Nothing: whatever a spec can say is computed."""
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision asked for, except that JAX has no float64 until it is switched on."""
        if case.precision == "float64" and not _has_float64():
            return "float32", "jax_enable_x64 is off in this process; set JAX_ENABLE_X64=1 before jax is imported"
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> JaxModel:
        """Zeros; a split bias is single here, so that both schemes share one compilation."""
        if spec.bias == "split":
            spec = replace(spec, bias="single")
        return JaxModel(spec, zeros(spec, _dtype(precision)))

    def load(self, model: JaxModel, arrays: Mapping[str, Array]) -> None:
        """Replace every leaf of the pytree; names and shapes must be the model's own.

        Raises:
            SpecError: for arrays that are missing, unknown or of another shape.
        """
        expected = {name: leaf.shape for name, leaf in named(model.params).items()}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise SpecError(
                f"the arrays have shapes {given}, but should be {expected}; take them from to_layout('jax')"
            )
        model.params = [
            [
                {name: _from_numpy(arrays[f"{layer}/{direction}/{name}"], leaf.dtype) for name, leaf in cell.items()}
                for direction, cell in enumerate(row)
            ]
            for layer, row in enumerate(model.params)
        ]

    def read_back(self, model: JaxModel) -> dict[str, Array]:
        """The leaves of the pytree under their paths."""
        return {name: to_numpy(leaf) for name, leaf in named(model.params).items()}

    def count_parameters(self, model: JaxModel) -> int:
        """`size` of every leaf."""
        return sum(leaf.size for leaf in jax.tree.leaves(model.params))

    def run(self, model: JaxModel, case: Case) -> Result:
        """One compiled call, which gives every layer's outputs."""
        dtype = model.params[0][0]["W"].dtype
        x, h0, c0 = (None if array is None else _from_numpy(array, dtype) for array in (case.x, case.h0, case.c0))
        return _result(self._lstm(model.params, x, model.spec, h0, c0, _valid(case)), case)

    def run_with_gradients(self, model: JaxModel, case: Case) -> Result:
        """`jax.vjp`, compiled; absent states are zeros, which have gradients."""
        dtype = model.params[0][0]["W"].dtype
        data, pulls = ([_from_numpy(array, dtype) for array in arrays] for arrays in data_and_pulls(case))
        outputs, found = self._pulled(model.params, data, pulls, model.spec, _valid(case))
        params, *of_data = found
        leaves = {name: to_numpy(leaf) for name, leaf in named(params).items()}
        gradients = gradients_from_layout(leaves, self.layout)
        gradients.update(zip(("x", "h0", "c0"), map(to_numpy, of_data), strict=True))
        return replace(_result(outputs, case), gradients=gradients)


def _valid(case: Case) -> Array | None:
    return case.valid if case.lengths is not None or case.mask is not None else None


def _result(outputs: Outputs, case: Case) -> Result:
    y, h_n, c_n, lower = outputs
    final = to_numpy(h_n)
    return Result(
        y=to_numpy(y),
        h_n=final,
        c_n=to_numpy(c_n),
        last=_last(final, case.spec) if case.returns == "last" else None,
        layer_outputs=tuple(to_numpy(array) for array in lower),
    )


def _has_float64() -> bool:
    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def _dtype(precision: str) -> Any:
    """JAX would replace float64 by float32 with a warning where x64 is off; here that is `computes_in`'s to say."""
    if precision == "float64" and not _has_float64():
        return jnp.float32
    return jnp.dtype(precision)


def _from_numpy(array: Array, dtype: Any) -> jax.Array:
    """Rounded and copied by NumPy: a cast, in jax 0.10.2 `jnp.asarray` too, is compiled for each shape."""
    return jax.device_put(np.array(array, dtype))


def _last(h_n: Array, spec: LSTMSpec) -> Array:
    """What users take as the last output: the top layer's final hidden states, side by side."""
    return np.concatenate(list(h_n[-spec.num_directions :]), axis=-1)
