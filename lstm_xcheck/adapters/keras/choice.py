"""Which Keras is installed decides which file is loaded: 3 on any backend, 2 on TensorFlow."""

from __future__ import annotations

from importlib.metadata import version

from ..protocol import Adapter


def keras_adapter(name: str) -> Adapter:
    """The adapter of that name for the installed Keras; called inside a worker, where the framework may load."""
    if version("keras").partition(".")[0] == "2":
        from .keras2 import KerasLegacy

        return KerasLegacy(name)
    from .keras3 import KerasLayer

    return KerasLayer(name)
