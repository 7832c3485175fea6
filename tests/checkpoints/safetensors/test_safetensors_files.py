"""safetensors files: written by the safetensors package, read by NumPy alone; headers that lie are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import LSTMSpec, LSTMWeights
from lstm_xcheck.porting.port import port

from ..damage import refusal

NAMES = {"weight_ih_l0": (16, 5), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}


def arrays(dtype: str = "float32", prefix: str = "", seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {prefix + name: rng.normal(size=shape).astype(dtype) for name, shape in NAMES.items()}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_file_of_the_safetensors_package_is_read_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    package = pytest.importorskip("safetensors.numpy")
    written = arrays(dtype, "model.rnn.")
    path = tmp_path / "m.safetensors"
    package.save_file({**written, "head.weight": np.zeros((2, 4), np.int8)}, path, metadata={"format": "pt"})
    checkpoint = read_checkpoint(path)
    (found,) = checkpoint.lstms
    assert (checkpoint.format, found.name, found.source_dtype) == ("safetensors", "model.rnn", dtype)
    cell = found.weights.layers[0][0]
    np.testing.assert_array_equal(cell.W["f"], written["model.rnn.weight_ih_l0"][4:8])
    np.testing.assert_array_equal(cell.U["g"], written["model.rnn.weight_hh_l0"][8:12])
    np.testing.assert_array_equal(cell.b["o"], written["model.rnn.bias_ih_l0"][12:])
    np.testing.assert_array_equal(cell.b_r["i"], written["model.rnn.bias_hh_l0"][:4])
    assert [(t.name, t.dtype, t.shape) for t in checkpoint.other] == [("head.weight", "int8", (2, 4))]


@pytest.mark.framework
def test_bfloat16_is_kept_exactly(tmp_path: Path) -> None:
    torch, package = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    module = torch.nn.LSTM(5, 4, num_layers=2, bidirectional=True).to(torch.bfloat16)
    package.save_file(module.state_dict(), tmp_path / "m.safetensors")
    weights = load(tmp_path / "m.safetensors")["lstm"]
    assert weights.dtype == "bfloat16"
    expected = module.weight_hh_l1_reverse[4:8].detach().float().numpy()
    np.testing.assert_array_equal(weights.layers[1][1].U["f"], expected)


@pytest.mark.parametrize("layout", ["mlx", "keras", "flax-linen", "flax-nnx-optimized", "haiku", "sonnet", "equinox"])
def test_names_of_other_frameworks_are_read(tmp_path: Path, layout: str) -> None:
    package = pytest.importorskip("safetensors.numpy")
    weights = LSTMWeights.random(LSTMSpec(5, 4, bias="single"), seed=2)
    separator = "." if layout in ("mlx", "equinox") else "/"
    named = to_layout(weights, layout, prefix="" if layout == "haiku" else f"lstm{separator}")
    package.save_file({name: np.ascontiguousarray(array) for name, array in named.items()}, tmp_path / "m.safetensors")
    (found,) = read_checkpoint(tmp_path / "m.safetensors").lstms
    assert (found.name, found.layout) == ("lstm", "torch" if layout == "equinox" else layout)
    cell, ours = found.weights.layers[0][0], weights.layers[0][0]
    for gate in "ifgo":
        np.testing.assert_array_equal(cell.W[gate], ours.W[gate])
        np.testing.assert_array_equal(cell.U[gate], ours.U[gate])


@pytest.mark.usefixtures("oracle_alone")
def test_other_layers_of_mlx_are_ported(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    weights = LSTMWeights.random(LSTMSpec(5, 4, bias="single"), seed=2)
    head = np.arange(8, dtype=np.float32).reshape(2, 4)
    arrays = {**to_layout(weights, "mlx", prefix="lstm."), "head.weight": head, "head.bias": np.ones(2, np.float32)}
    package.save_file(arrays, tmp_path / "m.safetensors")
    port(tmp_path / "m.safetensors", tmp_path / "m.npz", to="haiku")
    with np.load(tmp_path / "m.npz") as back:
        np.testing.assert_array_equal(back["head/w"], head.T)


def test_content_wins_over_the_suffix(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    package.save_file(arrays(), tmp_path / "really_safetensors.pt")
    assert read_checkpoint(tmp_path / "really_safetensors.pt").format == "safetensors"


def entry(dtype: str = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def crafted(folder: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file of a header (a dict, or bytes as they are) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "crafted.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "size", "says"),
    [
        ({"a": entry(offsets=(0, 80))}, 8, "lies at 0..80"),
        ({"a": entry(offsets=(8, 0))}, 8, "lies at 8..0"),
        ({"a": entry(offsets=(-8, 0))}, 8, "no valid shape"),
        ({"a": entry(shape=(3,))}, 8, "cannot take 8 bytes"),
        ({"a": entry(shape=(1 << 61, 1 << 61))}, 8, "cannot take 8 bytes"),
        ({"a": entry(shape=(2.0,))}, 8, "no valid shape"),
        ({"a": entry(shape=(True, 2))}, 8, "no valid shape"),
        ({"a": entry(shape=None)}, 8, "no valid shape"),
        ({"a": entry(), "b": entry()}, 8, "overlaps"),
        ({"a": entry(), "b": entry(offsets=(4, 12))}, 12, "overlaps"),
        ({"a": entry(offsets=(4, 12))}, 12, "leaves a gap"),
        ({"a": entry()}, 12, "describes 8"),
        ({"a": entry(dtype="F31")}, 8, "has type F31"),
        ({"a": entry(dtype=7)}, 8, "has type 7"),
        ({"a": 5}, 8, "has type"),
        ({"a": {}}, 8, "has type"),
        (b"[1, 2, 3, 4]", 0, "is a list"),
        (b'{"a": nonsense', 0, "is not JSON"),
        (b"{\xff\xfe}        ", 0, "is not JSON"),
        (b'{"a":' + b"[" * 200_000, 0, "is not JSON"),
        (b'{"a": {}, "a": {}}', 0, "names a tensor twice"),
    ],
    ids=[
        "beyond-the-file", "end-before-begin", "negative-offset", "wrong-size", "overflowing-shape", "float-shape",
        "bool-shape", "no-shape", "same-bytes-twice", "overlap", "gap", "bytes-left-over", "unknown-type",
        "number-as-type", "entry-is-a-number", "empty-entry", "header-is-a-list", "broken-json", "broken-utf8",
        "endless-nesting", "duplicate",
    ],
)  # fmt: skip
def test_lying_headers_are_refused(tmp_path: Path, header: object, size: int, says: str) -> None:
    assert says in refusal(crafted(tmp_path, header, bytes(size)))


@pytest.mark.parametrize("length", [0, 1, 100, 1 << 32, (1 << 64) - 1])
def test_header_length_that_the_file_does_not_have(tmp_path: Path, length: int) -> None:
    refusal(crafted(tmp_path, {"a": entry()}, bytes(8), length=length))


def test_names_cannot_disturb_the_message(tmp_path: Path) -> None:
    sentence = refusal(crafted(tmp_path, {"evil\x1b[2J\n" + "x" * 10_000: entry(offsets=(0, 80))}, bytes(8)))
    assert "\x1b" not in sentence


def test_no_lstm_lists_what_is_there(tmp_path: Path) -> None:
    path = crafted(tmp_path, {"head.weight": entry()}, bytes(8))
    with pytest.raises(CheckpointError, match=r"holds no LSTM; its 1 tensors are head.weight float32\[2\]"):
        load(path)
