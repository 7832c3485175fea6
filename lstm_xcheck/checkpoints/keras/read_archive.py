"""Keras 3's `.keras`: a zip archive of `config.json`, `metadata.json` and `model.weights.h5`, read without Keras.

Source: keras 3.15.1, keras/src/saving/saving_lib.py (`_save_model_to_fileobj`).
"""

from __future__ import annotations

import io
from pathlib import Path

from ...errors import CheckpointError
from ..codecs.lazy_bytes import ByteRangeFile, Member
from ..codecs.limits import escape, open_archive, read_member
from ..model import Checkpoint
from ..sniff import beginning, is_zip
from .config import parse_config
from .read_weights_h5 import read_weights

_MAX_CONFIG = 256 << 20
#: Weights smaller than this are held against their checksum before HDF5 sees them, larger ones before they are used.
_AT_ONCE = 32 << 20


def read(path: Path) -> Checkpoint:
    """Every LSTM in a saved model, with the activations, directions and names that its config gives.

    Raises:
        CheckpointError: for a damaged archive, or one whose config and weights contradict each other.
    """
    if not is_zip(path):
        start = escape(ascii(beginning(path, 16))[1:])
        raise CheckpointError(f"{path} is no Keras archive: it begins with {start}, expected a zip archive")
    with open_archive(path) as archive:
        config = parse_config(
            path,
            read_member(path, archive, "config.json", _MAX_CONFIG),
            read_member(path, archive, "metadata.json", _MAX_CONFIG),
        )
        weights = Member(path, archive, "model.weights.h5")
        if weights.span is None or weights.size < _AT_ONCE:
            data = io.BytesIO(weights.whole().data)
            return read_weights(path, data, weights.size, config, "keras", weights.span)
        with io.BufferedReader(ByteRangeFile(weights.span)) as file:
            return read_weights(path, file, weights.size, config, "keras", weights.span)
