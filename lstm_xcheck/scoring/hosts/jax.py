"""The LSTM cells of Flax, Haiku and Equinox that make mistakes.

They ask while a compiled program runs, so that one compilation serves every mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import numpy as np

from ...arrays import Array
from ...layouts import from_layout
from ...model import Case
from ..plant import Plant


class _Cell(NamedTuple):
    """A class of cells: how it stores its arrays, and how it is called.

    `given` turns its arguments into x, h and c, `states` its answer into h and c, and `answer` these into its answer.
    """

    kind: Any
    layout: str
    arrays: Callable[[Any], dict[str, Any]]
    given: Callable[..., tuple[Any, Any, Any]]
    states: Callable[[Any], tuple[Any, Any]]
    answer: Callable[[Any, Any], Any]


def install(plant: Plant) -> None:
    """Let the cells of installed libraries ask what to add."""
    for module, cells in (("flax", _flax), ("haiku", _haiku), ("equinox", _equinox)):
        if find_spec(module) is not None:
            for cell in cells():
                cell.kind.__call__ = _planted(cell, cell.kind.__call__, plant)
    jax.clear_caches()  # programs that were compiled before do not ask


def _planted(cell: _Cell, honest: Callable[..., Any], plant: Plant) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        h, c = cell.states(honest(self, *arguments, **keywords))

        def ask(arrays: dict[str, Any], x: Any, h0: Any, c0: Any) -> tuple[Array, Array]:
            added = plant.changes(lambda: _case(cell.layout, arrays, x, h0, c0), of_step=True)
            change = {"h_n": np.zeros(h.shape), "c_n": np.zeros(c.shape)} if added is None else added
            return change["h_n"].reshape(h.shape).astype(h.dtype), change["c_n"].reshape(c.shape).astype(c.dtype)

        kinds = tuple(jax.ShapeDtypeStruct(state.shape, state.dtype) for state in (h, c))
        given = jax.lax.stop_gradient((cell.arrays(self), *cell.given(*arguments, **keywords)))
        change_h, change_c = jax.pure_callback(ask, kinds, *given, vmap_method="sequential")
        return cell.answer(h + change_h, c + change_c)

    return call


def _case(layout: str, arrays: dict[str, Any], x: Any, h0: Any, c0: Any) -> Case:
    weights = from_layout({name: np.asarray(array) for name, array in arrays.items()}, layout)
    h0, c0 = (np.asarray(state).reshape(1, -1, weights.spec.hidden_size) for state in (h0, c0))
    return Case(weights, np.asarray(x).reshape(-1, 1, weights.spec.input_size), h0, c0)


def _flax() -> Iterator[_Cell]:
    """In Flax the carry is (c, h)."""
    from flax import linen, nnx

    calls = (lambda carry, x: (x, carry[1], carry[0]), lambda answer: answer[0][::-1], lambda h, c: ((c, h), h))
    plain, optimized = ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho"), ("dense_i", "dense_h")
    yield _Cell(nnx.LSTMCell, "flax-nnx", partial(_nnx_arrays, plain), *calls)
    yield _Cell(nnx.OptimizedLSTMCell, "flax-nnx-optimized", partial(_nnx_arrays, optimized), *calls)
    yield from (_Cell(kind, "flax-linen", _linen_arrays, *calls) for kind in (linen.LSTMCell, linen.OptimizedLSTMCell))


def _nnx_arrays(dense: tuple[str, ...], cell: Any) -> dict[str, Any]:
    parts = {f"{name}/{part}": getattr(getattr(cell, name), part) for name in dense for part in ("kernel", "bias")}
    return {name: parameter[...] for name, parameter in parts.items() if parameter is not None}


def _linen_arrays(cell: Any) -> dict[str, Any]:
    dense = cell.variables["params"]
    return {f"{name}/{part}": array for name, arrays in dense.items() for part, array in arrays.items()}


def _haiku() -> Iterator[_Cell]:
    import haiku

    yield _Cell(
        haiku.LSTM, "haiku",
        lambda cell: {f"lstm/linear/{name.rpartition('/')[2]}": array for name, array in cell.params_dict().items()},
        lambda x, state: (x, state.hidden, state.cell), lambda answer: answer[1],
        lambda h, c: (h, haiku.LSTMState(h, c)),
    )  # fmt: skip


def _equinox() -> Iterator[_Cell]:
    from equinox.nn import LSTMCell

    names = ("weight_ih", "weight_hh", "bias")
    yield _Cell(
        LSTMCell, "equinox",
        lambda cell: {name: getattr(cell, name) for name in names if getattr(cell, name) is not None},
        lambda x, hidden, **_: (x, *hidden), lambda answer: answer, lambda h, c: (h, c),
    )  # fmt: skip
