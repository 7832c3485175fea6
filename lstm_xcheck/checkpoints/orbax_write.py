"""Writes Orbax checkpoints through Orbax: a tree that `StandardCheckpointer().restore(path)` gives back.

Source: orbax-checkpoint 0.12.8, `StandardCheckpointer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import orbax.checkpoint as orbax

from ..arrays import Array
from ..errors import CheckpointError
from ..spec import LSTMWeights
from .beside import Beside
from .beside_write import stored_arrays
from .tree_names import tree_arrays


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None, beside: Beside | None = None) -> None:
    """Parameters of linen cells and modules under `params/<name>`, statistics under `batch_stats/<name>`.

    Raises:
        CheckpointError: for what Flax's cells have no place for, and `like`.
    """
    if like is not None:
        raise CheckpointError(f"--like {like}: an Orbax checkpoint cannot be filled; write one and restore from both")
    arrays = {f"params/{name}": item for name, item in tree_arrays(lstms, "flax-linen").items()}
    arrays.update(stored_arrays(beside.layers if beside else (), "flax", list(arrays)))
    tree: dict[str, Any] = {}
    for name, (array, dtype) in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = _leaf(array, dtype)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), tree)


def _leaf(array: Array, dtype: str) -> Any:
    return np.ascontiguousarray(array).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
