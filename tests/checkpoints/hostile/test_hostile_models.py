"""Whole models whose layers beside the LSTMs lie: a port refuses in one sentence and writes nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint

h5py = pytest.importorskip("h5py")
numpy_file = pytest.importorskip("safetensors.numpy")

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("oracle_alone")]

HIDDEN, CLASSES = 4, 2
DENSE = "layers/dense/vars"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A `.keras` of an LSTM and a Dense layer."""
    source = tmp_path / "source.safetensors"
    write_checkpoint(source, {"enc": lx.LSTMWeights.random(lx.LSTMSpec(3, HIDDEN, bias="single"), seed=1)})
    head = {"head.weight": np.ones((CLASSES, HIDDEN), np.float32), "head.bias": np.ones(CLASSES, np.float32)}
    numpy_file.save_file({**numpy_file.load_file(source), **head}, source)
    lx.port(source, tmp_path / "m.keras")
    for file in (source, tmp_path / "m.keras.xcheck.json"):
        file.unlink()
    return tmp_path / "m.keras"


def alter(path: Path, edit: Callable[[Any, dict[str, Any]], None]) -> None:
    """Change the weights and the config of the Dense layer."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    (dense,) = [layer["config"] for layer in config["config"]["layers"] if layer["class_name"] == "Dense"]
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        edit(file[DENSE], dense)
    parts |= {"config.json": json.dumps(config).encode(), "model.weights.h5": weights.getvalue()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def stored(
    number: int, shape: tuple[int, ...], kind: str = "float32", chunks: tuple[int, ...] | None = None
) -> Callable[[Any, dict[str, Any]], None]:
    def edit(variables: Any, _: dict[str, Any]) -> None:
        del variables[str(number)]
        variables.create_dataset(str(number), shape, kind, chunks=chunks)

    return edit


def linked(link: Any) -> Callable[[Any, dict[str, Any]], None]:
    def edit(variables: Any, _: dict[str, Any]) -> None:
        del variables["0"]
        variables["0"] = link

    return edit


def removed(number: int) -> Callable[[Any, dict[str, Any]], None]:
    def edit(variables: Any, _: dict[str, Any]) -> None:
        del variables[str(number)]

    return edit


LIES: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "turned-kernel": stored(0, (CLASSES, HIDDEN)),
    "wide-kernel": stored(0, (HIDDEN, CLASSES + 1)),
    "cube": stored(0, (HIDDEN, CLASSES, 1)),
    "scalar-bias": stored(1, ()),
    "matrix-bias": stored(1, (CLASSES, 1)),
    "empty-kernel": stored(0, (0, CLASSES)),
    "terabytes": stored(0, (1 << 40, CLASSES), chunks=(1 << 10, CLASSES)),
    "whole-numbers": stored(0, (HIDDEN, CLASSES), "int32"),
    "text": stored(0, (HIDDEN, CLASSES), "S8"),
    "another-file": linked(h5py.ExternalLink("/etc/passwd", "/")),
    "nowhere": linked(h5py.SoftLink("/not/there")),
    "circle": linked(h5py.SoftLink(f"/{DENSE}/0")),
    "a-group": linked(h5py.SoftLink("/layers")),
    "no-kernel": removed(0),
    "units": lambda _, config: config.update(units=CLASSES + 1),
    "units-of-text": lambda _, config: config.update(units="two"),
    "bias-denied": lambda _, config: config.update(use_bias=False),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_dense_layer_that_lies_is_not_carried_over(model: Path, lie: Callable[[Any, dict[str, Any]], None]) -> None:
    alter(model, lie)
    with pytest.raises((lx.UserError, lx.DisagreementError)) as caught:
        lx.port(model, model.with_name("out.safetensors"))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert [file.name for file in model.parent.iterdir()] == [model.name]
