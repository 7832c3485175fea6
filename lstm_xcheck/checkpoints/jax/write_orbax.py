"""Writes Orbax checkpoints through Orbax: a tree that `StandardCheckpointer().restore(path)` gives back.

Source: orbax-checkpoint 0.12.8, `StandardCheckpointer`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import orbax.checkpoint as orbax
import tensorstore

from ...arrays import Array
from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import like_arrays, tree_arrays
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays, template_arrays
from .read_orbax import places, read


def write(
    path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, other_layers: OtherLayers | None = None
) -> None:
    """Parameters of linen cells and modules under `params/<name>`, statistics under `batch_stats/<name>`.

    With `like`, that folder with its layers replaced.

    Raises:
        CheckpointError: for what Flax's cells have no place for, and a `like` whose arrays cannot be written.
    """
    if like is not None:
        _fill(path, like, lstms, other_layers)
        return
    arrays = {f"params/{name}": item for name, item in tree_arrays(lstms, "flax-linen").items()}
    arrays.update(stored_arrays(other_layers.layers if other_layers else (), "flax", list(arrays)))
    tree: dict[str, Any] = {}
    for name, (array, dtype) in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = _leaf(array, dtype)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), tree)


def _fill(path: Path, like: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers | None) -> None:
    """The whole folder with its layers' arrays written anew; a database keeps the old ones as bytes that nothing reads.

    Links are followed, so that no file outside the new folder is ever written.
    """
    arrays = like_arrays({lstm.name: lstm for lstm in read(like).lstms}, lstms)
    arrays.update(template_arrays(like, read, other_layers, "flax"))
    shutil.copytree(like, path)
    where = places(path)
    for name, (array, dtype) in arrays.items():
        try:
            tensorstore.open(where[name], write=True).result().write(_leaf(array, dtype)).result()
        except (ValueError, OSError, RuntimeError) as error:
            raise CheckpointError(f"--like {like}: {escape(name)} cannot be written ({escape(error)})") from error


def _leaf(array: Array, dtype: str) -> Any:
    return np.ascontiguousarray(array).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
