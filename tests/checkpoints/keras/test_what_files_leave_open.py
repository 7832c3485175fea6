"""Keras files that do not say what they compute: the version decides, or the user does, or they are not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.options import KerasOptions
from lstm_xcheck.errors import CheckpointError, DisagreementError
from lstm_xcheck.model import LSTMSpec
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3
from lstm_xcheck.porting.recheck import recheck

from .older_files import agrees, architecture, arrays, layer, unread, weights_only, whole

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.framework


@pytest.mark.parametrize(
    ("version", "gates"),
    [
        ("1.2.2", HARD_SIGMOID_KERAS2), ("2.0.8-tf", HARD_SIGMOID_KERAS2), ("2.1.6-tf", HARD_SIGMOID_KERAS2),
        ("2.2.0", HARD_SIGMOID_KERAS2), ("2.2.5", HARD_SIGMOID_KERAS2), ("2.3.0", "sigmoid"),
        ("2.3.0-tf", "sigmoid"), ("2.15.0", "sigmoid"), ("3.3.0", "sigmoid"),
    ],
)  # fmt: skip
def test_the_version_gives_the_default_gates(tmp_path: Path, given: dict[str, Any], version: str, gates: str) -> None:
    checkpoint = read_checkpoint(weights_only(tmp_path / "m.h5", version))
    assert agrees(checkpoint, given[f"{gates}|tanh"])
    others = [name for name in given if name != f"{gates}|tanh"]
    assert not any(agrees(checkpoint, given[name]) for name in others)
    assert "Keras' defaults are taken" in checkpoint.lstms[0].notes[0]


@pytest.mark.parametrize("version", ["2.2.4-tf", None, "", "none"])
def test_a_version_of_two_defaults_is_refused_until_somebody_says_which(
    tmp_path: Path, given: dict[str, Any], version: str | None
) -> None:
    path = weights_only(tmp_path / "m.h5", version)
    assert "may say" not in str(read_checkpoint(path).lstms)
    with pytest.raises(CheckpointError, match="hard_sigmoid or sigmoid; say which with --recurrent-activation"):
        lx.load(path)
    for gates in ("sigmoid", HARD_SIGMOID_KERAS2):
        checkpoint = read_checkpoint(path, keras=KerasOptions(recurrent_activation=gates))
        assert agrees(checkpoint, given[f"{gates}|tanh"])
        assert f"--recurrent-activation says {gates}" in checkpoint.lstms[0].notes[0]


def test_hard_sigmoid_is_that_of_the_version(tmp_path: Path, given: dict[str, Any]) -> None:
    options = KerasOptions(recurrent_activation="hard_sigmoid", activation="relu")
    older, newer = (weights_only(tmp_path / f"{version}.h5", version) for version in ("2.2.4-tf", "3.3.0"))
    assert agrees(read_checkpoint(older, keras=options), given[f"{HARD_SIGMOID_KERAS2}|relu"])
    assert agrees(read_checkpoint(newer, keras=options), given["keras3|relu"])
    with pytest.raises(CheckpointError, match="has two meanings, and the file does not say"):
        read_checkpoint(weights_only(tmp_path / "m.h5", None), keras=options)


def test_the_gates_of_cudnn_are_fixed(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "m.h5", "2.2.4-tf", {"rec/rec": arrays(bias=32)})
    (lstm,) = read_checkpoint(path).lstms
    assert (lstm.layout, lstm.weights.spec.gate_activation) == ("cudnn-keras", "sigmoid")


def test_the_version_may_lie_in_the_group_of_the_weights(tmp_path: Path) -> None:
    path = whole(tmp_path / "m.h5", [], {"rec/rec": arrays()})
    with h5py.File(path, "r+") as root:
        del root.attrs["model_config"], root.attrs["keras_version"]
        root["model_weights"].attrs["keras_version"] = "2.1.3"
    assert read_checkpoint(path).lstms[0].weights.spec.gate_activation == HARD_SIGMOID_KERAS2


def test_a_config_of_the_user_is_applied(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "m.h5", "2.2.0", {"fw/fw": arrays(), "bw/bw": arrays(1)})
    layers = [
        layer("LSTM", "fw", units=4, activation="tanh", recurrent_activation="hard_sigmoid"),
        layer("Mine", "bw", units=4, activation="relu", recurrent_activation="sigmoid", go_backwards=True),
    ]
    config = architecture(tmp_path, layers, keras_version="2.2.0")
    checkpoint = read_checkpoint(path, keras=KerasOptions(config, accept_class=("Mine",)))
    specs = {lstm.name: lstm.weights.spec for lstm in checkpoint.lstms}
    relu = {"cell_activation": "relu", "output_activation": "relu"}
    assert specs == {
        "fw": LSTMSpec(5, 4, bias="single", gate_activation=HARD_SIGMOID_KERAS2),
        "bw": LSTMSpec(5, 4, bias="single", reverse=True, **relu),
    }
    assert unread(read_checkpoint(path, keras=KerasOptions(config))).keys() == {"bw"}


def test_a_config_of_the_user_is_applied_to_weights_of_keras_3(keras_files: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(keras_files / "functional.keras") as archive:
        (tmp_path / "model.json").write_bytes(archive.read("config.json"))
    ours, theirs = (
        {lstm.name: lstm.weights for lstm in read_checkpoint(keras_files / name, keras=options).lstms}
        for name, options in (
            ("functional.weights.h5", KerasOptions(tmp_path / "model.json")), ("functional.keras", KerasOptions()),
        )
    )  # fmt: skip
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backend: tensorflow\nclass_name: Sequential\n", "holds no class_name"), ("[1]", "holds no class_name"),
        ("[" * 100_000, "is neither JSON nor the plain YAML"),
        ("a: |\n  b\n", "is neither JSON nor the plain YAML"), ('{"class_name": ', "is neither JSON nor"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "has no LSTM at layers/lstm_1"),
    ],
)  # fmt: skip
def test_a_config_that_is_none_of_this_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "model.json").write_text(text)
    path = weights_only(tmp_path / "m.h5", "2.2.0")
    with pytest.raises(CheckpointError, match=says):
        read_checkpoint(path, keras=KerasOptions(tmp_path / "model.json"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (KerasOptions(activation="relu"), "--activation says relu, but the file itself says tanh"),
        (KerasOptions(go_backwards=True), "--go-backwards says True, but the file itself says False"),
        (KerasOptions(activation="swish"), "--activation: unknown activation 'swish'"),
        (KerasOptions(Path("model.json")), "has a config of its own, so leave --keras-config out"),
    ],
)
def test_what_the_file_says_itself_is_not_overruled(tmp_path: Path, options: KerasOptions, says: str) -> None:
    listed = [layer("LSTM", "rec", units=4, activation="tanh", recurrent_activation="sigmoid", go_backwards=False)]
    path = whole(tmp_path / "m.h5", listed, {"rec/rec": arrays()})
    if options.config:
        options = KerasOptions(architecture(tmp_path, listed))
    with pytest.raises(CheckpointError, match=says):
        read_checkpoint(path, keras=options)


def test_other_formats_take_none_of_it(tmp_path: Path) -> None:
    lx.port(weights_only(tmp_path / "m.h5", "2.3.1"), tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="is a safetensors file, of which the options of Keras say nothing"):
        read_checkpoint(tmp_path / "m.safetensors", keras=KerasOptions(activation="relu"))


@pytest.mark.usefixtures("oracle_alone")
def test_a_certificate_keeps_what_the_user_adds(tmp_path: Path) -> None:
    path = weights_only(tmp_path / "m.h5", "2.2.4-tf", {"rec/rec": arrays()})
    config = architecture(tmp_path, [layer("Mine", "rec", units=4, recurrent_activation="hard_sigmoid")])
    certificate = lx.port(path, tmp_path / "m.npz", keras_config=config, accept_class=["Mine"])
    assert certificate["verdict"] == "agree"
    assert certificate["source"]["keras"]["accept_class"] == ["Mine"]
    assert certificate["source"]["keras"]["config"] == "model.json"
    assert "--accept-class says" in certificate["notes"]["rec"][0]
    assert "holds" in recheck(tmp_path / "m.npz.xcheck.json")
    config.write_text(config.read_text() + " ")
    with pytest.raises(DisagreementError, match="is not the config that"):
        recheck(tmp_path / "m.npz.xcheck.json")


@pytest.mark.parametrize(
    ("version", "gates"),
    [("1.2.2", HARD_SIGMOID_KERAS2), ("2.2.4-tf", HARD_SIGMOID_KERAS2), ("3.0.5", HARD_SIGMOID_KERAS3)],
)
def test_hard_sigmoid_of_a_model_is_that_of_its_keras(tmp_path: Path, version: str, gates: str) -> None:
    values = {"units": 4, "activation": "tanh", "recurrent_activation": "hard_sigmoid"}
    path = whole(tmp_path / "m.h5", [layer("LSTM", "rec", **values)], {"rec/rec": arrays()}, version)
    assert read_checkpoint(path).lstms[0].weights.spec.gate_activation == gates
