"""NumPy's `.npz` with a framework's own names in it: Haiku, MLX, Keras, Sonnet, Flax or PyTorch. Names decide.

Nothing is unpickled. Source: mlx 0.32.4 (`save_weights("x.npz")`); dm-haiku 0.0.17, whose parameters are plain dicts
`{"lstm/linear": {"w", "b"}}` that people save under `lstm/linear/w`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from ...model import LSTMWeights
from ..codecs.limits import open_archive, read_member
from ..codecs.npy import describe_member, npy_bytes
from ..detect.layout_names import detect_any_layout
from ..detect.user_layout import detect
from ..layout_arrays import like_arrays, tree_arrays
from ..model import Checkpoint, TensorInfo
from ..other_layers.model import OtherLayers
from ..other_layers.store import stored_arrays, template_arrays


def read(path: Path) -> Checkpoint:
    """Every LSTM that has the names of a known framework.

    Raises:
        CheckpointError: for a file that is damaged, or holds objects instead of arrays.
    """
    lstms, other = detect(path, stored_tensors(path), detect_any_layout)
    return Checkpoint(path, "npz", lstms, other)


def stored_tensors(path: Path) -> list[TensorInfo]:
    """Every array of the archive, in its order.

    Raises:
        CheckpointError: for a file that is damaged, or holds objects instead of arrays.
    """
    with open_archive(path) as archive:
        return [describe_member(path, archive, name) for name in archive.namelist() if name.endswith(".npy")]


def write_npz(
    path: Path,
    layout: str,
    separator: str,
    lstms: Mapping[str, LSTMWeights],
    like: Path | None,
    other_layers: OtherLayers | None,
) -> None:
    """LSTMs and other layers under the names of a layout; with `like`, that file with these replaced.

    Raises:
        CheckpointError: for what the layout has no place for.
    """
    members: dict[str, bytes] = {}
    if like is None:
        arrays = tree_arrays(lstms, layout, separator)
        arrays.update(stored_arrays(other_layers.layers if other_layers else (), layout, list(arrays)))
    else:
        arrays = like_arrays({lstm.name: lstm for lstm in read(like).lstms}, lstms)
        arrays.update(template_arrays(like, read, other_layers, layout))
        with open_archive(like) as archive:
            members = {name: read_member(like, archive, name) for name in archive.namelist()}
    members.update({f"{name}.npy": npy_bytes(array, dtype) for name, (array, dtype) in arrays.items()})
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
