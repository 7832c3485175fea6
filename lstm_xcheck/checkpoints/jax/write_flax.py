"""Writes Flax's `.msgpack`, as `flax.serialization.msgpack_restore` and `from_bytes` read it.

Source: flax 0.12.8, flax/serialization.py (`_ndarray_to_bytes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...model import LSTMWeights
from ..codecs.msgpack import ARRAY, Extension, encode
from ..layout_arrays import like_arrays, tree_arrays
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays, template_arrays
from .read_flax import decode_file, read

#: Flax itself splits an array beyond this many bytes, since msgpack cannot say its length.
_MAX_CHUNK = 2**30


def write(
    path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, other_layers: OtherLayers | None = None
) -> None:
    """Parameters of linen cells under `params/<lstm>`; with `like`, that file with its LSTMs replaced.

    Raises:
        CheckpointError: for what Flax's cells have no place for.
    """
    if like is None:
        tree: Any = {"params": {}}
        arrays = {f"params/{name}": item for name, item in tree_arrays(lstms, "flax-linen").items()}
        arrays.update(stored_arrays(other_layers.layers if other_layers else (), "flax", list(arrays)))
    else:
        tree = decode_file(like)
        arrays = like_arrays({lstm.name: lstm for lstm in read(like).lstms}, lstms)
        arrays.update(template_arrays(like, read, other_layers, "flax"))
    for name, (array, dtype) in arrays.items():
        node = tree
        *parents, last = name.split("/")
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = array_leaf(array, dtype)
    with path.open("xb") as file:
        file.write(encode(tree))


def array_leaf(array: Array, dtype: str) -> Any:
    """An array as Flax puts it into msgpack."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.nbytes > _MAX_CHUNK:
        step = _MAX_CHUNK // flat.itemsize
        chunks = [flat[start : start + step] for start in range(0, flat.size, step)]
        return {
            "__msgpack_chunked_array__": True,
            "shape": {str(k): n for k, n in enumerate(array.shape)},
            "chunks": {str(k): array_leaf(chunk, dtype) for k, chunk in enumerate(chunks)},
        }
    if dtype == "bfloat16":
        data = (flat.view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
    else:
        data = flat.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    return Extension(ARRAY, encode([list(array.shape), dtype, data]))
