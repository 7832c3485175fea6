"""Chooses the adapter of the installed version of Keras."""

from __future__ import annotations

from importlib.metadata import version

from ..protocol import Adapter


def keras_adapter(name: str) -> Adapter:
    """The adapter of that name for the installed Keras, 3 or 2."""
    if version("keras").partition(".")[0] == "2":
        from .keras2 import Keras2LSTM

        return Keras2LSTM(name)
    from .keras3 import Keras3LSTM

    return Keras3LSTM(name)
