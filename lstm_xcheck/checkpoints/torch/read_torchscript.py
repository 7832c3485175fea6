"""Reads TorchScript weights without PyTorch and without running them.

`data.pkl` holds the module as objects of classes that are defined by code in the archive. Here an object is no more
than its attributes by name, and the code is never looked at: an LSTM in a class that is not PyTorch's is not read.
Names are those of the module's state dict.
Source: torch 2.13.0, torch/csrc/jit/serialization/pickler.cpp and unpickler.cpp, torch/jit/_pickle.py.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..codecs.limits import escape, open_archive, read_member
from ..codecs.restricted_pickle import Symbol
from ..detect.torch_names import detect_torch_names
from ..detect.user_layout import detect
from ..model import Checkpoint, OtherTensor
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .read import MAX_PICKLE, archive_root, is_big_endian, member_storages
from .tensors import Storage, TensorView, TorchUnpickler, named_tensors, storage_of, tensor_of

#: What turns a plain list or dict into a typed one.
_TYPED = frozenset({"restore_type_tag", "build_tensorlist", "build_intlist", "build_doublelist", "build_boollist"})

#: nn.LSTM's second list of the tensors that it has by name (torch 2.13.0, torch/nn/modules/rnn.py).
_AGAIN = "_flat_weights"


#: What the classes of PyTorch's own modules begin with.
_PYTORCH = "__torch__.torch."


class _Attributes(dict[Any, Any]):
    """An object of the program: its attributes by name, and its class."""

    kind = ""


class _ProgramUnpickler(TorchUnpickler):
    """Allows the program's own classes as plain attributes."""

    takes_foreign = False

    def allows(self, symbol: Symbol) -> bool:
        """Whether a global is one of the program's or of PyTorch's pickles."""
        own = symbol.module.split(".")[0] == "__torch__"
        return own or (symbol.module == "torch.jit._pickle" and symbol.name in _TYPED) or super().allows(symbol)

    def _step(self, name: str, argument: Any) -> None:
        if name == "NEWOBJ":
            self._new()
        elif name == "BUILD" and isinstance(self._stack[-2], _Attributes):
            state = self._stack.pop()
            self._spend(state)
            self._stack[-1].update(_own_tensors(state) if isinstance(state, dict) else {"state": state})
        else:
            super()._step(name, argument)

    def _new(self) -> None:
        arguments, symbol = self._stack.pop(), self._stack.pop()
        if not isinstance(symbol, Symbol) or not symbol.module.startswith("__torch__") or arguments != ():
            raise ValueError("an object of a class that is none of the program's")
        self._stack.append(_Attributes())
        self._stack[-1].kind = f"{symbol.module}.{symbol.name}"

    def answer(self, symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
        """What the call of a permitted global stands for."""
        if symbol.module == "torch.jit._pickle" and arguments:
            return arguments[0]
        if symbol.module.startswith("__torch__"):
            return arguments  # a named tuple or an enum
        return super().answer(symbol, arguments)


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of a scripted or traced module."""
    with open_archive(path) as archive:
        root = archive_root(path, archive)
        module = _module(path, archive, root, "data")
        tensors = [replace(tensor, scope="") for tensor in module]
        lstms, other = detect(path, tensors, detect_torch_names, options)
        unnamed = [
            OtherTensor(
                f"constants.{escape(t.name)}", t.shape, t.dtype, "without a name; save it before torch.jit.freeze"
            )
            for t in _module(path, archive, root, "constants")
        ]
    return Checkpoint(path, "torchscript", lstms, (*other, *unnamed), "torch")


def _module(path: Path, archive: zipfile.ZipFile, root: str, part: str) -> list[TensorInfo]:
    """The tensors of `data.pkl` or `constants.pkl`."""
    content = io.BytesIO(read_member(path, archive, f"{root}{part}.pkl", MAX_PICKLE))
    seen: dict[str, Storage] = {}
    value = _ProgramUnpickler(path, content, partial(storage_of, path, seen), partial(tensor_of, path)).load()
    tensors = named_tensors(
        path, value, *member_storages(path, archive, f"{root}{part}", is_big_endian(path, archive, root))
    )
    return [replace(tensor, owner=_owner(value, tensor.name)) for tensor in tensors]


def _owner(value: Any, name: str) -> str:
    """The class of the module that has a tensor, unless it is PyTorch's own."""
    for part in name.split(".")[:-1]:
        value = value.get(part) if isinstance(value, dict) else None
    kind = value.kind if isinstance(value, _Attributes) else ""
    return "" if kind.startswith(_PYTORCH) else escape(kind.removeprefix("__torch__."), 200)


def _own_tensors(state: dict[Any, Any]) -> dict[Any, Any]:
    """Attributes without the list that names an LSTM's tensors once more."""
    again = state.get(_AGAIN)
    views = {value for value in state.values() if isinstance(value, TensorView)}
    if isinstance(again, list) and all(isinstance(item, TensorView) and item in views for item in again):
        return {name: value for name, value in state.items() if name != _AGAIN}
    return state
