"""`--layout` decides the gate order of files whose names leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.porting.recheck import recheck

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("oracle_alone")

SPEC = lx.LSTMSpec(5, 3, bias="single")
WEIGHTS = lx.LSTMWeights.random(SPEC, seed=4)
#: Layouts by the names that somebody may give their arrays, in the order in which the layout has them.
FOREIGN = {
    "keras": ("W", "U", "b"), "dl4j": ("to_gates", "hidden_to_gates", "offset"), "jax": ("w_x", "w_h", "b"),
    "coreml": ("Wi", "Wh", "b"), "thinc": ("x", "bx", "h", "bh"), "chainer": ("W_xh", "W_hh", "b"),
    "torch": ("in", "in_b", "rec", "rec_b"), "mxnet": ("W", "R", "B1", "B2"),
}  # fmt: skip


def saved(path: Path, arrays: Mapping[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def foreign_file(path: Path, layout: str, weights: lx.LSTMWeights = WEIGHTS) -> Path:
    """The arrays of a layout under names of no framework."""
    arrays = to_layout(weights, layout)
    matrices = iter(name for name in FOREIGN[layout] if not name.lower().startswith(("b", "off", "in_b", "rec_b")))
    vectors = iter(name for name in FOREIGN[layout] if name.lower().startswith(("b", "off", "in_b", "rec_b")))
    named = {next(matrices if array.ndim == 2 else vectors): array for array in arrays.values()}
    return saved(path, {f"encoder.{name}": array for name, array in named.items()})


@pytest.mark.parametrize("layout", FOREIGN)
def test_a_declared_layout_is_read_bit_for_bit(tmp_path: Path, layout: str) -> None:
    path = foreign_file(tmp_path / "m.npz", layout)
    with pytest.raises(CheckpointError, match="it may be an LSTM of 3 units, but these names do not say") as refused:
        load(path)
    order = {"keras": "i f g o", "jax": "i f g o", "dl4j": "g f o i", "coreml": "i f o g", "thinc": "f i o g"}
    assert f"({order.get(layout, 'i f g o' if layout != 'chainer' else 'g i f o, interleaved')})" in str(refused.value)
    (lstm,) = read_checkpoint(path, layout).lstms
    assert (lstm.name, lstm.layout) == ("encoder", layout)
    cell, ours = lstm.weights.layers[0][0], WEIGHTS.layers[0][0]
    for gate in "ifgo":
        np.testing.assert_array_equal(cell.W[gate], ours.W[gate])
        np.testing.assert_array_equal(cell.U[gate], ours.U[gate])
        np.testing.assert_array_equal(cell.b[gate], ours.b[gate])


def test_another_layout_gives_another_lstm(tmp_path: Path) -> None:
    """The order is taken from the option: one file is two LSTMs."""
    path = foreign_file(tmp_path / "m.npz", "keras")
    first, second = (load(path, layout=layout)["encoder"].layers[0][0] for layout in ("keras", "dl4j"))
    np.testing.assert_array_equal(first.W["i"], second.W["g"])
    assert not np.array_equal(first.W["i"], second.W["i"])


def test_two_matrices_of_one_shape_are_distinguished_by_their_names(tmp_path: Path) -> None:
    square = lx.LSTMWeights.random(lx.LSTMSpec(3, 3, bias="single"), seed=1)
    lstm = load(foreign_file(tmp_path / "m.npz", "coreml", square), layout="coreml")["encoder"]
    np.testing.assert_array_equal(lstm.layers[0][0].U["g"], square.layers[0][0].U["g"])
    arrays = to_layout(square, "coreml")
    both = saved(tmp_path / "n.npz", dict(zip(("one", "two", "b"), arrays.values(), strict=True)))
    with pytest.raises(CheckpointError, match="holds no LSTM that fits --layout coreml"):
        load(both, layout="coreml")


def test_kernels_of_tf1_need_their_name_or_the_option(tmp_path: Path) -> None:
    """One matrix and vector may be a dense layer."""
    arrays = to_layout(WEIGHTS, "tf1")
    path = saved(tmp_path / "m.npz", {f"rnn/basic_lstm_cell/{name}": array for name, array in arrays.items()})
    with pytest.raises(CheckpointError, match=r"say it with --layout: tf1 \(i g f o, forget bias \+1\)"):
        load(path)
    cell = load(path, layout="tf1")["rnn"].layers[0][0]
    np.testing.assert_array_equal(cell.W["f"], WEIGHTS.layers[0][0].W["f"])
    np.testing.assert_allclose(cell.b["f"], WEIGHTS.layers[0][0].b["f"], rtol=0, atol=2**-22)
    dense = saved(tmp_path / "d.npz", {"a/kernel": np.ones((6, 8)), "a/bias": np.ones(8), "b/kernel": np.ones((8, 4))})
    with pytest.raises(CheckpointError, match="holds no LSTM; its 3 tensors are"):
        load(dense)


@pytest.mark.framework("h5py")
def test_a_file_that_states_its_layout_refuses_another(tmp_path: Path) -> None:
    lx_file = tmp_path / "m.keras"
    from lstm_xcheck.checkpoints import write_checkpoint

    write_checkpoint(lx_file, {"lstm": WEIGHTS})
    assert load(lx_file, layout="keras")["lstm"] == WEIGHTS
    with pytest.raises(CheckpointError, match=r"--layout is tf1, but a keras file says itself .* leave --layout out"):
        load(lx_file, layout="tf1")


def test_names_of_no_layout_are_refused() -> None:
    with pytest.raises(CheckpointError, match="--layout: unknown layout 'tf2'; expected one of torch, keras"):
        read_checkpoint(__file__, "tf2")


@pytest.mark.framework("h5py")
def test_every_verb_takes_the_option(tmp_path: Path, command: Command) -> None:
    path, twin = foreign_file(tmp_path / "m.npz", "dl4j"), foreign_file(tmp_path / "n.npz", "keras")
    assert command("inspect", str(path), "--layout", "dl4j").code == 0
    assert command("inspect", str(path)).code == 2
    assert command("port", str(path), str(tmp_path / "m.keras")).code == 2
    ported = command("port", str(path), str(tmp_path / "m.keras"), "--layout", "dl4j")
    assert (ported.code, ported.err) == (0, "")
    assert load(tmp_path / "m.keras")["encoder"] == WEIGHTS
    assert "still agree" in recheck(tmp_path / "m.keras.xcheck.json")
    declared = ("--layout", "dl4j")
    assert command("compare", str(path), str(tmp_path / "m.keras"), *declared).code == 2
    assert command("compare", str(path), str(tmp_path / "m.keras"), "--layout", "m.npz=dl4j").code == 0
    assert command("compare", str(path), str(twin), "--layout", "m.npz=dl4j", "--layout", "n.npz=keras").code == 0
    assert command("compare", str(path), str(twin), "--layout", "keras").code == 1
    assert "should name one of" in command("compare", str(path), str(twin), "--layout", "o.npz=keras").err
    assert "holds no LSTM" in command("verify", str(path)).err
