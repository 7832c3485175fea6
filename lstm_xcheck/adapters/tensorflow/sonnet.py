"""Sonnet's `snt.LSTM` under `snt.dynamic_unroll`."""

from __future__ import annotations

from typing import Any

import sonnet as snt
import tensorflow as tf

from ...model import Case, LSTMSpec
from ..protocol import plain_function_only
from .directions import EagerDirections, Tensor


class SonnetLSTM(EagerDirections):
    """`snt.LSTM(hidden, projection_size=)`, one core for each direction, unrolled with `sequence_length`.

    Layout `sonnet`, read from dm-sonnet 2.0.2, sonnet/src/recurrent.py. At padding, `dynamic_unroll` keeps the states
    and repeats the last output; the adapter puts zeros there.
    """

    layout = "sonnet"
    packages = ("dm-sonnet",)

    def unsupported(self, case: Case) -> str | None:
        """Peepholes, other activations, masks with holes, and an LSTM without bias."""
        if case.mask is not None:
            return "mask: snt.dynamic_unroll knows lengths (sequence_length) but no mask with holes"
        if case.spec.bias == "none":
            return "bias: snt.LSTM always has one"
        return plain_function_only(case.spec, "snt.LSTM")

    def make_cell(self, spec: LSTMSpec, layer: int, precision: str) -> tuple[Any, dict[str, list[Any]]]:
        """A core, called once so that it makes its variables."""
        dtype = tf.as_dtype(precision)
        initializer = snt.initializers.Zeros()  # Sonnet's own draws float32 alone
        core = snt.LSTM(
            spec.hidden_size,
            projection_size=spec.proj_size or None,
            projection_init=initializer if spec.proj_size else None,
            w_i_init=initializer,
            w_h_init=initializer,
            dtype=dtype,
        )
        core(tf.zeros([1, spec.layer_input_size(layer)], dtype), core.initial_state(1))
        variables = {"W": [core.input_to_hidden], "U": [core.hidden_to_hidden], "b": [core.b]}
        if spec.proj_size:
            variables["projection"] = [core.projection]
        return core, variables

    def unroll(self, cell: Any, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
        """Unroll with `snt.dynamic_unroll`, time-major."""
        y, state = snt.dynamic_unroll(cell, x, snt.LSTMState(hidden=h0, cell=c0), sequence_length=lengths)
        return y, state.hidden, state.cell
