"""Writes Flax's `.msgpack`, as `flax.serialization.msgpack_restore` and `from_bytes` read it.

Source: flax 0.12.8, flax/serialization.py (`_ndarray_to_bytes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array, stored_values
from ...model import LSTMWeights
from ..codecs.msgpack import ARRAY, Extension, encode
from ..layout_arrays import Typed, tree_arrays
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays
from ..template import Template
from .read_flax import decode_file

#: Flax itself splits an array beyond this many bytes, since msgpack cannot say its length.
_MAX_CHUNK = 2**30


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes parameters of linen cells under `params/<lstm>`."""
    _write(path, {"params": {}}, flax_arrays(lstms, other_layers))


def fill(path: Path, template: Template) -> None:
    """Writes the template's tree with its arrays replaced."""
    _write(path, decode_file(template.path), template.values)


def flax_arrays(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> dict[str, Typed]:
    """Arrays of linen cells and modules under `params/<name>`, statistics under `batch_stats/<name>`."""
    arrays = {f"params/{name}": item for name, item in tree_arrays(lstms, "flax-linen").items()}
    return {**arrays, **stored_arrays(other_layers.layers, "flax", list(arrays))}


def put_leaves(tree: Any, leaves: Mapping[str, Any]) -> None:
    """Puts leaves into a tree of dicts by joined keys."""
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        node = tree
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = leaf


def _write(path: Path, tree: Any, arrays: Mapping[str, Typed]) -> None:
    put_leaves(tree, {name: array_leaf(array, dtype) for name, (array, dtype) in arrays.items()})
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
    return Extension(ARRAY, encode([list(array.shape), dtype, stored_values(flat, dtype).tobytes()]))
