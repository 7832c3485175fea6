"""The project's scan as an ONNX file."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax2onnx
import numpy as np
import onnxruntime

from ...model import Case, Result
from ..case_arrays import explicit_states
from ..layers import run_layers
from . import process
from .lstm import Outputs, scan_direction
from .scan import JaxModel, JaxScan, result_of


class JaxOnnx(JaxScan):
    """`jax2onnx.to_onnx` of the scan, run in onnxruntime; layout `jax`.

    jax2onnx refuses a reversed scan, so that a backward direction flips its inputs and outputs. Parameters are
    constants of the file, which is written for every case. Run with jax2onnx 0.17.1: with a mask, or below float32, it
    writes loops that onnxruntime refuses.
    """

    def environment(self) -> dict[str, str]:
        """Versions of what converts and computes."""
        return process.versions("jax2onnx", "onnxruntime", "onnx", "jax")

    def unsupported(self, case: Case) -> str | None:
        """Gradients, padding, and precisions below float32."""
        if case.gradients:
            return "gradients: onnxruntime computes none"
        if case.lengths is not None or case.mask is not None:
            what = "lengths" if case.mask is None else "mask"
            return f"{what}: jax2onnx gives a scan over booleans an input of type double, which onnxruntime refuses"
        if case.precision not in ("float32", "float64"):
            return f"precision: jax2onnx gives a scan in {case.precision} an input of type double"
        return None

    def run(self, model: JaxModel, case: Case) -> Result:
        """Write the file and run it on one thread; absent states are zeros."""
        spec = model.spec

        def direction(layer: int, direction: int, x: Any, h0: Any, c0: Any) -> tuple[Any, Any, Any]:
            backward = spec.is_backward(direction)
            inputs = jnp.flip(x, 1) if backward else x
            y, h, c = scan_direction(model.params[layer][direction], inputs, h0, c0, None, spec, backward=False)
            return (jnp.flip(y, 1) if backward else y), h, c

        def stack(x: Any, h0: Any, c0: Any) -> tuple[Any, ...]:
            found = run_layers(spec, x, h0, c0, direction, lambda parts: jnp.concatenate(parts, axis=-1))
            return (jnp.stack(found.h_n), jnp.stack(found.c_n), *found.layers)

        data = [np.array(array) for array in (case.x, *explicit_states(case))]
        shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in data]
        file = jax2onnx.to_onnx(stack, shapes, model_name="lstm", enable_double_precision=case.precision == "float64")
        session = onnxruntime.InferenceSession(file.SerializeToString(), _options(), ["CPUExecutionProvider"])
        names = [given.name for given in session.get_inputs()]
        h_n, c_n, *lower, y = session.run(None, dict(zip(names, data, strict=True)))
        return result_of(Outputs(y, h_n, c_n, tuple(lower)), case)


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options
