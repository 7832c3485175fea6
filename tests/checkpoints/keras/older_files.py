"""Files of Keras 2 written by hand, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import Checkpoint

h5py = pytest.importorskip("h5py")


def arrays(seed: int = 0, width: int = 5, bias: int = 16) -> dict[str, Any]:
    """Weights large enough to show every function."""
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (width, 16), "recurrent_kernel": (4, 16), "bias": (bias,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


X = np.random.default_rng(3).normal(size=(2, 6, 5)).astype(np.float32)


def agrees(checkpoint: Checkpoint, y: Any) -> bool:
    """Whether Keras' outputs are those of the only LSTM of the file."""
    (lstm,) = checkpoint.lstms
    return lx.judge(lx.Result(y=y), lx.Case(weights=lstm.weights, x=X)).verdict == "match"


def weights_only(path: Path, version: str | None, layers: dict[str, dict[str, Any]] | None = None) -> Path:
    """What `save_weights` of Keras 2 writes: groups by layer, the version, no config."""
    with h5py.File(path, "w") as root:
        fill(root, layers or {"lstm_1/lstm_1": arrays()})
        if version is not None:
            root.attrs["keras_version"] = version.encode()
    return path


def fill(root: Any, layers: dict[str, dict[str, Any]]) -> None:
    root.attrs["layer_names"] = sorted({place.partition("/")[0].encode() for place in layers})
    for place, variables in layers.items():
        for name, array in variables.items():
            root[f"{place}/{name}:0"] = array


def whole(path: Path, layers: list[dict[str, Any]], stored: dict[str, dict[str, Any]], version: str = "2.15.0") -> Path:
    """What `save` of Keras 2 writes."""
    with h5py.File(path, "w") as root:
        root.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        root.attrs["keras_version"] = version
        fill(root.create_group("model_weights"), stored)
    return path


def layer(class_name: str, name: str, **values: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **values}}


def unread(checkpoint: Checkpoint) -> dict[str, str]:
    return {lstm.name: lstm.why for lstm in checkpoint.unread}


def architecture(folder: Path, layers: list[dict[str, Any]], **more: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps({"class_name": "Sequential", "config": {"layers": layers}, **more}))
    return path
