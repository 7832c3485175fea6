"""ONNX graphs of exporters: what torch.onnx.export writes, and shapes and names as tf2onnx writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint

from .taggers import IDS, SIZE, STEPS, UNITS, WORDS, layers_in, read_model, torch_tagger

onnx = pytest.importorskip("onnx")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("oracle_alone"),
]


def exported(torch: Any, model: Any, path: Path) -> Path:
    """What torch.onnx.export makes of a model."""
    options = {"dynamo": False, "opset_version": 17, "input_names": ["ids"], "dynamic_axes": {"ids": {0: "n", 1: "t"}}}
    torch.onnx.export(model, (torch.from_numpy(IDS),), str(path), **options)
    return path


_EXPORT = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning"
)


@_EXPORT
def test_a_file_of_torch_export_goes_back_to_torch(tmp_path: Path, torch: Any, torch_model: Any) -> None:
    path = exported(torch, torch_model, tmp_path / "tagger.onnx")
    assert [(step.kind, step.name) for step in read_model(path).chain] == [
        ("input", "ids"), ("embedding", "embedding"), ("lstm", "lstm/LSTM"), ("lstm", "lstm/LSTM_1"), ("dense", "head"),
    ]  # fmt: skip
    certificate = lx.port(path, tmp_path / "back.pt", rename={"lstm/LSTM,lstm/LSTM_1": "lstm"})
    assert certificate["verdict"] == "agree"
    state, again = torch_model.state_dict(), torch.load(tmp_path / "back.pt", weights_only=True)
    assert set(again) == set(state)
    assert all(torch.equal(again[key], tensor) for key, tensor in state.items())


@_EXPORT
def test_a_file_of_torch_export_becomes_a_keras_model(tmp_path: Path, torch: Any, torch_model: Any, keras: Any) -> None:
    path = exported(torch, torch_model, tmp_path / "tagger.onnx")
    lx.port(path, tmp_path / "tagger.keras", rename={"lstm/LSTM": "lower", "lstm/LSTM_1": "upper"})
    model = keras.saving.load_model(tmp_path / "tagger.keras")
    with torch.no_grad():
        wanted = torch_model(torch.from_numpy(IDS)).numpy()
    np.testing.assert_allclose(np.asarray(model.predict(IDS, verbose=0)), wanted, rtol=1e-5, atol=1e-6)


@_EXPORT
def test_a_last_step_and_an_activation_of_an_export_are_seen(tmp_path: Path, torch: Any) -> None:
    class Last(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, SIZE)
            self.lstm = torch.nn.LSTM(SIZE, UNITS, batch_first=True)
            self.even = torch.nn.LayerNorm(UNITS, eps=1e-2)
            self.head = torch.nn.Linear(UNITS, UNITS)

        def forward(self, ids: Any) -> Any:
            return torch.relu(self.head(self.even(self.lstm(self.embedding(ids))[0])[:, -1]))

    checkpoint = read_model(exported(torch, Last().eval(), tmp_path / "last.onnx"))
    assert {step.name: step.attributes for step in checkpoint.chain[2:]} == {
        "lstm/LSTM": {"return_sequences": False}, "even": {"epsilon": 0.01}, "head": {"activation": "relu"},
    }  # fmt: skip


@_EXPORT
def test_operators_of_no_layer_are_named(tmp_path: Path, torch: Any) -> None:
    class Residual(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, UNITS)
            self.lstm = torch.nn.LSTM(UNITS, UNITS, batch_first=True)
            self.head = torch.nn.Linear(UNITS, 2)

        def forward(self, ids: Any) -> Any:
            x = self.embedding(ids)
            return self.head(self.lstm(x)[0] + x)

    path = exported(torch, Residual().eval(), tmp_path / "residual.onnx")
    certificate = lx.port(path, tmp_path / "residual.pt", rename={"lstm/LSTM": "lstm"})
    assert certificate["notes"]["graph"] == ["not carried over, put it into your model: /Add (Add)"]
    assert [entry["destination"] for entry in certificate["layers"]] == ["embedding", "head"]


def tensorflow_graph(path: Path) -> dict[str, Array]:
    """A graph as tf2onnx writes it: reshapes around the product, names that are paths."""
    rng = np.random.default_rng(0)
    arrays = {
        "seq/embedding/embeddings:0": rng.normal(size=(WORDS, SIZE)), "W__1": rng.normal(size=(1, 4 * UNITS, SIZE)),
        "R__2": rng.normal(size=(1, 4 * UNITS, UNITS)), "B__3": rng.normal(size=(1, 8 * UNITS)),
        "seq/head/Tensordot/ReadVariableOp:0": rng.normal(size=(UNITS, 2)),
        "seq/head/BiasAdd/ReadVariableOp:0": rng.normal(size=2),
    }  # fmt: skip
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    table, w, r, b, kernel, bias = arrays
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    shapes = {"rows": [-1, UNITS], "back": [-1, STEPS, 2], "one": [1]}
    nodes = [
        make("Gather", [table, "ids"], ["looked"], name="seq/embedding/embedding_lookup"),
        make("Transpose", ["looked"], ["steps"], perm=[1, 0, 2]),
        make("LSTM", ["steps", w, r, b], ["y"], name="seq/lstm/LSTM__9", hidden_size=UNITS),
        make("Squeeze", ["y", "one"], ["squeezed"]),
        make("Transpose", ["squeezed"], ["rows_first"], perm=[1, 0, 2]),
        make("Reshape", ["rows_first", "rows"], ["flat"]),
        make("MatMul", ["flat", kernel], ["product"], name="seq/head/Tensordot/MatMul"),
        make("Reshape", ["product", "back"], ["product_back"], name="seq/head/Tensordot"),
        make("Add", ["product_back", bias], ["out"], name="seq/head/BiasAdd"),
    ]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    tensors += [onnx.helper.make_tensor(name, 7, [len(n)], n) for name, n in shapes.items()]
    ends = [value("ids", 7, [None, STEPS])], [value("out", 1, [None, STEPS, 2])]
    graph = onnx.helper.make_graph(nodes, "g", *ends, tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=7), path)
    return arrays


def test_a_graph_from_tensorflow_names_its_layers_after_its_nodes(tmp_path: Path) -> None:
    arrays = list(tensorflow_graph(tmp_path / "tf.onnx").values())
    layers = layers_in(tmp_path / "tf.onnx")
    assert set(layers) == {"embedding", "head"}
    assert np.array_equal(layers["embedding"].arrays["table"], arrays[0])
    assert np.array_equal(layers["head"].arrays["kernel"], arrays[4])
    assert np.array_equal(layers["head"].arrays["bias"], arrays[5])
    certificate = lx.port(tmp_path / "tf.onnx", tmp_path / "tf.safetensors", rename={"seq/lstm/LSTM__9": "lstm"})
    assert certificate["left_out"] == []


@pytest.mark.parametrize("state", [0.0, 0.5])
def test_a_first_state_of_zeros_is_none_and_any_other_is_named(tmp_path: Path, state: float) -> None:
    tensorflow_graph(tmp_path / "tf.onnx")
    model = onnx.load(tmp_path / "tf.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 3, UNITS), state, np.float32), "state"))
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    lstm.input.extend(["", "state", "state"])
    onnx.save(model, tmp_path / "tf.onnx")
    if state:
        with pytest.raises(lx.DisagreementError, match=r"initial_c of seq/lstm/LSTM__9 \(a state"):
            lx.port(tmp_path / "tf.onnx", tmp_path / "tf.safetensors")
    else:
        lx.port(tmp_path / "tf.onnx", tmp_path / "tf.safetensors")


def test_weights_of_other_operators_are_named(tmp_path: Path) -> None:
    tensorflow_graph(tmp_path / "tf.onnx")
    model = onnx.load(tmp_path / "tf.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 2, 3), np.float32), "conv.weight"))
    onnx.save(model, tmp_path / "tf.onnx")
    with pytest.raises(lx.DisagreementError, match=r"conv\.weight float32\[2, 2, 3\] \(of no layer that is known, by"):
        lx.port(tmp_path / "tf.onnx", tmp_path / "tf.safetensors")


def test_weights_in_a_branch_are_named(tmp_path: Path) -> None:
    tensorflow_graph(tmp_path / "tf.onnx")
    model = onnx.load(tmp_path / "tf.onnx")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    tensor = onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "branch.weight")
    body = onnx.helper.make_graph(
        [make("Identity", ["branch.weight"], ["b"])], "b", [], [value("b", 1, [2, 2])], [tensor]
    )
    model.graph.node.append(make("If", ["flag"], ["chosen"], then_branch=body, else_branch=body))
    onnx.save(model, tmp_path / "tf.onnx")
    with pytest.raises(lx.DisagreementError, match=r"branch\.weight float32\[2, 2\]"):
        lx.port(tmp_path / "tf.onnx", tmp_path / "tf.safetensors")


def run_back(torch: Any, path: Path) -> Any:
    """What a state dict computes in a new tagger."""
    again = torch_tagger(torch).eval()
    again.load_state_dict(torch.load(path), strict=True)
    with torch.no_grad():
        return again(torch.from_numpy(IDS))


@_EXPORT
def test_an_export_of_fixed_shape_keeps_its_zero_states_to_itself(tmp_path: Path, torch: Any, torch_model: Any) -> None:
    """States of zeros are cut and widened by operators of their own; they are no layer that has to be carried."""
    torch.onnx.export(torch_model, (torch.from_numpy(IDS),), str(tmp_path / "m.onnx"), dynamo=False)
    lx.port(tmp_path / "m.onnx", tmp_path / "back.pt", rename={"lstm/LSTM,lstm/LSTM_1": "lstm"})
    assert torch.equal(run_back(torch, tmp_path / "back.pt"), torch_model(torch.from_numpy(IDS)))


@_EXPORT
def test_states_that_are_not_zero_are_named(tmp_path: Path, torch: Any) -> None:
    class Started(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(SIZE, UNITS)

        def forward(self, x: Any) -> Any:
            return self.lstm(x, (torch.ones(1, 3, UNITS), torch.zeros(1, 3, UNITS)))[0]

    torch.onnx.export(Started(), (torch.randn(STEPS, 3, SIZE),), str(tmp_path / "m.onnx"), dynamo=False)
    reason = r"initial_h of lstm/LSTM \(a state that lstm/LSTM begins with is not zero"
    with pytest.raises(lx.DisagreementError, match=reason):
        lx.port(tmp_path / "m.onnx", tmp_path / "back.pt")


@_EXPORT
def test_a_file_of_dynamo_export_goes_back_to_torch(tmp_path: Path, torch: Any, torch_model: Any) -> None:
    pytest.importorskip("onnxscript")
    torch.onnx.export(torch_model, (torch.from_numpy(IDS),), str(tmp_path / "m.onnx"), dynamo=True, verbose=False)
    names = [lstm.name for lstm in read_checkpoint(tmp_path / "m.onnx").lstms]
    certificate = lx.port(tmp_path / "m.onnx", tmp_path / "back.pt", rename={",".join(names): "lstm"})
    assert [entry["destination"] for entry in certificate["layers"]] == ["embedding", "head"]
    assert torch.equal(run_back(torch, tmp_path / "back.pt"), torch_model(torch.from_numpy(IDS)))


@_EXPORT
def test_a_projection_that_dynamo_export_gets_wrong_is_refused(tmp_path: Path, torch: Any) -> None:
    """It writes the projected size for the units, with states of the true size: a graph that nothing runs."""
    pytest.importorskip("onnxscript")
    lstm = torch.nn.LSTM(SIZE, UNITS, proj_size=2)
    torch.onnx.export(lstm, (torch.randn(STEPS, 3, SIZE),), str(tmp_path / "m.onnx"), dynamo=True, verbose=False)
    with pytest.raises(lx.CheckpointError, match=r"it has 2 units, but its initial states are \[1, 3, 4\]"):
        lx.load(tmp_path / "m.onnx")
