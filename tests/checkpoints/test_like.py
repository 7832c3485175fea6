"""`--like`: models of real frameworks filled, run by them with the new weights, all else in them as it was."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.porting.recheck import recheck

from ..conftest import needs
from ..helpers import run_python

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("oracle_alone", "no_detection_power"),
]

X, H, OUT = 5, 4, 2
WEIGHTS = lx.LSTMWeights.random(lx.LSTMSpec(X, H, bias="single"), seed=11)
BOTH = lx.LSTMWeights.random(lx.LSTMSpec(X, H, bias="single", bidirectional=True), seed=12)


def asked(weights: lx.LSTMWeights = WEIGHTS) -> lx.Case:
    return lx.Case.random(weights.spec, weights=weights, steps=7, batch=3, states=False)


def verdict(y: Any, weights: lx.LSTMWeights = WEIGHTS) -> str:
    return str(lx.judge(lx.Result(y=np.asarray(y)), asked(weights)).verdict)


def fill(folder: Path, like: Path, target: Path, name: str, weights: lx.LSTMWeights = WEIGHTS) -> Path:
    """Port the weights into the keys of `like`, where the LSTM is called `name`; the certificate holds."""
    write_checkpoint(folder / "new.npz", {"enc": weights})
    lx.port(folder / "new.npz", target, like=like, rename={"enc": name})
    recheck(target.with_name(f"{target.name}.xcheck.json"))
    return target


PADDLE = r"""
import sys
import numpy as np, paddle
folder, step = sys.argv[1:]
paddle.seed(3)
class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.enc, self.head = paddle.nn.LSTM(5, 4, direction="bidirect"), paddle.nn.Linear(8, 2)
    def forward(self, x):
        y = self.enc(x)[0]
        return y, self.head(y)
net = Net()
if step == "save":
    paddle.save(net.state_dict(), f"{folder}/flat.pdparams")
    paddle.save({"model": net.state_dict(), "epoch": 3}, f"{folder}/nested.pdparams")
    paddle.save(net.state_dict(), f"{folder}/old.pdparams", protocol=2)
    np.savez(f"{folder}/head.npz", **{k: v.numpy() for k, v in net.head.state_dict().items()})
else:
    state = paddle.load(f"{folder}/{step}.pdparams")
    assert "model" not in state or state["epoch"] == 3
    missing, unexpected = net.set_state_dict(state.get("model", state))
    assert not missing and not unexpected, (missing, unexpected)
    with np.load(f"{folder}/head.npz") as head:
        assert all((head[k] == v.numpy()).all() for k, v in net.head.state_dict().items())
    np.save(f"{folder}/{step}.npy", net(paddle.to_tensor(np.load(f"{folder}/x.npy")))[0].numpy())
"""


@pytest.fixture(scope="module")
def paddle_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("paddle")
    folder = tmp_path_factory.mktemp("paddle")
    np.save(folder / "x.npy", asked(BOTH).x)
    run_python(PADDLE, folder, "save")
    return folder


@pytest.mark.parametrize("kind", ["flat", "nested"])
def test_paddle_runs_the_filled_state_dict(paddle_files: Path, tmp_path: Path, kind: str) -> None:
    like = paddle_files / f"{kind}.pdparams"
    (lstm,) = read_checkpoint(like).lstms
    filled = fill(tmp_path, like, paddle_files / f"{kind}-new.pdparams", lstm.name, BOTH)
    for step in (kind, f"{kind}-new"):
        run_python(PADDLE, paddle_files, step)
    assert verdict(np.load(paddle_files / f"{kind}-new.npy"), BOTH) == "match"
    assert verdict(np.load(paddle_files / f"{kind}.npy"), BOTH) == "mismatch", "the old weights are told from the new"
    before, after = like.read_bytes(), filled.read_bytes()
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    assert 0 < changed <= 2 * 4 * (BOTH.parameter_count + 2 * 4 * H), "only numbers of the LSTM, under both names"


def test_numbers_kept_as_text_are_refused_by_name(paddle_files: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "new.npz", {"enc": BOTH})
    with pytest.raises(lx.CheckpointError, match=r"enc\.\S+ as text, as pickle protocol 2 does.*protocol=4"):
        lx.port(tmp_path / "new.npz", tmp_path / "m.pdparams", like=paddle_files / "old.pdparams")
    assert [file.name for file in tmp_path.iterdir()] == ["new.npz"]


def pickled(path: Path, weights: lx.LSTMWeights, order: Any) -> Path:
    arrays = {f"enc.{key}": np.asarray(a, order=order) for key, a in weights.to_layout("torch").items()}
    path.write_bytes(pickle.dumps({**arrays, "other": np.arange(3), "history": [1.5, {"a": None}]}, protocol=4))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_filled_in_their_own_order(tmp_path: Path, order: str) -> None:
    old, new = (lx.LSTMWeights.random(lx.LSTMSpec(X, H, num_layers=2), seed) for seed in (1, 2))
    like = pickled(tmp_path / "like.pdparams", old, order)
    write_checkpoint(tmp_path / "m.pdparams", {"enc": new}, like=like)
    expected = pickled(tmp_path / "expected.pdparams", new, order)
    assert (tmp_path / "m.pdparams").read_bytes() == expected.read_bytes()


def test_another_frameworks_pickle_is_refused_by_name(tmp_path: Path) -> None:
    arrays = {"linear": {"w": np.ones((X + H, 4 * H), np.float32), "b": np.ones(4 * H, np.float32)}}
    (tmp_path / "like.pkl").write_bytes(pickle.dumps({"lstm": arrays}))
    (found,) = read_checkpoint(tmp_path / "like.pkl").lstms
    with pytest.raises(lx.CheckpointError, match="as haiku does, but should be a file of Paddle's"):
        write_checkpoint(tmp_path / "m.pdparams", {found.name: WEIGHTS}, like=tmp_path / "like.pkl")


TENSORFLOW = r"""
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
folder, step = sys.argv[1:]
keras.utils.set_random_seed(5)
model = keras.Sequential([
    layers.Input((7, 5)), layers.LSTM(4, return_sequences=True, name="enc", bias_initializer="uniform"),
    layers.Dense(2, name="head"),
])
optimizer = keras.optimizers.Adam(0.25)
optimizer.build(model.trainable_variables)
x = np.load(f"{folder}/x.npy")
if step == "save":
    model(x)
    tf.train.Checkpoint(model=model, optimizer=optimizer).save(f"{folder}/like")
    np.savez(f"{folder}/head.npz", *model.layers[1].get_weights())
