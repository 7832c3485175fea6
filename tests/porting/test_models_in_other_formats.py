"""Other layers in Paddle, Haiku, MLX and Orbax files, loaded and run by these; and formats without other layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.checkpoints.other_layers.model import Layer, OtherLayers
from lstm_xcheck.checkpoints.other_layers.store import kinds_of

from ..conftest import needs
from ..helpers import run_python
from .taggers import IDS, SIZE, UNITS, WORDS, disagreements, layers_in

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("oracle_alone")]


def layer(kind: str, name: str, **shapes: tuple[int, ...]) -> Layer:
    rng = np.random.default_rng(len(name))
    arrays: dict[str, Array] = {part: rng.uniform(0.5, 1.5, n).astype(np.float32) for part, n in shapes.items()}
    return Layer(kind, name, arrays, "float32", "torch")


#: A square head: a kernel that is turned the wrong way still fits.
LAYERS = {
    "embedding": layer("embedding", "embedding", table=(WORDS, SIZE)),
    "even": layer("layer_norm", "even_layer_norm", scale=(UNITS,), offset=(UNITS,)),
    "batch": layer("batch_norm", "batch", scale=(UNITS,), offset=(UNITS,), mean=(UNITS,), variance=(UNITS,)),
    "head": layer("dense", "decoder.head", kernel=(UNITS, UNITS), bias=(UNITS,)),
}


def written(path: Path, *names: str) -> Path:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(SIZE, UNITS), seed=2)
    write_checkpoint(path, {"lstm": weights}, other_layers=OtherLayers(tuple(LAYERS[name] for name in names)))
    return path


def other_layers(path: Path) -> dict[str, Layer]:
    return layers_in(path, kinds_of([*LAYERS.values()]))


#: `--to`, suffix, what reading or writing needs, and the layers that the format has.
FORMATS = {
    "paddle": (".pdparams", "", ("embedding", "even", "batch", "head")),
    "haiku": (".npz", "", ("embedding", "even", "head")),
    "mlx": (".npz", "", ("embedding", "even", "batch", "head")),
    "orbax": (".orbax", "orbax", ("embedding", "even", "batch", "head")),
}


@pytest.mark.parametrize("to", FORMATS)
def test_there_and_back_is_bit_for_bit(tmp_path: Path, to: str) -> None:
    suffix, needs, names = FORMATS[to]
    if needs:
        pytest.importorskip(needs)
    source = written(tmp_path / "a.safetensors", *names)
    certificate = lx.port(source, tmp_path / f"b{suffix}", to=to)
    assert certificate["verdict"] == "agree"
    lx.port(tmp_path / f"b{suffix}", tmp_path / "c.safetensors")
    ours, theirs = other_layers(source), other_layers(tmp_path / "c.safetensors")
    assert len(ours) == len(names) and set(ours) == set(theirs)
    for name, layer in ours.items():
        assert {**layer.arrays, "count": 0}.keys() == {**theirs[name].arrays, "count": 0}.keys()
        shared = layer.arrays.keys() & theirs[name].arrays.keys()
        assert all(layer.arrays[part].tobytes() == theirs[name].arrays[part].tobytes() for part in shared)


@pytest.mark.parametrize(("to", "suffix"), [("haiku", ".npz"), ("mlx", ".npz"), ("paddle", ".pdparams"), ("orbax", "")])
def test_like_fills_the_users_file(tmp_path: Path, to: str, suffix: str) -> None:
    if to == "orbax":
        pytest.importorskip("orbax.checkpoint")
    source = written(tmp_path / "a.safetensors", "embedding", "head")
    like = {"embedding": LAYERS["embedding"], "head": LAYERS["head"]}
    zeros = tuple(
        Layer(one.kind, one.name, {part: np.zeros_like(a) for part, a in one.arrays.items()}, one.dtype, one.family)
        for one in like.values()
    )
    weights = lx.LSTMWeights.random(lx.LSTMSpec(SIZE, UNITS, bias="single"), seed=9)
    like_file, file = tmp_path / f"like{suffix}", tmp_path / f"b{suffix}"
    write_checkpoint(like_file, {"lstm": weights}, to, other_layers=OtherLayers(zeros))
    assert not other_layers(like_file)["decoder.head"].arrays["kernel"].any()
    lx.port(source, file, to=to, like=like_file)
    layers = other_layers(file)
    assert np.array_equal(layers["decoder.head"].arrays["kernel"], LAYERS["head"].arrays["kernel"])
    assert np.array_equal(layers["embedding"].arrays["table"], LAYERS["embedding"].arrays["table"])


NONE = {"tensorflow": ".index", "openvino": ".xml", "equinox": ".eqx", "npz": ".npz"}


@pytest.mark.parametrize("to", NONE)
def test_a_format_that_holds_lstms_alone_names_all_else(tmp_path: Path, to: str) -> None:
    source = written(tmp_path / "a.safetensors", "embedding", "head")
    with pytest.raises(lx.DisagreementError) as caught:
        lx.port(source, tmp_path / f"b{NONE[to]}", to=to)
    for text in ("embedding.weight", "decoder.head.weight", "decoder.head.bias", "have no place", "--lstm-only"):
        assert text in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    if to == "tensorflow":
        pytest.importorskip("tensorflow")
    certificate = lx.port(source, tmp_path / f"b{NONE[to]}", to=to, lstm_only=True)
    assert len(certificate["left_out"]) == 3


def test_a_kind_that_a_format_lacks_is_named(tmp_path: Path) -> None:
    source = written(tmp_path / "a.safetensors", "batch", "head")
    with pytest.raises(lx.DisagreementError, match=r"no place for these: .*batch\.running_mean") as caught:
        lx.port(source, tmp_path / "b.npz", to="haiku")
    assert "head" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def agrees(inner: Array, predicted: Array, path: Path) -> bool:
    """Whether the layers allow what a framework's run gave; `inner` is what the LSTM gave."""
    return not disagreements(inner, predicted, LAYERS, lx.load(path)["lstm"])


