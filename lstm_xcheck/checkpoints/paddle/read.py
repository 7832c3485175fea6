"""Reads pickles of arrays, Paddle's and Haiku's, without running them.

Paddle stores every tensor of nn.LSTM twice, under PyTorch's names and under its cells' (`0.cell.weight_ih`); a
projection has the second name alone. Source: PaddlePaddle 3.3.1, python/paddle/nn/layer/rnn.py (RNNBase) and
python/paddle/framework/io.py (`save`).
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Container, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...arrays import Array
from ...errors import CheckpointError
from ...layouts.other_layers import family_of
from ..codecs.limits import FLOAT_SIZES, Budget, escape
from ..codecs.numpy_pickle import NumpyUnpickler, PickledArray, as_paddle, checked
from ..codecs.restricted_pickle import named_leaves, other_content
from ..detect.layout_names import detect_any_layout
from ..detect.user_layout import detect
from ..model import Checkpoint, FoundLSTM, OtherTensor
from ..options import ReadOptions
from ..tensor_info import TensorInfo

#: What paddle.save adds to a state dict: the names of its tensors within the program.
PADDLE_TABLE = "StructuredToParameterName@@"

_KIND = re.compile(r"(?P<cell>(?:.*\.)?)(?P<kind>weight_ih|weight_hh|bias_ih|bias_hh|weight_ho)", re.DOTALL)
_LAYER = re.compile(r"(?P<prefix>(?:.*\.)?)(?P<layer>[0-9]{1,3})\.cell(?P<way>|_fw|_bw)\.", re.DOTALL)
#: How the name of a projection ends, whose cell turns it.
PROJECTION = "weight_ho"


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in a pickle of arrays, by any known names."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        value = NumpyUnpickler(path, stream).load()
    tensors = _stored(path, value)
    plain, aliases = _without_aliases(path, tensors)
    lstms, other = detect(path, plain, detect_any_layout, options)
    content = other_content(path, value, PickledArray)
    if aliases or len(plain) < len(tensors) or (isinstance(value, dict) and PADDLE_TABLE in value):
        if options.layout is None or aliases:
            lstms = tuple(_as_paddle_found(lstm, aliases) for lstm in lstms)
        content = tuple(line for line in content if not line.startswith(PADDLE_TABLE))
        return Checkpoint(path, "paddle", lstms, _renamed(other, aliases), family="paddle", content=content)
    family = family_of(lstm.layout for lstm in lstms)
    return Checkpoint(path, "pickle", lstms, _renamed(other, aliases), family, content=content)


def _stored(path: Path, value: Any) -> dict[str, TensorInfo]:
    convert = as_paddle if isinstance(value, dict) and PADDLE_TABLE in value else lambda array: array
    budget, tensors = Budget(path, path.stat().st_size), {}
    for one in named_leaves(path, value, PickledArray):
        stored = convert(checked(path, one.name, one.leaf))
        load = partial(_load, budget, stored)
        tensors[one.name] = TensorInfo(one.name, stored.shape, stored.dtype, load, one.scope, owner=one.owner)
    return tensors


def _load(budget: Budget, array: PickledArray) -> Array:
    budget.spend(len(array.data or b""), "its arrays, used again and again,")
    return array.load()


def _without_aliases(path: Path, tensors: Mapping[str, TensorInfo]) -> tuple[list[TensorInfo], dict[str, str]]:
    """Every tensor once under PyTorch's name, and the file's aliases."""
    plain, aliases = [], {}
    for name, tensor in tensors.items():
        canonical = canonical_name(name, tensors)
        if canonical == name:
            plain.append(tensor)
            continue
        transposed = name.endswith(PROJECTION)
        if canonical in tensors and not transposed:
            _refuse_different(path, tensors[canonical], tensor)
        elif canonical in tensors or canonical in aliases:
            raise CheckpointError(f"{path} holds {escape(name)} twice, so it is ambiguous; save the model again")
        else:
            aliases[canonical] = name
            plain.append(_transposed(tensor, canonical) if transposed else replace(tensor, name=canonical))
    return plain, aliases


def canonical_name(name: str, tensors: Container[str]) -> str:
    """PyTorch's name for a tensor of a cell in nn.LSTM."""
    match = _KIND.fullmatch(name)
    if not match:
        return name
    kind = "weight_hr" if match["kind"] == PROJECTION else match["kind"]
    layer = _LAYER.fullmatch(match["cell"])
    if layer:
        place = f"_l{int(layer['layer'])}{'_reverse' if layer['way'] == '_bw' else ''}"
        if f"{layer['prefix']}weight_ih{place}" in tensors:
            return f"{layer['prefix']}{kind}{place}"
    return match["cell"] + kind


def _transposed(tensor: TensorInfo, name: str) -> TensorInfo:
    def load() -> Array:
        return tensor.load().T.copy()

    return replace(tensor, name=name, shape=tensor.shape[::-1], load=load)


def _refuse_different(path: Path, first: TensorInfo, second: TensorInfo) -> None:
    same_form = first.shape == second.shape and first.dtype == second.dtype
    if not same_form or (first.dtype in FLOAT_SIZES and first.load().tobytes() != second.load().tobytes()):
        raise CheckpointError(
            f"{path}: {escape(first.name)} and {escape(second.name)} are two names of one tensor, but hold different "
            "numbers; load it in Paddle and save it again"
        )


def _as_paddle_found(lstm: FoundLSTM, aliases: Mapping[str, str]) -> FoundLSTM:
    """The LSTM as Paddle's, under the file's own names."""
    if lstm.layout != "torch" or not all("_l" in key for key in lstm.arrays):
        return lstm
    both = lstm.weights.spec.bidirectional
    arrays = {_paddle_key(key, both): aliases.get(name, name) for key, name in lstm.arrays.items()}
    return replace(lstm, layout="paddle", tensors=tuple(arrays.values()) or lstm.tensors, arrays=arrays)


def _paddle_key(key: str, both: bool) -> str:
    """Paddle's array name by PyTorch's: `0.cell.weight_ih` for `weight_ih_l0`."""
    kind, _, place = key.partition("_l")
    layer, _, reverse = place.partition("_")
    cell = f"cell_{'bw' if reverse else 'fw'}" if both else "cell"
    return f"{layer}.{cell}.{PROJECTION if kind == 'weight_hr' else kind}"


def _renamed(other: tuple[OtherTensor, ...], aliases: Mapping[str, str]) -> tuple[OtherTensor, ...]:
    return tuple(replace(tensor, name=escape(aliases.get(tensor.name, tensor.name), 200)) for tensor in other)
