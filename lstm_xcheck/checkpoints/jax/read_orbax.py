"""Reads Orbax folders, trees of Flax parameters, through TensorStore alone.

`_METADATA` names the arrays; each is a Zarr array in a key-value store that is one OCDBT database or plain folders.
Source: orbax-checkpoint 0.12.8, orbax/checkpoint/_src/metadata/tree.py and _src/serialization/tensorstore_utils.py.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import tensorstore

from ...arrays import Array, native_values
from ...atomic_files import files_in
from ...errors import CheckpointError
from ..codecs.limits import FLOAT_SIZES, MAX_EXPANSION, SMALL, Budget, escape, refuse_many, shortlist
from ..detect.layout_names import detect_layout_names
from ..detect.user_layout import detect
from ..model import Checkpoint
from ..options import ReadOptions
from ..sniff import ORBAX_TREE
from ..tensor_info import TensorInfo

_ROWS = ("flax-linen", "flax-nnx", "flax-nnx-optimized", "haiku")
_MAX_METADATA = 256 << 20
_ARRAYS = ("jax.Array", "np.ndarray")
#: What TensorStore raises on damaged stores.
_FAULTS = (ValueError, TypeError, KeyError, IndexError, OSError, RuntimeError, NotImplementedError, OverflowError)


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM of an item, a step, or a folder with one step."""
    tensors: list[TensorInfo] = []
    items = _items(path)
    for item in items:
        scope = f"{item.name}/" if len(items) > 1 else ""
        tensors += _stored(path, item, scope)
    lstms, other = detect(path, tensors, partial(detect_layout_names, rows=_ROWS), options)
    return Checkpoint(path, "orbax", lstms, other, "flax", parts=files_in(path))


def _items(path: Path) -> list[Path]:
    """The folders that hold a tree each."""
    if (path / ORBAX_TREE).is_file():
        return [path]
    inner = sorted(folder for folder in path.iterdir() if (folder / ORBAX_TREE).is_file())
    steps = sorted({tree.parent.parent for tree in path.glob(f"*/*/{ORBAX_TREE}")})
    if not inner and len(steps) == 1:
        return _items(steps[0])
    # The steps of flax.training.checkpoints are items themselves.
    numbered = [folder for folder in inner if folder.name.rpartition("_")[2].isdecimal()]
    several = steps if not inner else numbered if len(numbered) > 1 else []
    if several or not inner:
        names = shortlist([escape(folder.name) for folder in several]) or "none"
        raise CheckpointError(f"{path} holds the steps {names}, expected one; name the folder of one step")
    return inner


def places(path: Path) -> dict[str, dict[str, Any]]:
    """Where TensorStore finds each array, by its name."""
    found: dict[str, dict[str, Any]] = {}
    items = _items(path)
    for item in items:
        scope, tree = f"{item.name}/" if len(items) > 1 else "", _metadata(item)
        for keys in _names(item, tree.get("tree_metadata")):
            found[scope + "/".join(keys)] = _spec(item, ".".join(keys), tree)
    return found


def _stored(path: Path, item: Path, scope: str) -> list[TensorInfo]:
    tree = _metadata(item)
    size = sum(file.stat().st_size for file in files_in(item))
    budget, tensors = Budget(path, size), dict[str, TensorInfo]()
    names = _names(item, tree.get("tree_metadata"))
    refuse_many(path, len(names))
    for keys in names:
        name = scope + "/".join(keys)
        if name in tensors:
            raise CheckpointError(f"{path} has two arrays named {escape(name)}; save it again")
        tensors[name] = _described(item, name, _spec(item, ".".join(keys), tree), size, budget)
    return list(tensors.values())


def _metadata(item: Path) -> dict[str, Any]:
    file = item / ORBAX_TREE
    if file.stat().st_size > _MAX_METADATA:
        raise CheckpointError(f"{file} has more than the {_MAX_METADATA} bytes that are read")
    try:
        tree = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not complete JSON ({escape(error)}); copy the checkpoint again") from error
    if not isinstance(tree, dict):
        raise CheckpointError(f"{file} is no description of a tree; copy the checkpoint again")
    return tree


def _names(item: Path, tree: Any) -> list[tuple[str, ...]]:
    """The keys of every array, from the top of the tree."""
    try:
        return [
            tuple(str(key["key"]) for key in entry["key_metadata"])
            for entry in tree.values()
            if entry["value_metadata"]["value_type"] in _ARRAYS
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{item / ORBAX_TREE} describes its tree in an unknown way ({escape(error)})") from error


def _spec(item: Path, name: str, tree: dict[str, Any]) -> dict[str, Any]:
    """Where TensorStore finds an array, which must lie in the folder."""
    folder = item.resolve()
    driver = "zarr3" if tree.get("use_zarr3") else "zarr"
    if (item / "manifest.ocdbt").is_file():
        store = {"driver": "ocdbt", "base": f"file://{folder.as_posix()}/", "path": f"{name}/"}
        return {"driver": driver, "kvstore": store, "open": True}
    try:
        place = (folder / name).resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{item}: array {escape(name)} has an impossible name ({escape(error)})") from error
    if not place.is_relative_to(folder) or place == folder:
        raise CheckpointError(f"{item}: array {escape(name)} leaves the folder; it was not opened")
    return {"driver": driver, "kvstore": {"driver": "file", "path": f"{place.as_posix()}/"}, "open": True}


def _described(item: Path, name: str, spec: dict[str, Any], size: int, budget: Budget) -> TensorInfo:
    try:
        store: Any = tensorstore.open(spec, read=True).result()
        shape, dtype = tuple(int(n) for n in store.shape), str(store.dtype.name)
        chunk = tuple(int(n) for n in store.chunk_layout.read_chunk.shape or ())
    except _FAULTS as error:
        raise _damaged(item, name, error) from error
    largest = max(math.prod(shape), math.prod(chunk)) * FLOAT_SIZES.get(dtype, 1)
    limits = (largest, max(SMALL, size * MAX_EXPANSION))
    return TensorInfo(name, shape, dtype, partial(_load, item, name, store, limits, dtype, budget))


def _load(item: Path, name: str, store: Any, limits: tuple[int, int], dtype: str, budget: Budget) -> Array:
    largest, possible = limits
    if largest > possible:
        raise CheckpointError(
            f"{item}: array {escape(name)} claims {largest} bytes, but should be at most {possible}; it was not read"
        )
    budget.spend(largest, "its unpacked arrays")
    try:
        values = store.read().result()
    except _FAULTS as error:
        raise _damaged(item, name, error) from error
    return native_values(values.tobytes(), dtype).reshape(values.shape)


def _damaged(item: Path, name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{item}: array {escape(name)} is missing or damaged ({escape(error, 120)}); copy the checkpoint again"
    )
