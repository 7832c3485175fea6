"""Writes Paddle's `.pdparams`: `paddle.load(path)` and `layer.set_state_dict(...)` take it with no helper.

Every tensor has both of its names, PyTorch's and the cell's, as in a file of paddle.save; a projection has the cell's
alone. bfloat16 is stored as uint16, which NumPy knows. Source: PaddlePaddle 3.3.1, python/paddle/framework/io.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...arrays import Array, stored_values
from ...errors import CheckpointError, SpecError
from ...layouts import to_layout
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..other_layers.copied import copied_arrays
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays
from ..template import Template
from .fill import filled
from .read import PADDLE_TABLE

_PROTOCOL = 4  # what paddle.save takes


def write(path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """Writes a state dict named `<lstm>.weight_ih_l0` and so on."""
    state: dict[str, Any] = {}
    for name, weights in lstms.items():
        prefix = name.replace("/", ".").strip(".")
        for key, array in _named(name, weights).items():
            full = f"{prefix}.{key}" if prefix else key
            if full in state:
                raise CheckpointError(f"two LSTMs would be stored as {escape(full)}; rename one with --rename")
            state[full] = array
    others = stored_arrays(other_layers.layers, "paddle", list(state))
    others.update(copied_arrays(other_layers, {*state, *others}))
    state.update({full: stored_values(array, dtype) for full, (array, dtype) in others.items()})
    state[PADDLE_TABLE] = {key: key for key in state}
    with path.open("xb") as file:
        pickle.dump(state, file, protocol=_PROTOCOL)


def fill(path: Path, template: Template) -> None:
    """Writes the template's file with its arrays replaced."""
    path.write_bytes(filled(template))


def _named(name: str, weights: LSTMWeights) -> dict[str, Array]:
    """The arrays under PyTorch's names, then under the cells'."""
    try:
        cells = to_layout(weights, "paddle")
        flat = {key: array for key, array in to_layout(weights, "torch").items() if "weight_hr" not in key}
    except SpecError as error:
        raise CheckpointError(f"LSTM {escape(name)} cannot be written for Paddle: {error}") from error
    return {key: stored_values(array, weights.dtype) for key, array in [*flat.items(), *cells.items()]}
