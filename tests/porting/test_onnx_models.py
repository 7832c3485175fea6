"""Whole models to ONNX and from it, run by onnxruntime, trained for a few steps by their own framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array

from .taggers import CLASSES, IDS, disagreements_with, layers_in

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("oracle_alone"),
]


def run(path: Path, given: Array, *more: str) -> list[Array]:
    """What onnxruntime gives for the file's one output, and for tensors within."""
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    return list(session.run([model.graph.output[0].name, *more], {only.name: given}))


def check_run(path: Path, source: Path) -> list[str]:
    """What of onnxruntime's run the source file does not allow: the recurrence, and the predictions."""
    product = next(node for node in onnx.load(path).graph.node if node.op_type == "MatMul")
    predicted, inner = run(path, IDS.astype(np.int64), product.input[0])
    inner = inner if inner.shape[0] == len(IDS) else inner.swapaxes(0, 1)
    return disagreements_with(source, inner, predicted)


@pytest.mark.parametrize("to", ["onnx", "onnx-22"])
@pytest.mark.parametrize("which", ["torch", "keras"])
def test_a_trained_model_predicts_the_same(tmp_path: Path, which: str, to: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(f"{which}_file")
    certificate = lx.port(source, tmp_path / "tagger.onnx", to=to)
    assert certificate["verdict"] == "agree"
    assert [entry["kind"] for entry in certificate["layers"]] == ["embedding", "dense"]
    assert check_run(tmp_path / "tagger.onnx", source) == []


def test_a_square_kernel_that_is_not_transposed_is_caught(tmp_path: Path, torch_file: Path) -> None:
    lx.port(torch_file, tmp_path / "tagger.onnx")
    model = onnx.load(tmp_path / "tagger.onnx")
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "head.kernel")
    kernel.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(kernel).T.copy(), "head.kernel"))
    onnx.save(model, tmp_path / "mutant.onnx")
    assert check_run(tmp_path / "mutant.onnx", torch_file) == ["head"]


def test_exchanged_directions_are_seen(tmp_path: Path, torch_file: Path) -> None:
    lx.port(torch_file, tmp_path / "tagger.onnx")
    model = onnx.load(tmp_path / "tagger.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith((".W", ".R", ".B")):
            values = onnx.numpy_helper.to_array(tensor)[::-1].copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "mutant.onnx")
    assert "lstm" in check_run(tmp_path / "mutant.onnx", torch_file)


def test_a_writer_that_transposes_the_kernel_is_refused(
    tmp_path: Path, torch_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lstm_xcheck.checkpoints.other_layers.store.transposed",
        lambda family, kind, part, array: array.T if part == "kernel" else array,
    )
    with pytest.raises(lx.CheckpointError, match="head read back is not what was written"):
        lx.port(torch_file, tmp_path / "new.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["torch", "keras"])
def test_there_and_back_is_bit_for_bit(tmp_path: Path, which: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(f"{which}_file")
    lx.port(source, tmp_path / "there.onnx")
    lx.port(tmp_path / "there.onnx", tmp_path / f"back{source.suffix}")
    ours, theirs = (layers_in(path) for path in (source, tmp_path / f"back{source.suffix}"))
    assert set(ours) == {"embedding", "head"} == set(theirs)
    for name, layer in ours.items():
        assert (layer.kind, layer.fingerprint) == (theirs[name].kind, theirs[name].fingerprint)


def keras_models(keras: Any) -> dict[str, Any]:
    """Models with every layer that has an operator; their inputs are (5, 3) vectors."""
    layers = keras.layers
    start = [keras.Input((5, 3))]
    return {
        "each-step": [
            *start, layers.TimeDistributed(layers.Dense(4, activation="relu"), name="each"),
            layers.BatchNormalization(name="batch"), layers.LayerNormalization(epsilon=1e-2, name="even"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="ave", name="lower"),
            layers.LSTM(4, go_backwards=True, name="upper"), layers.Dense(2, activation="softmax", name="head"),
        ],
        "sum": [
            *start, layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="both"),
            layers.BatchNormalization(scale=False, name="batch"), layers.Dense(2, use_bias=False, name="head"),
        ],
        "last": [
            *start, layers.Bidirectional(layers.LSTM(4), name="both"), layers.Dense(2, "tanh", name="head"),
            layers.ReLU(), layers.Softmax(),
        ],
        "product": [
            *start, layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="mul", name="both"),
            layers.Dense(2, "hard_sigmoid", name="head"),
        ],
        "flat": [*start, layers.LSTM(4, return_sequences=True), layers.Flatten(), layers.Dense(2, "elu")],
        "average": [*start, layers.LSTM(4, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(2)],
        "most": [*start, layers.LSTM(4, return_sequences=True), layers.GlobalMaxPooling1D(), layers.Dense(2)],
    }  # fmt: skip


@pytest.mark.parametrize("to", ["onnx", "onnx-22"])
@pytest.mark.parametrize("name", ["each-step", "sum", "last", "product", "flat", "average", "most"])
def test_every_layer_with_an_operator_computes_the_same_there_and_back(
    tmp_path: Path, keras: Any, name: str, to: str
) -> None:
    model = keras.Sequential(keras_models(keras)[name])
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.2, array.shape).astype(np.float32) for array in model.get_weights()])
    model.save(tmp_path / "a.keras")
    if name == "each-step" and to == "onnx":
        with pytest.raises(lx.DisagreementError, match=r"operator set 14 has no even \(LayerNormalization came with"):
            lx.port(tmp_path / "a.keras", tmp_path / "b.onnx", to=to)
        assert not (tmp_path / "b.onnx").exists()
        return
    lx.port(tmp_path / "a.keras", tmp_path / "b.onnx", to=to)
    lx.port(tmp_path / "b.onnx", tmp_path / "c.keras")
    x = rng.normal(size=(3, 5, 3)).astype(np.float32)
    wanted = np.asarray(model.predict(x, verbose=0))
    (given,) = run(tmp_path / "b.onnx", x)
    # A layer that is wrong or left out is off by far more: weights and data are of the size of 1.
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)
    again = keras.saving.load_model(tmp_path / "c.keras")
    assert np.array_equal(np.asarray(again.predict(x, verbose=0)), wanted)


