"""The adapter of the project's own LSTM on JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax

from ...arrays import Array, to_numpy
from ...errors import SpecError
from ...layouts import gradients_from_layout
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states, last_output, padding_mask
from . import compile_options, process
from .lstm import Outputs, Params, leaves_by_path, run_stack, vjp_of_stack, zero_params
from .process import from_numpy

#: Level of XLA's optimisation; on level 0, the one tanh of the gates is less precise than what users compute.
LEVEL = 1


@dataclass
class JaxModel:
    """Parameters and their spec."""

    spec: LSTMSpec
    params: Params


class JaxScan:
    """`lstm`, compiled once for each shape; it computes every spec."""

    layout = "jax"

    def __init__(self, name: str) -> None:
        self.name = name
        process.prepare()
        self._lstm = jax.jit(run_stack, static_argnames="spec", **compile_options.jit_arguments(LEVEL))
        self._vjp = jax.jit(vjp_of_stack, static_argnames="spec", **compile_options.jit_arguments(LEVEL))

    def environment(self) -> dict[str, str]:
        """Versions of what computes, the device and the compile options."""
        return process.environment(LEVEL)

    def unsupported(self, case: Case) -> str | None:
        """None: every spec is computed."""
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the case; float32 for float64 while x64 is off."""
        return process.computes_in(case)

    def build(self, spec: LSTMSpec, precision: str) -> JaxModel:
        """Zero parameters; a split bias becomes single, so both share a compilation."""
        if spec.bias == "split":
            spec = replace(spec, bias="single")
        return JaxModel(spec, zero_params(spec, process.dtype_of(precision)))

    def load(self, model: JaxModel, arrays: Mapping[str, Array]) -> None:
        """Replace every leaf of the pytree."""
        expected = {name: leaf.shape for name, leaf in leaves_by_path(model.params).items()}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise SpecError(
                f"the arrays have shapes {given}, but should be {expected}; take them from to_layout('jax')"
            )
        model.params = [
            [
                {name: from_numpy(arrays[f"{layer}/{direction}/{name}"], leaf.dtype) for name, leaf in cell.items()}
                for direction, cell in enumerate(row)
            ]
            for layer, row in enumerate(model.params)
        ]

    def read_back(self, model: JaxModel) -> dict[str, Array]:
        """The leaves of the pytree by path."""
        return {name: to_numpy(leaf) for name, leaf in leaves_by_path(model.params).items()}

    def count_parameters(self, model: JaxModel) -> int:
        """Sum of `size` of every leaf."""
        return sum(leaf.size for leaf in jax.tree.leaves(model.params))

    def run(self, model: JaxModel, case: Case) -> Result:
        """Run one compiled program, which returns every layer's outputs."""
        dtype = model.params[0][0]["W"].dtype
        x, h0, c0 = (None if array is None else from_numpy(array, dtype) for array in (case.x, case.h0, case.c0))
        return result_of(self._lstm(model.params, x, model.spec, h0, c0, padding_mask(case)), case)

    def run_with_gradients(self, model: JaxModel, case: Case) -> Result:
        """Differentiate with `jax.vjp`, compiled; absent states are zeros."""
        dtype = model.params[0][0]["W"].dtype
        data = [from_numpy(array, dtype) for array in (case.x, *explicit_states(case))]
        vectors = [from_numpy(array, dtype) for array in cotangents(case)]
        outputs, (params, *data_gradients) = self._vjp(model.params, data, vectors, model.spec, padding_mask(case))
        leaves = {name: to_numpy(leaf) for name, leaf in leaves_by_path(params).items()}
        gradients = gradients_from_layout(leaves, self.layout)
        gradients.update(zip(("x", "h0", "c0"), map(to_numpy, data_gradients), strict=True))
        return replace(result_of(outputs, case), gradients=gradients)


def result_of(outputs: Outputs, case: Case) -> Result:
    """What a program returned, as NumPy arrays."""
    h_n = to_numpy(outputs.h_n)
    return Result(
        y=to_numpy(outputs.y),
        h_n=h_n,
        c_n=to_numpy(outputs.c_n),
        last=last_output(h_n, case.spec) if case.returns == "last" else None,
        layer_outputs=tuple(map(to_numpy, outputs.lower)),
    )
