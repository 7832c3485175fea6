"""Whole models, trained for a few steps by their framework, ported, and run by the other framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints.other_layers.model import plain_name
from lstm_xcheck.porting.recheck import recheck

from .taggers import IDS, SIZE, STEPS, UNITS, disagreements_with, keras_tagger, layers_in, torch_tagger

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
pytest.importorskip("h5py")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("oracle_alone"),
]


def run_torch(path: Path) -> tuple[Array, Array]:
    """Outputs of the LSTM, and predictions, of the user's own module."""
    model = torch_tagger(torch)
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    with torch.no_grad():
        inner = model.lstm(model.embedding(torch.from_numpy(IDS)))[0]
        return inner.numpy(), model(torch.from_numpy(IDS)).numpy()


def run_keras(model: Any) -> tuple[Array, Array]:
    head = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    inner = keras.Model(model.inputs, head.input)
    return (np.asarray(inner.predict(IDS, verbose=0)), np.asarray(model.predict(IDS, verbose=0)))


def test_keras_to_torch_loads_strictly_and_predicts_the_same(tmp_path: Path, keras_file: Path) -> None:
    target = tmp_path / "tagger.pt"
    certificate = lx.port(keras_file, target, rename={"lower,upper": "lstm"})
    assert certificate["verdict"] == "agree"
    theirs, ours = run_torch(target), run_keras(keras.saving.load_model(keras_file))
    for ran in (ours, theirs):
        assert disagreements_with(keras_file, *ran) == []


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_torch_to_keras_loads_and_predicts_the_same(tmp_path: Path, torch_file: Path, suffix: str) -> None:
    target = tmp_path / f"tagger{suffix}"
    certificate = lx.port(torch_file, target)
    assert certificate["verdict"] == "agree"
    if suffix == ".keras":
        model = keras.saving.load_model(target)
        assert "in order by the state dict" in certificate["notes"]["model"][0]
    else:
        model = keras_tagger(keras)
        model.load_weights(target)
    for ran in (run_torch(torch_file), run_keras(model)):
        assert disagreements_with(torch_file, *ran) == []


def test_a_square_kernel_that_is_not_transposed_is_caught(tmp_path: Path, torch_file: Path) -> None:
    state = torch.load(torch_file, weights_only=True)
    state["head.weight"] = state["head.weight"].T.contiguous()
    torch.save(state, tmp_path / "mutant.pt")
    assert disagreements_with(torch_file, *run_torch(tmp_path / "mutant.pt")) == ["head"]


def test_exchanged_directions_are_seen(tmp_path: Path, torch_file: Path) -> None:
    state = torch.load(torch_file, weights_only=True)
    for key in [key for key in state if key.endswith("_reverse")]:
        other = key.removesuffix("_reverse")
        state[key], state[other] = state[other], state[key]
    torch.save(state, tmp_path / "mutant.pt")
    assert "lstm" in disagreements_with(torch_file, *run_torch(tmp_path / "mutant.pt"))


