"""The globals that a PyTorch pickle may name; none is imported.

Source: torch 2.13.0, torch/serialization.py and torch/_utils.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..codecs.restricted_pickle import Stream, Symbol, Unpickler

#: Storage class -> element type. torch 2.13.0, torch/storage.py `_dtype_to_storage_type_map`.
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip

_DTYPES = frozenset(STORAGES.values()) | {
    "uint16", "uint32", "uint64", "complex32", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu",
}  # fmt: skip

REBUILD = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"})

_BUILTINS = ("builtins", "__builtin__")


class TorchUnpickler(Unpickler):
    """Reads one pickle of `torch.save`.

    Args:
        path: for messages.
        stream: positioned at the pickle; left just behind it.
        storage: makes the description of a storage from its persistent id.
        tensor: makes the description of a tensor from the arguments of `_rebuild_tensor*`.
    """

    advice = "save model.state_dict() alone (or safetensors)"

    def __init__(
        self,
        path: Path,
        stream: Stream,
        storage: Callable[[Any], Any],
        tensor: Callable[[Symbol, tuple[Any, ...]], Any],
    ) -> None:
        super().__init__(path, stream)
        self._storage, self._tensor = storage, tensor

    def allows(self, symbol: Symbol) -> bool:
        """Whether a pickle may name this global."""
        module, name = symbol.module, symbol.name
        if module == "torch._utils":
            return name in REBUILD or name in ("_rebuild_parameter", "_rebuild_parameter_with_state")
        if module in ("torch", "torch.storage"):
            return name in STORAGES or (module == "torch" and (name in ("Size", "device") or name in _DTYPES))
        return (module in _BUILTINS and name == "set") or super().allows(symbol)

    def answer(self, symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
        """What the call of a permitted global stands for."""
        if symbol.name in REBUILD:
            return self._tensor(symbol, arguments)
        if symbol.name.startswith("_rebuild_parameter"):
            return arguments[0]
        if symbol.name in ("Size", "set") and len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
            return tuple(arguments[0])
        if symbol.name == "device":
            return None
        return super().answer(symbol, arguments)

    def remark(self, symbol: Symbol) -> str:
        """Why quantised weights are not read."""
        packed = symbol.name in ("ScriptObject", "_rebuild_qtensor") or "quantized" in symbol.module
        return "a quantised weight (save the model before it is quantised), " if packed else ""

    def persistent(self, saved_id: Any) -> Any:
        """The storage that an id means."""
        return self._storage(saved_id)
