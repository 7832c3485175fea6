"""The table of built-in adapters: one row each, family by family. Loads no framework."""

from __future__ import annotations

from functools import partial

from .entry import Entry

_QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

#: The Keras adapters differ in their backend alone.
_keras_entry = partial(
    Entry,
    target="lstm_xcheck.adapters.keras.choice:keras_adapter",
    layout="keras",
    call="keras.layers.LSTM",
    call_versions={"keras": "3"},
    live="lstm_xcheck.live.read_keras:read",
)

BUILT_IN = (
    Entry(
        name="torch",
        target="lstm_xcheck.adapters.torch.nn:TorchNN",
        requires=("torch",),
        install="lstm-xcheck[torch]",
        summary="torch.nn.LSTM",
        layout="torch",
        call="torch.nn.LSTM",
        live="lstm_xcheck.live.read_torch:read",
        family="torch",
    ),
    _keras_entry(
        name="keras-tensorflow",
        requires=("keras", "tensorflow"),
        install="lstm-xcheck[keras,tensorflow]",
        variables={"KERAS_BACKEND": "tensorflow", **_QUIET_TENSORFLOW},
        when_repeated={"LSTM_XCHECK_TENSORFLOW": "function"},
        summary="keras.layers.LSTM and Bidirectional on TensorFlow",
        family="tensorflow",
        rank=2,
    ),
    _keras_entry(
        name="keras-jax",
        requires=("keras", "jax"),
        install="lstm-xcheck[keras,jax]",
        variables={"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"},
        summary="keras.layers.LSTM and Bidirectional on JAX",
        family="jax",
        rank=1,
    ),
    _keras_entry(
        name="keras-torch",
        requires=("keras", "torch"),
        install="lstm-xcheck[keras,torch]",
        variables={"KERAS_BACKEND": "torch"},
        summary="keras.layers.LSTM and Bidirectional on PyTorch",
        family="torch",
    ),
    Entry(
        name="jax",
        target="lstm_xcheck.adapters.jax.scan:JaxScan",
        requires=("jax",),
        install="lstm-xcheck[jax]",
        variables={"JAX_ENABLE_X64": "1"},
        summary="a readable jax.lax.scan",
        layout="jax",
        call="jax.lax.scan",
        family="jax",
    ),
)