else:
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    optimizer.learning_rate.assign(0.5)
    restored = tf.train.Checkpoint(model=model, optimizer=optimizer).restore(f"{folder}/{step}")
    restored.assert_existing_objects_matched()
    assert float(optimizer.learning_rate) == 0.25
    with np.load(f"{folder}/head.npz") as head:
        assert all((head[k] == a).all() for k, a in zip(head.files, model.layers[1].get_weights()))
    np.save(f"{folder}/{step}.npy", model.layers[0](x))
"""


@pytest.fixture(scope="module")
def tensorflow_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("tensorflow", "keras")
    folder = tmp_path_factory.mktemp("tensorflow")
    np.save(folder / "x.npy", asked().x)
    run_python(TENSORFLOW, folder, "save", KERAS_BACKEND="tensorflow")
    return folder


@pytest.mark.parametrize("given", ["like-1.index", "like-1"])
def test_tensorflow_restores_the_filled_checkpoint(tensorflow_files: Path, tmp_path: Path, given: str) -> None:
    like = tensorflow_files / given
    before = read_checkpoint(like)
    target = tensorflow_files / f"new-{len(given)}.index"
    fill(tmp_path, like, target, before.lstms[0].name)
    after = read_checkpoint(target)
    assert after.lstms[0].tensors == before.lstms[0].tensors
    assert list(map(str, after.other)) == list(map(str, before.other)) != []
    for step in ("like-1", target.stem):
        run_python(TENSORFLOW, tensorflow_files, step, KERAS_BACKEND="tensorflow")
    assert verdict(np.load(tensorflow_files / f"{target.stem}.npy")) == "match"
    assert verdict(np.load(tensorflow_files / "like-1.npy")) == "mismatch", "the old weights are told from the new"


def test_a_checkpoint_with_damaged_other_tensors_is_refused(tensorflow_files: Path, tmp_path: Path) -> None:
    for suffix in (".index", ".data-00000-of-00001"):
        (tmp_path / f"like{suffix}").write_bytes((tensorflow_files / f"like-1{suffix}").read_bytes())
    with np.load(tensorflow_files / "head.npz") as head:
        kernel = head["arr_0"].tobytes()
    data = (tmp_path / "like.data-00000-of-00001").read_bytes()
    (tmp_path / "like.data-00000-of-00001").write_bytes(data.replace(kernel, bytes(len(kernel))))
    (found,) = read_checkpoint(tmp_path / "like").lstms
    with pytest.raises(lx.CheckpointError, match="cannot be filled"):
        write_checkpoint(tmp_path / "m.index", {found.name: WEIGHTS}, like=tmp_path / "like")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["like.data-00000-of-00001", "like.index"]


def openvino_model(path: Path, biases: Sequence[Array], *, half: bool = False) -> Path:
    """Two LSTMs, one behind the other, and a product with a constant; Y is (batch, steps, hidden) of the first."""
    openvino, op = pytest.importorskip("openvino"), pytest.importorskip("openvino.opset14")
    rng = np.random.default_rng(7)
    x = op.parameter([3, 7, X], np.float32, name="x")
    state, lengths = op.constant(np.zeros((3, 1, H), np.float32)), op.constant(np.full(3, 7, np.int32))
    y, outputs = x.output(0), []
    for name, size, bias in zip(("enc", "dec"), (X, H), biases, strict=True):
        parts = [op.constant(rng.normal(size=(1, 4 * H, n)).astype(np.float32)) for n in (size, H)]
        node = op.lstm_sequence(y, state, state, lengths, *parts, op.constant(bias), H, "forward", name=name)
        y = op.squeeze(node.output(0), op.constant([1])).output(0)
        outputs.append(y)
    head = op.matmul(y, op.constant(rng.normal(size=(H, OUT)).astype(np.float32)), False, False, name="head")
    results = [op.result(output) for output in (*outputs, head.output(0))]
    openvino.save_model(openvino.Model(results, [x], "m"), path, compress_to_fp16=half)
    return path


def openvino_runs(path: Path, x: Array) -> list[Array]:
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = model([np.array(x)])
    return [np.array(answer[k]) for k in range(len(answer))]


@pytest.mark.parametrize("bias", ["random", "zeros"])
def test_openvino_runs_the_filled_model(tmp_path: Path, bias: str) -> None:
    """Zero biases of two LSTMs are stored once: only one of them is filled."""
    drawn = np.random.default_rng(3).normal(size=(2, 1, 4 * H)).astype(np.float32)
    like = openvino_model(tmp_path / "like.xml", drawn if bias == "random" else np.zeros_like(drawn))
    old = {lstm.name: lstm.weights for lstm in read_checkpoint(like).lstms}
    write_checkpoint(tmp_path / "m.xml", {"enc": WEIGHTS}, like=like)
    after = {lstm.name: lstm.weights for lstm in read_checkpoint(tmp_path / "m.xml").lstms}
    assert after == {"enc": WEIGHTS, "dec": old["dec"]}
    assert read_checkpoint(tmp_path / "m.xml").other == read_checkpoint(like).other != ()
    assert ((tmp_path / "m.xml").read_bytes() == like.read_bytes()) == (bias == "random")
    first, second, head = openvino_runs(tmp_path / "m.xml", asked().x)
    assert verdict(first) == "match"
    assert verdict(openvino_runs(like, asked().x)[0]) == "mismatch", "the old weights are told from the new"
    second_case = lx.Case(weights=old["dec"], x=first)
    assert lx.judge(lx.Result(y=second), second_case).verdict == "match"
    kernel = np.random.default_rng(7)
    for shape in ((X, H), (H, H)):
        for size in shape:
            kernel.normal(size=(1, 4 * H, size))
    np.testing.assert_allclose(head, second @ kernel.normal(size=(H, OUT)).astype(np.float32), rtol=1e-5, atol=1e-6)


def test_a_compressed_openvino_model_takes_half_precision(tmp_path: Path) -> None:
    like = openvino_model(tmp_path / "like.xml", np.ones((2, 1, 4 * H), np.float32), half=True)
    with pytest.raises(lx.CheckpointError, match="enc is float16, but the source is float32"):
        write_checkpoint(tmp_path / "m.xml", {"enc": WEIGHTS}, like=like)
    half = WEIGHTS.astype("float16")
    write_checkpoint(tmp_path / "m.xml", {"enc": half}, like=like)
    assert read_checkpoint(tmp_path / "m.xml").lstms[0].weights == half


def test_weights_in_pieces_are_followed_to_their_bytes(tmp_path: Path) -> None:
    """A model read from ONNX keeps the gates in ONNX' order, and Split and Concat turn them as it runs."""
    pytest.importorskip("onnx")
    openvino = pytest.importorskip("openvino")
    old = lx.LSTMWeights.random(lx.LSTMSpec(X, H, bias="none", bidirectional=True), seed=1)
    new = lx.LSTMWeights.random(old.spec, seed=2)
    write_checkpoint(tmp_path / "m.onnx", {"enc": old})
    openvino.serialize(openvino.Core().read_model(tmp_path / "m.onnx"), tmp_path / "like.xml")
    assert b'type="Concat"' in (tmp_path / "like.xml").read_bytes()
    (lstm,) = read_checkpoint(tmp_path / "like.xml").lstms
    zeros = lx.LSTMSpec(X, H, bias=lstm.weights.spec.bias, bidirectional=True)
    write_checkpoint(tmp_path / "m.xml", {lstm.name: new}, like=tmp_path / "like.xml")
    (after,) = read_checkpoint(tmp_path / "m.xml").lstms
    assert after.weights.spec == zeros and lstm.weights != after.weights
    for cell, twin in zip(after.weights.layers[0], new.layers[0], strict=True):
        assert np.array_equal(cell.W, twin.W) and np.array_equal(cell.U, twin.U)


