"""Chooses the adapter of the installed version of Keras."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

from ...model import Case, Result
from ..protocol import Adapter
from ..without_model import WithoutModel

#: Adapter -> module and class, where it is not that of `keras.layers.LSTM`.
_OTHERS = {"keras-cell": ("cell", "KerasCell"), "keras-litert": ("litert", "KerasLiteRT")}


def keras_adapter(name: str) -> Adapter:
    """The adapter of that name for the installed Keras, 3 or 2."""
    if version("keras").partition(".")[0] == "2":
        lack = _lack_of_keras2(name)
        if lack:
            return _Lacking(name, lack)
        from .keras2 import Keras2LSTM

        return Keras2LSTM(name)
    module, attribute = _OTHERS.get(name, ("keras3", "Keras3LSTM"))
    with _without_dynamo():
        found = import_module(f".{module}", __package__)
    adapter: Adapter = getattr(found, attribute)(name)
    return adapter


def _lack_of_keras2(name: str) -> str:
    """Why Keras 2 cannot be this adapter, or nothing.

    Imports nothing, since TensorFlow may be kept out of the process.
    """
    if name in _OTHERS:
        return f"version: {name} needs keras>=3, not {version('keras')}"
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        return f"backend: keras {version('keras')} runs on TensorFlow alone, not on {backend}; keras>=3 does"
    return ""


class _Lacking(WithoutModel):
    """Refuses every case."""

    layout = "keras"

    def __init__(self, name: str, lack: str) -> None:
        super().__init__(name)
        self._lack = lack

    def environment(self) -> dict[str, str]:
        """The version of Keras."""
        return {"keras": version("keras")}

    def unsupported(self, case: Case) -> str | None:
        """What this version of Keras lacks."""
        return self._lack

    def run(self, model: None, case: Case) -> Result:
        """Never called: every case is refused."""
        raise NotImplementedError(self._lack)


@contextmanager
def _without_dynamo() -> Iterator[None]:
    """Import Keras without PyTorch's compiler, which takes a second.

    keras 3.15.1, keras/src/backend/torch/image.py and random.py, decorate two functions with `dynamo.disable()`. A
    stand-in whose decorator does nothing takes its place until Keras is imported.
    """
    name = "torch._dynamo"
    if name in sys.modules or "keras" in sys.modules:
        yield
        return
    stand_in = ModuleType(name)
    stand_in.disable = _disable  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]


def _disable(*_arguments: Any, **_options: Any) -> Callable[[Any], Any]:
    return lambda function: function
