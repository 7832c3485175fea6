"""Writes TensorFlow's checkpoints: `tf.train.Checkpoint(encoder=layer).read(PREFIX)` fills a Keras layer from them.

This file alone among the checkpoints imports TensorFlow, which writes both files of a checkpoint itself.
Source: TensorFlow 2.21, tensorflow/python/checkpoint/checkpoint.py (`Checkpoint.write`); attributes are named as by
Keras 3.15.1, keras/src/layers/rnn/{lstm,bidirectional}.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..errors import CheckpointError
from ..spec import LSTMWeights
from .tree_names import layout_arrays
from .untrusted import shown
from .writing import chain_of

_INDEX = ".index"


def write(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None) -> None:
    """One Keras layer for each LSTM, a chain for a stack; an LSTM without a name lies at the top.

    Raises:
        CheckpointError: for what Keras has no place for, names that are no attributes, and for `like`.
    """
    if like is not None:
        raise CheckpointError(f"--like {like}: TensorFlow checkpoints are written whole; leave --like out")
    if not path.name.endswith(_INDEX):
        raise CheckpointError(f"{path} should be called PREFIX{_INDEX}, as TensorFlow calls it")
    children: dict[str, Any] = {}
    for name, weights in chain_of(lstms).items():
        layer = _layer(name, weights)
        if not name:
            children.update(layer)
        elif not name.isidentifier():
            raise CheckpointError(f"LSTM {shown(name)} is no name of an attribute; add --rename {shown(name)}=NAME")
        else:
            children[name] = tf.train.Checkpoint(**layer)
    tf.train.Checkpoint(**children).write(str(path.with_name(path.name.removesuffix(_INDEX))))


def _layer(name: str, weights: LSTMWeights) -> dict[str, Any]:
    """The attributes of a Keras LSTM or Bidirectional that hold its weights."""
    variables: dict[str, dict[str, Any]] = {}
    for key, array in layout_arrays(name, weights, "keras").items():
        place, _, attribute = key.rpartition("/")
        variables.setdefault(place, {})[attribute] = tf.Variable(tf.cast(tf.constant(array), weights.dtype))
    cells = {place: tf.train.Checkpoint(**own) for place, own in variables.items()}
    if "" in cells:
        return {"cell": cells[""]}
    return {place: tf.train.Checkpoint(cell=cell) for place, cell in cells.items()}