def test_biases_that_the_graph_adds_are_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    openvino = pytest.importorskip("openvino")
    write_checkpoint(tmp_path / "m.onnx", {"enc": WEIGHTS})
    openvino.serialize(openvino.Core().read_model(tmp_path / "m.onnx"), tmp_path / "like.xml")
    (lstm,) = read_checkpoint(tmp_path / "like.xml").lstms
    with pytest.raises(lx.CheckpointError, match="its graph adds two biases"):
        write_checkpoint(tmp_path / "m.xml", {lstm.name: WEIGHTS}, like=tmp_path / "like.xml")
    assert not (tmp_path / "m.xml").exists() and not (tmp_path / "m.bin").exists()


@pytest.mark.parametrize("options", [{}, {"use_ocdbt": False}, {"use_zarr3": True}], ids=["ocdbt", "folders", "zarr3"])
def test_orbax_restores_the_filled_folder(tmp_path: Path, options: dict[str, Any]) -> None:
    orbax = pytest.importorskip("orbax.checkpoint")
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    layers = linen.RNN(linen.LSTMCell(H)), linen.Dense(OUT)
    model = linen.Sequential(layers)
    tree = {"model": model.init(jax.random.PRNGKey(0), np.zeros((3, 7, X), np.float32)), "step": np.int64(3)}
    with orbax.PyTreeCheckpointer(**options) as checkpointer:
        checkpointer.save((tmp_path / "like").resolve(), tree)
    before = read_checkpoint(tmp_path / "like")
    fill(tmp_path, tmp_path / "like", tmp_path / "m.orbax", before.lstms[0].name)
    assert read_checkpoint(tmp_path / "like").lstms[0].weights == before.lstms[0].weights, "the old one is left alone"
    with orbax.PyTreeCheckpointer() as checkpointer:
        old, new = (checkpointer.restore((tmp_path / name).resolve()) for name in ("like", "m.orbax"))
    assert jax.tree.structure(old) == jax.tree.structure(new) and int(new["step"]) == 3
    own, dense = (new["model"]["params"][name] for name in ("layers_0", "layers_1"))
    jax.tree.map(np.testing.assert_array_equal, dense, old["model"]["params"]["layers_1"])
    assert verdict(layers[0].apply({"params": own}, asked().x)) == "match"
    assert verdict(layers[0].apply({"params": old["model"]["params"]["layers_0"]}, asked().x)) == "mismatch"


