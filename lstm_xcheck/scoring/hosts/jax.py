"""The LSTM cells of Flax, Haiku and Equinox that make mistakes.

They ask while a compiled program runs, so that one compilation serves every mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from ...arrays import Array
from ...layouts import from_layout
from ...model import Case
from ..plant import Plant

#: Adds what a mistake changes: (layout, its arrays, x, h before, c before, h, c) -> h, c.
Add = Callable[[str, dict[str, Any], Any, Any, Any, Any, Any], tuple[Any, Any]]


def install(plant: Plant) -> None:
    """Let the cells of installed libraries ask what to add."""

    def add(layout: str, arrays: dict[str, Any], x: Any, h0: Any, c0: Any, h: Any, c: Any) -> tuple[Any, Any]:
        def answer(arrays: dict[str, Any], x: Any, h0: Any, c0: Any) -> tuple[Array, Array]:
            added = plant.changes(lambda: _case(layout, arrays, x, h0, c0), of_step=True) or {
                name: np.zeros(h.shape) for name in ("h_n", "c_n")
            }
            return added["h_n"].reshape(h.shape).astype(h.dtype), added["c_n"].reshape(c.shape).astype(c.dtype)

        kinds = (jax.ShapeDtypeStruct(h.shape, h.dtype), jax.ShapeDtypeStruct(c.shape, c.dtype))
        given = jax.lax.stop_gradient((arrays, x, h0, c0))
        change_h, change_c = jax.pure_callback(answer, kinds, *given, vmap_method="sequential")
        return h + change_h, c + change_c

    for module, install_library in (("flax", _install_flax), ("haiku", _install_haiku), ("equinox", _install_equinox)):
        if find_spec(module) is not None:
            install_library(add)
    jax.clear_caches()  # programs that were compiled before do not ask


def _case(layout: str, arrays: dict[str, Any], x: Any, h0: Any, c0: Any) -> Case:
    weights = from_layout({name: np.asarray(array) for name, array in arrays.items()}, layout)
    spec = weights.spec
    h0, c0 = (np.asarray(state).reshape(1, -1, spec.hidden_size) for state in (h0, c0))
    return Case(weights, np.asarray(x).reshape(-1, 1, spec.input_size), h0, c0)


def _install_flax(add: Add) -> None:
    from flax import linen, nnx

    for kind, layout, dense in (
        (nnx.LSTMCell, "flax-nnx", ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")),
        (nnx.OptimizedLSTMCell, "flax-nnx-optimized", ("dense_i", "dense_h")),
    ):
        _plant(kind, layout, add, partial(_nnx_arrays, dense))
    for kind in (linen.LSTMCell, linen.OptimizedLSTMCell):
        _plant(kind, "flax-linen", add, _linen_arrays)


def _nnx_arrays(dense: tuple[str, ...], cell: Any) -> dict[str, Any]:
    parts = {f"{name}/{part}": getattr(getattr(cell, name), part) for name in dense for part in ("kernel", "bias")}
    return {name: parameter[...] for name, parameter in parts.items() if parameter is not None}


def _plant(kind: Any, layout: str, add: Add, arrays_of: Callable[[Any], dict[str, Any]]) -> None:
    """In Flax the carry is (c, h)."""
    honest = kind.__call__

    def call(self: Any, carry: Any, inputs: Any) -> Any:
        (c, h), _ = honest(self, carry, inputs)
        c0, h0 = carry
        h, c = add(layout, arrays_of(self), inputs, h0, c0, h, c)
        return (c, h), h

    kind.__call__ = call


def _linen_arrays(cell: Any) -> dict[str, Any]:
    dense = cell.variables["params"]
    return {f"{name}/{part}": array for name, arrays in dense.items() for part, array in arrays.items()}


def _install_haiku(add: Add) -> None:
    import haiku

    honest = haiku.LSTM.__call__

    def call(self: Any, inputs: Any, prev_state: Any) -> Any:
        _, state = honest(self, inputs, prev_state)
        arrays = {f"lstm/linear/{name.rpartition('/')[2]}": array for name, array in self.params_dict().items()}
        h, c = add("haiku", arrays, inputs, prev_state.hidden, prev_state.cell, state.hidden, state.cell)
        return h, haiku.LSTMState(h, c)

    haiku.LSTM.__call__ = call


def _install_equinox(add: Add) -> None:
    from equinox.nn import LSTMCell

    honest = LSTMCell.__call__

    def call(self: Any, input: Any, hidden: Any, *, key: Any = None) -> Any:
        h, c = honest(self, input, hidden, key=key)
        arrays = {name: getattr(self, name) for name in ("weight_ih", "weight_hh", "bias")}
        given = {name: array for name, array in arrays.items() if array is not None}
        return add("equinox", given, input, hidden[0], hidden[1], h, c)

    LSTMCell.__call__ = call