def test_a_writer_that_does_not_transpose_the_kernel_is_refused(
    tmp_path: Path, torch_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lstm_xcheck.checkpoints.other_layers.store.transposed", lambda family, kind, part, array: array
    )
    with pytest.raises(lx.CheckpointError, match="head read back is not what was written"):
        lx.port(torch_file, tmp_path / "new.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".keras", ".weights.h5", ".h5", ".msgpack"])
@pytest.mark.parametrize("which", ["torch", "keras"])
def test_there_and_back_is_bit_for_bit(
    tmp_path: Path, torch_file: Path, keras_file: Path, which: str, suffix: str
) -> None:
    source = torch_file if which == "torch" else keras_file
    lx.port(source, tmp_path / f"there{suffix}")
    lx.port(tmp_path / f"there{suffix}", tmp_path / f"back{source.suffix}")
    ours, theirs = layers_in(source), layers_in(tmp_path / f"back{source.suffix}")
    assert set(ours) == {"embedding", "head"} == set(theirs)
    for name, layer in ours.items():
        assert (layer.kind, layer.fingerprint) == (theirs[name].kind, theirs[name].fingerprint)


def test_a_keras_model_keeps_dropout_activations_and_the_last_step(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.Masking(name="mask"),
            layers.TimeDistributed(layers.Dense(4, activation="tanh"), name="each"),
            layers.LayerNormalization(epsilon=1e-2, name="even"),
            layers.LSTM(4, name="last"),
            layers.Dropout(0.5, name="rest"),
            layers.BatchNormalization(name="batch"),
            layers.Dense(2, activation="softmax", use_bias=False, name="head"),
        ]
    )
    model.save(tmp_path / "a.keras")
    lx.port(tmp_path / "a.keras", tmp_path / "b.keras")
    again = keras.saving.load_model(tmp_path / "b.keras")
    assert [layer.name for layer in again.layers[1:]] == [layer.name for layer in model.layers]
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    x[:, 3:] = 0
    assert np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_normalisations_go_to_torch_and_say_what_is_filled_in(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, 4)), layers.LSTM(4, name="lstm"), layers.BatchNormalization(scale=False, name="batch"),
         layers.LayerNormalization(center=False, name="even")]
    )  # fmt: skip
    model.layers[1].set_weights([np.float32([1, 2, 3, 4]), np.float32([5, 6, 7, 8]), np.float32([9, 1, 2, 3])])
    model.save(tmp_path / "a.keras")
    certificate = lx.port(tmp_path / "a.keras", tmp_path / "b.pt")
    filled = {entry["source"]: entry["filled"] for entry in certificate["layers"]}
    assert filled == {"batch": ["weight", "num_batches_tracked"], "even": []}
    assert "build it with epsilon 0.001" in certificate["notes"]["batch"]
    module = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(4, 4), "batch": torch.nn.BatchNorm1d(4, eps=1e-3),
         "even": torch.nn.LayerNorm(4, eps=1e-3, bias=False)}
    )  # fmt: skip
    module.load_state_dict(torch.load(tmp_path / "b.pt", weights_only=True), strict=True)
    batch = module["batch"]
    tensors = (batch.weight, batch.bias, batch.running_mean, batch.running_var)
    assert [tensor.tolist() for tensor in tensors] == [[1] * 4, [1, 2, 3, 4], [5, 6, 7, 8], [9, 1, 2, 3]]
    assert int(batch.num_batches_tracked) == 0


def two_matrices(path: Path, name: str, rows: int, columns: int) -> Path:
    lstm = {f"lstm.{key}": value for key, value in torch.nn.LSTM(4, 4).state_dict().items()}
    torch.save({**lstm, f"{name}.weight": torch.randn(rows, columns)}, path)
    return path


@pytest.mark.parametrize(
    ("name", "rows", "columns", "kind"),
    [("embed_tokens", 9, 4, "embedding"), ("lm_head", 9, 4, "dense"), ("x", 4, 7, "dense")],
    ids=["name-embedding", "name-dense", "by-size"],
)
def test_a_lone_matrix_is_settled_by_name_or_size(
    tmp_path: Path, name: str, rows: int, columns: int, kind: str
) -> None:
    path = two_matrices(tmp_path / "m.pt", name, rows, columns)
    assert {layer: other.kind for layer, other in layers_in(path).items()} == {name: kind}


def test_a_lone_matrix_that_may_be_both_is_refused_until_it_is_named(tmp_path: Path) -> None:
    path = two_matrices(tmp_path / "m.pt", "table", 9, 4)
    target = tmp_path / "m.safetensors"
    with pytest.raises(lx.DisagreementError, match="perhaps Linear or Embedding; say which with --rename table=table_"):
        lx.port(path, target)
    assert not target.exists()
    certificate = lx.port(path, target, rename={"table": "table_embedding"})
    assert [(entry["kind"], entry["destination"]) for entry in certificate["layers"]] == [
        ("embedding", "table_embedding")
    ]


def test_what_is_not_known_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(3, 4), "conv": torch.nn.Conv1d(3, 3, 2), "head": torch.nn.Linear(4, 2)}
    )
    torch.save(model.state_dict(), tmp_path / "m.pt")
    with pytest.raises(lx.DisagreementError, match=r"conv\.weight float32\[3, 3, 2\].*--lstm-only") as caught:
        lx.port(tmp_path / "m.pt", tmp_path / "m.keras")
    assert "head" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["m.pt"]