PADDLE = r"""
import sys
import numpy as np, paddle
class Model(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.embedding = paddle.nn.Embedding(11, 5)
        self.lstm = paddle.nn.LSTM(5, 4)
        self.decoder = paddle.nn.Layer()
        self.decoder.head = paddle.nn.Linear(4, 4)
model = Model()
missing, unexpected = model.set_state_dict(paddle.load(f"{sys.argv[1]}/b.pdparams"))
assert not missing and not unexpected, (missing, unexpected)
ids = paddle.to_tensor(np.load(f"{sys.argv[1]}/ids.npy"))
inner = model.lstm(model.embedding(ids))[0]
np.savez(f"{sys.argv[1]}/answer.npz", inner=inner.numpy(), predicted=model.decoder.head(inner).numpy())
paddle.save(model.state_dict(), f"{sys.argv[1]}/theirs.pdparams")
"""


def test_paddle_loads_the_model_and_predicts_the_same(tmp_path: Path) -> None:
    needs("paddle")
    lx.port(written(tmp_path / "a.safetensors", "embedding", "head"), tmp_path / "b.pdparams")
    np.save(tmp_path / "ids.npy", IDS)
    run_python(PADDLE, tmp_path)
    with np.load(tmp_path / "answer.npz") as answer:
        assert agrees(answer["inner"], answer["predicted"], tmp_path / "b.pdparams")
        transposed = answer["inner"] @ LAYERS["head"].arrays["kernel"].T + LAYERS["head"].arrays["bias"]
        assert not agrees(answer["inner"], transposed, tmp_path / "b.pdparams")
    theirs = other_layers(tmp_path / "theirs.pdparams")
    assert {name: layer.kind for name, layer in theirs.items()} == {
        "embedding": "embedding",
        "decoder.head": "dense",
    }
    assert np.array_equal(theirs["decoder.head"].arrays["kernel"], LAYERS["head"].arrays["kernel"])


def test_haiku_takes_the_parameters_and_predicts_the_same(tmp_path: Path) -> None:
    hk = pytest.importorskip("haiku")
    lx.port(written(tmp_path / "a.safetensors", "embedding", "head"), tmp_path / "b.npz", to="haiku")
    params: dict[str, Any] = {}
    with np.load(tmp_path / "b.npz") as archive:
        for name, array in archive.items():
            module, _, own = name.rpartition("/")
            params.setdefault(module, {})[own] = array

    def model(ids: Array) -> Any:
        x, core = hk.Embed(WORDS, SIZE, name="embedding")(ids), hk.LSTM(UNITS, name="lstm")
        inner = hk.dynamic_unroll(core, x, core.initial_state(len(ids)), time_major=False)[0]
        return inner, hk.Linear(UNITS, name="head")(inner)

    params["head"] = params.pop("decoder/head")
    inner, predicted = hk.without_apply_rng(hk.transform(model)).apply(params, IDS)
    assert agrees(np.array(inner), np.array(predicted), tmp_path / "b.npz")


def test_mlx_loads_the_weights_and_predicts_the_same(tmp_path: Path) -> None:
    mx, nn = pytest.importorskip("mlx.core"), pytest.importorskip("mlx.nn")
    lx.port(written(tmp_path / "a.safetensors", "embedding", "head"), tmp_path / "b.npz", to="mlx")
    model = nn.Module()
    model.embedding, model.lstm, model.decoder = nn.Embedding(WORDS, SIZE), nn.LSTM(SIZE, UNITS), nn.Module()
    model.decoder.head = nn.Linear(UNITS, UNITS)
    model.load_weights(str(tmp_path / "b.npz"), strict=True)
    inner = model.lstm(model.embedding(mx.array(IDS)))[0]
    assert agrees(np.array(inner), np.array(model.decoder.head(inner)), tmp_path / "b.npz")


def test_orbax_restores_what_linen_runs(tmp_path: Path) -> None:
    orbax, linen = pytest.importorskip("orbax.checkpoint"), pytest.importorskip("flax.linen")
    lx.port(written(tmp_path / "a.safetensors", "embedding", "batch", "head"), tmp_path / "b.orbax")
    with orbax.StandardCheckpointer() as checkpointer:
        tree = checkpointer.restore(tmp_path / "b.orbax")
    params = tree["params"]
    looked = linen.Embed(WORDS, SIZE).apply({"params": params["embedding"]}, IDS)
    inner = linen.RNN(linen.LSTMCell(UNITS)).apply({"params": {"cell": params["lstm"]}}, looked)
    predicted = linen.Dense(UNITS).apply({"params": params["decoder"]["head"]}, inner)
    assert agrees(np.array(inner), np.array(predicted), tmp_path / "b.orbax")
    assert np.array_equal(tree["batch_stats"]["batch"]["var"], LAYERS["batch"].arrays["variance"])
