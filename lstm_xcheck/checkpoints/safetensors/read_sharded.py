"""Reads sharded safetensors by their JSON index.

An LSTM may have its tensors in different shards. A shard is opened only when it lies in the folder of the index, links
followed, or where the index itself really lies, since caches of downloads keep links to both in one place.
Source: the index that `save_pretrained` of transformers writes, `weight_map` in `model.safetensors.index.json`.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from ..codecs.limits import escape
from ..detect.layout_names import detect_any_layout
from ..detect.user_layout import detect
from ..model import Checkpoint, OtherTensor
from ..options import ReadOptions
from ..sniff import SHARD_INDEX, is_safetensors
from ..tensor_info import TensorInfo
from .read import stored_tensors

#: An index of a million tensors takes some 100 MB.
_MAX_INDEX = 256 << 20


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM in the shards; `path` is the index or its folder."""
    index = _index(path)
    places = _weight_map(index)
    shards = {name: stored_tensors(_shard(index, name)) for name in dict.fromkeys(places.values())}
    unlisted_tensors = {(shard, tensor.name): tensor for shard, tensors in shards.items() for tensor in tensors}
    tensors: list[TensorInfo] = []
    for name, shard in places.items():
        if (shard, name) not in unlisted_tensors:
            raise CheckpointError(
                f"{index} says that {escape(name)} lies in {escape(shard)}, but it does not; copy both"
            )
        tensors.append(unlisted_tensors.pop((shard, name)))
    lstms, other = detect(index, tensors, detect_any_layout, options)
    unlisted = [
        OtherTensor(escape(name, 200), tensor.shape, tensor.dtype, f"in {escape(shard)}, but not in the index")
        for (shard, name), tensor in unlisted_tensors.items()
    ]
    parts = (index, *(index.parent / shard for shard in shards))
    return Checkpoint(path, "safetensors-sharded", lstms, (*other, *unlisted), "torch", parts=parts)


def _index(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(f"*{SHARD_INDEX}"))
    if len(found) != 1:
        raise CheckpointError(f"{path} holds {len(found)} files *{SHARD_INDEX}, expected one; name the one to read")
    return found[0]


def _weight_map(index: Path) -> dict[str, str]:
    """Shard by tensor."""
    if index.stat().st_size > _MAX_INDEX:
        raise CheckpointError(f"{index} has {index.stat().st_size} bytes, more than the {_MAX_INDEX} that are read")
    try:
        content = json.loads(index.read_bytes(), object_pairs_hook=partial(_no_duplicates, index))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{index} is not complete JSON ({escape(error)}); copy or download it again") from error
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise CheckpointError(f"{index} has no weight_map from tensors to files; copy or download it again")
    return places


def _no_duplicates(index: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError(f"{index} names a tensor twice; save it again")
    return result


def _shard(index: Path, name: str) -> Path:
    """A shard by the name that the index gives it."""
    file = index.parent / name
    try:
        real = file.resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{index} names the file {escape(name)}, which cannot be ({escape(error)})") from error
    stays = real.is_relative_to(index.parent.resolve()) or real.parent == index.resolve().parent
    if Path(name).is_absolute() or ".." in Path(name).parts or not stays:
        raise CheckpointError(f"{index} names {escape(name)}, which leaves the model's folder; it was not opened")
    if not file.is_file():
        raise CheckpointError(f"{index} needs {escape(name)}, which is not there; copy it beside the index")
    if file.stat().st_size < 10 or not is_safetensors(file):
        raise CheckpointError(
            f"{index} needs {escape(name)}, which is no complete safetensors file; copy it again, or save the model as "
            "safetensors"
        )
    return file
