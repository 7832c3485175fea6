"""Which Keras is installed decides which file is loaded: 3 on any backend, 2 on TensorFlow."""

from __future__ import annotations

from importlib.metadata import version

from .protocol import Adapter


def keras_adapter(name: str) -> Adapter:
    """The adapter of that name for the installed Keras; called inside a worker, where the framework may load."""
    if version("keras").partition(".")[0] == "2":
        from .keras_legacy import KerasLegacy

        return KerasLegacy(name)
    from .keras_layer import KerasLayer

    return KerasLayer(name)
