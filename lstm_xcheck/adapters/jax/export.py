"""The project's scan through `jax.export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import export

from ...model import LSTMSpec
from . import compile_options
from .lstm import Outputs, run_stack
from .scan import LEVEL, JaxScan


class JaxExport(JaxScan):
    """`jax.export.export` of the scan, serialized, deserialized and called; layout `jax`.

    One file for each spec and shape; parameters are among its inputs. Gradients are those of the deserialized file,
    which holds the first derivative. Run with jax 0.10.2, jax/_src/export/_export.py.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._programs: dict[tuple[object, ...], Callable[..., Any]] = {}
        self._lstm, self._vjp = self._call, self._differentiate

    def _call(self, params: Any, x: Any, spec: LSTMSpec, h0: Any, c0: Any, valid: Any) -> Outputs:
        arguments = (params, x, h0, c0, valid)
        return Outputs(*self._program(spec, arguments, lambda called: called)(*arguments))

    def _differentiate(self, params: Any, data: list[Any], cotangents: list[Any], spec: LSTMSpec, valid: Any) -> Any:
        def with_gradients(called: Callable[..., Any]) -> Callable[..., Any]:
            def program(params: Any, x: Any, h0: Any, c0: Any, valid: Any, cotangents: Any) -> Any:
                def forward(params: Any, x: Any, h0: Any, c0: Any) -> Any:
                    outputs = called(params, x, h0, c0, valid)
                    return outputs[:3], outputs

                _, vjp, outputs = jax.vjp(forward, params, x, h0, c0, has_aux=True)
                return outputs, vjp(cotangents)

            return program

        arguments = (params, *data, valid)
        program = self._program(spec, arguments, with_gradients, vjp_order=1)
        outputs, gradients = program(*arguments, tuple(cotangents))
        return Outputs(*outputs), gradients

    def _program(
        self,
        spec: LSTMSpec,
        arguments: tuple[Any, ...],
        around: Callable[[Callable[..., Any]], Callable[..., Any]],
        *,
        vjp_order: int = 0,
    ) -> Callable[..., Any]:
        """A program around what the deserialized file calls, made once for each shape."""
        shapes = [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(arguments)]
        key = (spec, jax.tree.structure(arguments), *shapes, vjp_order)
        if key not in self._programs:

            def stack(params: Any, x: Any, h0: Any, c0: Any, valid: Any) -> tuple[Any, ...]:
                return tuple(run_stack(params, x, spec, h0, c0, valid))

            file = export.export(jax.jit(stack))(*arguments).serialize(vjp_order=vjp_order)
            called = export.deserialize(file).call
            self._programs[key] = jax.jit(around(called), **compile_options.jit_arguments(LEVEL))
        return self._programs[key]
