"""Every written file is loaded by its framework's own loader, with no help from this package."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, CheckpointError, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.atomic_files import sha256_of
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.layout_arrays import as_stored, chain_of

from ..helpers import run_python, usable

#: Keras on JAX with NumPy 2, none of our doing.
pytestmark = [pytest.mark.framework, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

OWN = {"torch": ".pt", "safetensors": ".safetensors", "npz": ".npz", "keras": ".keras", "keras-weights": ".weights.h5"}


def same_bits(arrays: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    return set(arrays) == set(expected) and all(
        arrays[name].dtype == array.dtype and arrays[name].tobytes() == array.tobytes()
        for name, array in expected.items()
    )


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("target", OWN)
def test_a_file_says_what_was_written(tmp_path: Path, weights: LSTMWeights, target: str, dtype: str) -> None:
    given = weights.astype(dtype)
    written = {"enc": given} if usable(target).stacks else chain_of({"enc": given})
    path = tmp_path / f"model{OWN[target]}"
    back = write_checkpoint(path, {"enc": given})
    found = {lstm.name: lstm for lstm in read_checkpoint(path).lstms}
    assert [lstm.name for lstm in back.lstms] == list(found) == list(written)
    for name, expected in written.items():
        assert found[name].weights == as_stored(expected, found[name].layout)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("target", OWN)
def test_the_same_weights_give_the_same_bytes(tmp_path: Path, target: str) -> None:
    usable(target)
    given = {name: LSTMWeights.random(LSTMSpec(3, 4), seed) for seed, name in enumerate(("enc", "dec"))}
    first, second = (tmp_path / f"{name}{OWN[target]}" for name in ("one", "other"))
    write_checkpoint(first, given)
    write_checkpoint(second, given)
    assert first.read_bytes() == second.read_bytes()


def test_torch_loads_the_state_dict(tmp_path: Path, spec: LSTMSpec, weights: LSTMWeights) -> None:
    torch = pytest.importorskip("torch")
    write_checkpoint(tmp_path / "m.pt", {"": weights})
    lstm = torch.nn.LSTM(
        spec.input_size, spec.hidden_size, spec.num_layers, bias=spec.bias != "none", batch_first=True,
        bidirectional=spec.bidirectional,
    )  # fmt: skip
    lstm.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True), strict=True)
    case = Case.random(spec, weights=weights)
    given = [torch.from_numpy(np.array(array)) for array in (case.x, case.h0, case.c0)]
    with torch.no_grad():
        y, (h_n, c_n) = lstm(given[0], (given[1], given[2]))
    assert judge(Result(y=y.numpy(), h_n=h_n.numpy(), c_n=c_n.numpy()), case).verdict == "match"


def test_safetensors_loads_the_file(tmp_path: Path, weights: LSTMWeights) -> None:
    library = pytest.importorskip("safetensors.numpy")
    write_checkpoint(tmp_path / "m.safetensors", {"enc": weights})
    assert same_bits(library.load_file(tmp_path / "m.safetensors"), weights.to_layout("torch", prefix="enc."))


def test_numpy_loads_the_own_file(tmp_path: Path, weights: LSTMWeights) -> None:
    write_checkpoint(tmp_path / "m.npz", {"enc": weights})
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "lstm_xcheck"}
    assert same_bits(arrays, {f"enc/{name}": array for name, array in weights.arrays().items()})


def verdict(model: Any, weights: LSTMWeights) -> str:
    """Of what a Keras model computes, by the weights that it should have."""
    import keras

    case = Case.random(weights.spec, weights=weights, states=False)
    y = keras.ops.convert_to_numpy(model(np.array(case.x), training=False))
    return judge(Result(y=np.asarray(y, dtype=case.x.dtype)), case).verdict


def test_keras_loads_the_model(tmp_path: Path, spec: LSTMSpec, weights: LSTMWeights) -> None:
    keras = pytest.importorskip("keras")
    write_checkpoint(tmp_path / "m.keras", {"enc": weights})
    model = keras.models.load_model(tmp_path / "m.keras")
    names = ["enc"] if spec.num_layers == 1 else [f"enc_{k}" for k in range(spec.num_layers)]
    assert [layer.name for layer in model.layers[1:]] == names
    assert verdict(model, weights) == "match"


def test_keras_loads_several_lstms_into_their_own_layers(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    specs = {"a": LSTMSpec(3, 2), "b": LSTMSpec(5, 2, num_layers=3), "c": LSTMSpec(2, 3, bidirectional=True)}
    given = {name: LSTMWeights.random(spec, seed=7) for name, spec in specs.items()}
    write_checkpoint(tmp_path / "m.keras", given)
    model = keras.models.load_model(tmp_path / "m.keras")
    for name, weights in chain_of(given).items():
        loaded = [np.asarray(array) for array in model.get_layer(name).get_weights()]
        expected = list(weights.to_layout("keras").values())
        assert [array.tobytes() for array in loaded] == [array.tobytes() for array in expected]


def test_keras_loads_the_weights_into_a_model(tmp_path: Path, spec: LSTMSpec, weights: LSTMWeights) -> None:
    keras = pytest.importorskip("keras")
    write_checkpoint(tmp_path / "m.weights.h5", {"enc": weights})
    layers = [
        keras.layers.LSTM(spec.hidden_size, return_sequences=True, use_bias=spec.bias != "none")
        for _ in range(spec.num_layers)
    ]
    wrapped = [keras.layers.Bidirectional(layer) for layer in layers] if spec.bidirectional else layers
    model = keras.Sequential([keras.Input((None, spec.input_size)), *wrapped])
    model.load_weights(tmp_path / "m.weights.h5")
    assert verdict(model, weights) == "match"


def test_keras_keeps_activations_and_direction(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    spec = LSTMSpec(
        3, 2, bias="single", reverse=True, gate_activation=f"hard_sigmoid:{1 / 6!r},0.5", cell_activation="relu",
        output_activation="relu",
    )  # fmt: skip
    write_checkpoint(tmp_path / "m.keras", {"enc": LSTMWeights.random(spec)})
    layer = keras.models.load_model(tmp_path / "m.keras").get_layer("enc")
    assert (layer.go_backwards, layer.activation.__name__, layer.recurrent_activation.__name__) == (
        True, "relu", "hard_sigmoid",
    )  # fmt: skip


@pytest.mark.framework("h5py")
@pytest.mark.parametrize("target", [".pt", ".safetensors", ".weights.h5"])
def test_what_a_format_cannot_say_is_refused_and_nothing_is_left(tmp_path: Path, target: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 2, cell_activation="relu", output_activation="relu"))
    with pytest.raises(CheckpointError, match="cannot say cell_activation 'relu'"):
        write_checkpoint(tmp_path / f"m{target}", {"enc": weights})
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_as_it_is(tmp_path: Path, weights: LSTMWeights) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match=r"exists already.*--force"):
        write_checkpoint(path, {"enc": weights})
    assert path.read_bytes() == b"mine"
    write_checkpoint(path, {"enc": weights}, force=True)
    assert read_checkpoint(path).lstms[0].weights == weights


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".keras", ".weights.h5"])
def test_like_keeps_keys_and_other_tensors(tmp_path: Path, suffix: str) -> None:
    like = _a_model(tmp_path, suffix)
    before = read_checkpoint(like)
    (lstm,) = before.lstms
    weights = LSTMWeights.random(lstm.weights.spec, seed=9)
    write_checkpoint(tmp_path / f"new{suffix}", {lstm.name: weights}, like=like)
    after = read_checkpoint(tmp_path / f"new{suffix}")
    assert after.lstms[0].weights == weights
    assert sorted(after.lstms[0].tensors) == sorted(lstm.tensors)
    assert sorted(map(str, after.other)) == sorted(map(str, before.other)) != []


def _a_model(folder: Path, suffix: str) -> Path:
    """A checkpoint with an LSTM and a head, as its framework saves it."""
    path = folder / f"like{suffix}"
    if "h5" in suffix or suffix == ".keras":
        keras = pytest.importorskip("keras")
        layers = [keras.Input((None, 3)), keras.layers.LSTM(4, name="enc"), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        model.save_weights(path) if "h5" in suffix else model.save(path)
        return path
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"enc": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 2)})
    if suffix == ".pt":
        torch.save({"model": model.state_dict(), "epoch": 3}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(model.state_dict(), path)
    return path


@pytest.mark.parametrize("target", OWN)
def test_the_hashes_are_those_of_the_file_that_is_kept(tmp_path: Path, weights: LSTMWeights, target: str) -> None:
    usable(target)
    path = tmp_path / f"model{OWN[target]}"
    assert dict(write_checkpoint(path, {"enc": weights}).hashes) == {path: sha256_of(path)}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("safetensors", "numbers of enc read back are not those written"), ("torch", "is damaged: its CRC-32"),
        ("keras-weights", "numbers of enc read back are not those written"),
    ],
)  # fmt: skip
def test_one_bit_that_the_disk_flips_is_found_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    given = LSTMWeights.random(LSTMSpec(3, 4, bias="single"))
    bias = np.asarray(given.layers[0][0].b).tobytes()
    writer = usable(target).load_writer(tmp_path)
    write = writer.write

    def turn(path: Path, lstms: Mapping[str, LSTMWeights], like: Path | None = None) -> None:
        write(path, lstms, like)
        data = bytearray(path.read_bytes())
        data[data.index(bias)] ^= 1
        path.write_bytes(data)

    monkeypatch.setattr(writer, "write", turn)
    with pytest.raises(CheckpointError, match=reason):
        write_checkpoint(tmp_path / f"m{OWN[target]}", {"enc": given})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_take_the_bytes_is_an_error_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match="cannot be written: Input/output error"):
        write_checkpoint(tmp_path / "m.npz", {"enc": LSTMWeights.random(LSTMSpec(3, 2))})
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys
from lstm_xcheck import CheckpointError, LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from pathlib import Path

path = Path(sys.argv[1])
write_checkpoint(path, {"enc": LSTMWeights.random(LSTMSpec(3, 4))})
before = path.read_bytes()
big = LSTMWeights.random(LSTMSpec(30, 200))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_checkpoint(path, {"enc": big}, force=True)
except CheckpointError as error:
    print(error)
assert path.read_bytes() == before
assert [file.name for file in path.parent.iterdir()] == [path.name]
"""


@pytest.mark.parametrize("target", OWN)
def test_a_full_disk_leaves_the_old_file_and_is_a_clear_error(tmp_path: Path, target: str) -> None:
    pytest.importorskip("resource")
    usable(target)
    printed = run_python(FULL_DISK, tmp_path / f"m{OWN[target]}")
    assert "cannot be written" in printed
    assert len(printed.splitlines()) == 1
