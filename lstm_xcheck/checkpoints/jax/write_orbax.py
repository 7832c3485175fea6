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
from ..other_layers.model import OtherLayers
from ..template import Template
from .read_orbax import places
from .write_flax import flax_arrays, put_leaves


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes parameters of linen cells and modules, and statistics."""
    tree: dict[str, Any] = {}
    arrays = flax_arrays(lstms, other_layers)
    put_leaves(tree, {name: _leaf(array, dtype) for name, (array, dtype) in arrays.items()})
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), tree)


def fill(path: Path, template: Template) -> None:
    """Writes the whole folder with its layers' arrays written anew.

    A database keeps the old ones as bytes that nothing reads. Links are followed, so that no file outside the new
    folder is ever written.
    """
    shutil.copytree(template.path, path)
    where = places(path)
    for name, (array, dtype) in template.values.items():
        try:
            tensorstore.open(where[name], write=True).result().write(_leaf(array, dtype)).result()
        except (ValueError, OSError, RuntimeError) as error:
            raise CheckpointError(
                f"--like {template.path}: {escape(name)} cannot be written ({escape(error)})"
            ) from error


def _leaf(array: Array, dtype: str) -> Any:
    return np.ascontiguousarray(array).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
