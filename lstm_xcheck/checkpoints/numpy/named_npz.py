"""Reads and writes `.npz` files with a framework's own names.

The names are those of Haiku, MLX, Keras, Sonnet, Flax or PyTorch; nothing is unpickled. Source: mlx 0.32.4
(`save_weights("x.npz")`); dm-haiku 0.0.17, whose parameters are plain dicts `{"lstm/linear": {"w", "b"}}` that people
save under `lstm/linear/w`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...layouts.other_layers import family_of
from ...model import LSTMWeights
from ..codecs import npy, npz
from ..codecs.limits import open_archive, read_member
from ..detect.layout_names import detect_any_layout
from ..detect.user_layout import detect
from ..layout_arrays import Typed, tree_arrays
from ..model import Checkpoint
from ..options import ReadOptions
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays
from ..template import Template
from ..tensor_info import TensorInfo


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM with the names of a known framework."""
    lstms, other = detect(path, stored_tensors(path), detect_any_layout, options)
    return Checkpoint(path, "npz", lstms, other, family_of(lstm.layout for lstm in lstms))


def stored_tensors(path: Path) -> list[TensorInfo]:
    """Every array of the archive, in its order."""
    with open_archive(path) as archive:
        return [npz.describe(path, archive, name) for name in archive.namelist() if name.endswith(".npy")]


def write_npz(
    path: Path, layout: str, separator: str, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers
) -> None:
    """Writes LSTMs and other layers under the names of a layout."""
    arrays = tree_arrays(lstms, layout, separator)
    arrays.update(stored_arrays(other_layers.layers, layout, list(arrays)))
    _write(path, {}, arrays)


def fill(path: Path, template: Template) -> None:
    """Writes the template's file with its arrays replaced."""
    with open_archive(template.path) as archive:
        members = {name: read_member(template.path, archive, name) for name in archive.namelist()}
    _write(path, members, template.values)


def _write(path: Path, members: dict[str, bytes], arrays: Mapping[str, Typed]) -> None:
    members.update({f"{name}.npy": npy.encode(array, dtype) for name, (array, dtype) in arrays.items()})
    with path.open("xb") as file:
        npz.write(file, members.items())
