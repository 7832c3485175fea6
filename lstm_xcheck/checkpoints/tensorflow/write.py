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

from ...errors import CheckpointError
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import chain_of, layout_arrays
from ..other_layers.model import OtherLayers
from ..template import Template

_INDEX = ".index"


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes one Keras layer per LSTM, a chain per stack."""
    prefix = _prefix(path)
    children: dict[str, Any] = {}
    for name, weights in chain_of(lstms).items():
        layer = _layer(name, weights)
        if not name:
            children.update(layer)
        elif not name.isidentifier():
            raise CheckpointError(f"LSTM {escape(name)} is no name of an attribute; add --rename {escape(name)}=NAME")
        else:
            children[name] = tf.train.Checkpoint(**layer)
    tf.train.Checkpoint(**children).write(prefix)


def fill(path: Path, template: Template) -> None:
    """Writes every entry of the template, its LSTMs replaced."""
    prefix, like = _prefix(path), template.path
    new = {key: tf.cast(tf.constant(array), dtype) for key, (array, dtype) in template.values.items()}
    try:
        reader = tf.train.load_checkpoint(str(like.with_name(like.name.removesuffix(_INDEX))))
        types = reader.get_variable_to_dtype_map()
        keys = sorted(types)
        tensors = [new[key] if key in new else tf.constant(reader.get_tensor(key), types[key]) for key in keys]
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=keys, shape_and_slices=[""] * len(keys), tensors=tensors)
    except tf.errors.OpError as error:
        raise CheckpointError(f"--like {like} cannot be filled ({escape(error.message)}); save it again") from error


def _prefix(path: Path) -> str:
    """The checkpoint as TensorFlow names it."""
    if not path.name.endswith(_INDEX):
        raise CheckpointError(f"{path} should be called PREFIX{_INDEX}, as TensorFlow calls it")
    return str(path.with_name(path.name.removesuffix(_INDEX)))


def _layer(name: str, weights: LSTMWeights) -> dict[str, Any]:
    """The Keras attributes that hold an LSTM's weights."""
    variables: dict[str, dict[str, Any]] = {}
    for key, array in layout_arrays(name, weights, "keras").items():
        place, _, attribute = key.rpartition("/")
        variables.setdefault(place, {})[attribute] = tf.Variable(tf.cast(tf.constant(array), weights.dtype))
    cells = {place: tf.train.Checkpoint(**own) for place, own in variables.items()}
    if "" in cells:
        return {"cell": cells[""]}
    return {place: tf.train.Checkpoint(cell=cell) for place, cell in cells.items()}