def test_what_has_no_operator_is_named_and_nothing_is_written(tmp_path: Path, keras: Any) -> None:
    layers = keras.layers
    parts = [
        layers.Masking(name="mask"), layers.LSTM(3, go_backwards=True, return_sequences=True, name="back"),
        layers.Dense(2, activation="mish", name="head"),
    ]  # fmt: skip
    keras.Sequential([keras.Input((None, 3)), *parts]).save(tmp_path / "m.keras")
    with pytest.raises(lx.DisagreementError) as caught:
        lx.port(tmp_path / "m.keras", tmp_path / "m.onnx")
    for text in ("mask (Masking)", "back (an LSTM that reads backward", "head (activation mish)", "--lstm-only"):
        assert text in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["m.keras"]
    lx.port(tmp_path / "m.keras", tmp_path / "m.onnx", lstm_only=True)


def test_layers_in_no_known_order_stand_alone(tmp_path: Path, torch: Any) -> None:
    module = torch.nn.ModuleDict(
        {
            "a": torch.nn.LSTM(4, 4),
            "b": torch.nn.LSTM(3, 5),
            "head": torch.nn.Linear(4, 4),
            "bn": torch.nn.BatchNorm1d(4),
        }
    )
    torch.save(module.state_dict(), tmp_path / "m.pt")
    certificate = lx.port(tmp_path / "m.pt", tmp_path / "m.onnx")
    assert "order of the layers is not known" in certificate["notes"]["model"][0]
    assert certificate["left_out"] == ["bn.num_batches_tracked int64[]"]
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["a.X", "b.X", "head.X", "bn.X"]
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    fed = {"a.X": np.zeros((1, 1, 4), "f4"), "b.X": np.zeros((1, 1, 3), "f4"), "head.X": x, "bn.X": x}
    head, batch = session.run(["head.Y", "bn.Y"], fed)
    with torch.no_grad():
        np.testing.assert_allclose(head, module["head"](torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch, module["bn"].eval()(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6)


def test_like_fills_the_users_graph_in_its_own_orientation(tmp_path: Path, torch: Any, torch_file: Path) -> None:
    lx.port(torch_file, tmp_path / "first.onnx")
    like = onnx.load(tmp_path / "first.onnx")
    product, added = (next(node for node in like.graph.node if node.op_type == kind) for kind in ("MatMul", "Add"))
    kernel = next(tensor for tensor in like.graph.initializer if tensor.name == "head.kernel")
    kernel.CopyFrom(onnx.numpy_helper.from_array(np.zeros((CLASSES, CLASSES), np.float32), "other.weight"))
    transposed = onnx.helper.make_node("Transpose", ["other.weight"], ["turned"], perm=[1, 0])
    like.graph.node.insert(list(like.graph.node).index(product), transposed)
    product.input[1] = "turned"
    added.name = "kept"
    onnx.save(like, tmp_path / "like.onnx")
    names = {"head": "other"}
    lx.port(torch_file, tmp_path / "new.onnx", like=tmp_path / "like.onnx", rename=names)
    assert "kept" in {node.name for node in onnx.load(tmp_path / "new.onnx").graph.node}
    assert check_run(tmp_path / "new.onnx", torch_file) == []