def test_the_folder_of_a_manager_is_filled(tmp_path: Path) -> None:
    orbax = pytest.importorskip("orbax.checkpoint")
    write_checkpoint(tmp_path / "one.npz", {"enc": WEIGHTS})
    tree = {"params": {f"l{k}": np.zeros((2, 2), np.float32) for k in range(2)}}
    write_checkpoint(tmp_path / "m.orbax", {"enc": lx.LSTMWeights.random(WEIGHTS.spec, seed=3)})
    with orbax.StandardCheckpointer() as checkpointer:
        tree["params"] |= checkpointer.restore(tmp_path / "m.orbax")["params"]
    with orbax.CheckpointManager(tmp_path / "run") as manager:
        manager.save(10, args=orbax.args.StandardSave(tree))
    write_checkpoint(tmp_path / "new", {"enc": WEIGHTS}, "orbax", like=tmp_path / "run")
    assert lx.load(tmp_path / "new") == {"enc": WEIGHTS}
    with orbax.CheckpointManager(tmp_path / "new") as manager:
        assert manager.latest_step() == 10
        restored = manager.restore(10, args=orbax.args.StandardRestore())
    assert set(restored["params"]) == {"enc", "l0", "l1"}


@pytest.mark.parametrize("suffix", [".orbax", ".index", ".xml", ".pdparams"])
def test_another_format_is_refused(tmp_path: Path, suffix: str) -> None:
    modules = {".orbax": "orbax.checkpoint", ".index": "tensorflow"}
    if suffix in modules:
        pytest.importorskip(modules[suffix])
    write_checkpoint(tmp_path / "like.npz", {"enc": WEIGHTS})
    with pytest.raises(lx.CheckpointError, match=r"like\.npz is no .* file, but should be of the format"):
        write_checkpoint(tmp_path / f"m{suffix}", {"enc": WEIGHTS}, like=tmp_path / "like.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["like.npz"]