def test_optimizers_are_listed_and_do_not_stand_in_the_way(tmp_path: Path, keras_file: Path) -> None:
    certificate = lx.port(keras_file, tmp_path / "m.safetensors")
    assert all(text.startswith("optimizer/vars/") for text in certificate["training"])
    assert len(certificate["training"]) > 10
    assert [entry["kind"] for entry in certificate["layers"]] == ["embedding", "dense"]


def test_like_fills_the_layers_of_the_users_file(tmp_path: Path, keras_file: Path, torch_file: Path) -> None:
    names = {"lower,upper": "lstm"}
    lx.port(keras_file, tmp_path / "new.pt", like=torch_file, rename=names)
    assert disagreements_with(keras_file, *run_torch(tmp_path / "new.pt")) == []
    with pytest.raises(lx.CheckpointError, match="has no dense top, but head; add --rename top=head"):
        lx.port(keras_file, tmp_path / "two.pt", like=torch_file, rename={**names, "head": "top"})


def test_layers_that_are_no_stack_are_not_made_one(tmp_path: Path) -> None:
    layers = keras.layers
    parts = [layers.LSTM(3, return_sequences=True, name="a"), layers.LayerNormalization(), layers.LSTM(3, name="b")]
    keras.Sequential([keras.Input((None, 3)), *parts]).save(tmp_path / "m.keras")
    with pytest.raises(lx.UserError, match="do not follow one another directly"):
        lx.port(tmp_path / "m.keras", tmp_path / "m.pt", rename={"a,b": "lstm"})


def test_a_certificate_covers_the_layers(tmp_path: Path, keras_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lx.port(keras_file, tmp_path / "m.pt", rename={"lower,upper": "lstm"})
    assert "1 LSTMs and 2 other layers" in recheck(tmp_path / "m.pt.xcheck.json")
    monkeypatch.setattr(
        "lstm_xcheck.checkpoints.other_layers.collect.transposed", lambda family, kind, part, array: array + 1
    )
    with pytest.raises(lx.DisagreementError, match="embedding: the embedding read now is not that of"):
        recheck(tmp_path / "m.pt.xcheck.json")


def test_names_have_one_spelling() -> None:
    assert plain_name("decoder/head") == "decoder.head"


def test_control_characters_of_a_name_are_escaped(tmp_path: Path) -> None:
    path = two_matrices(tmp_path / "m.pt", "embed\x1b[2J", 9, 4)
    assert list(layers_in(path)) == ["embed\\x1b[2J"]


@pytest.mark.parametrize("target", ["m.onnx", "out.keras"])
def test_what_no_file_can_say_is_refused_by_a_format_of_models(tmp_path: Path, target: str) -> None:
    if target == "m.onnx":
        pytest.importorskip("onnx")
    path = with_lambda(tmp_path)
    with pytest.raises(lx.DisagreementError, match=r"cannot be carried over: twice \(Lambda\); .* add --lstm-only"):
        lx.port(path, tmp_path / target)
    assert not (tmp_path / target).exists()
    assert lx.port(path, tmp_path / target, lstm_only=True)["verdict"] == "agree"


def test_layers_without_weights_are_named_where_the_model_is_no_line(tmp_path: Path) -> None:
    notes = lx.port(with_lambda(tmp_path), tmp_path / "m.pt")["notes"]
    assert notes["graph"] == ["not carried over, put it into your model: twice (Lambda), d (Dropout)"]


def with_lambda(tmp_path: Path) -> Path:
    """A Lambda computes something that no file can say; nobody must believe that it came along."""
    layers = keras.layers
    block = keras.Sequential(
        [keras.Input((STEPS, SIZE)), layers.LSTM(UNITS, name="deep"), layers.Dropout(0.5, name="d")]
    )
    steps = [
        keras.Input((STEPS, SIZE)),
        layers.Lambda(lambda x: 2 * x, name="twice"),
        block,
        layers.Dense(2, name="head"),
    ]
    keras.Sequential(steps).save(tmp_path / "m.keras")
    return tmp_path / "m.keras"
