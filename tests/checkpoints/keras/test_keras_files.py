"""Keras files, written by Keras and read without it: weights, names, and what only config.json knows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.checkpoints.model import FoundLSTM
from lstm_xcheck.checkpoints.options import KerasOptions
from lstm_xcheck.model import LSTMSpec
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

from ...helpers import run_python
from ..damage import refusal
from ..weights import assert_columns, lstms_in

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

Truth = Callable[[str, str], list[Any]]
SUFFIXES = [".keras", ".weights.h5"]


def accepted(path: Path) -> dict[str, FoundLSTM]:
    """LSTMs by name, those of the user's class Own too."""
    return {lstm.name: lstm for lstm in read_checkpoint(path, keras=KerasOptions(accept_class=("Own",))).lstms}


@pytest.fixture(scope="session")
def keras_truth(keras_files: Path) -> Truth:
    """`keras_truth(file stem, layer name)` gives `layer.get_weights()` as Keras had them."""
    with np.load(keras_files / "truth.npz") as saved:
        arrays = dict(saved)

    def truth(stem: str, layer: str) -> list[Any]:
        found = [array for name, array in arrays.items() if name.startswith(f"{stem}|{layer}|")]
        assert found, f"no arrays recorded for {stem} {layer}"
        return found

    return truth


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("stem", "layer"),
    [
        ("sequential", "encoder"), ("functional", "nested"), ("functional", "hard"), ("functional", "backward"),
        ("functional", "by_cell"), ("subclassed", "my_encoder"), ("subclassed", "many_0"), ("subclassed", "many_1"),
    ],
)  # fmt: skip
def test_lstm_is_read_bit_for_bit_under_its_layer_name(
    keras_files: Path, keras_truth: Truth, stem: str, layer: str, suffix: str
) -> None:
    lstm = accepted(keras_files / (stem + suffix))[layer]
    theirs = keras_truth(stem, layer)
    assert_columns(lstm.weights.layers[0][0], *theirs)
    assert lstm.native_count == sum(array.size for array in theirs)
    assert lstm.source_dtype == "float32"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("stem", "layer"), [("sequential", "both"), ("functional", "both"), ("subclassed", "my_both")])
def test_bidirectional_is_one_lstm_forward_first(
    keras_files: Path, keras_truth: Truth, stem: str, layer: str, suffix: str
) -> None:
    weights = accepted(keras_files / (stem + suffix))[layer].weights
    theirs = keras_truth(stem, layer)
    assert weights.spec.bidirectional
    assert_columns(weights.layers[0][0], *theirs[:3])
    assert_columns(weights.layers[0][1], *theirs[3:])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_stacked_cells_are_one_lstm_each(keras_files: Path, keras_truth: Truth, suffix: str) -> None:
    models = accepted(keras_files / ("subclassed" + suffix))
    theirs = keras_truth("subclassed", "stack")
    assert_columns(models["stack/lstm_cell"].weights.layers[0][0], *theirs[:3])
    assert_columns(models["stack/lstm_cell_1"].weights.layers[0][0], *theirs[3:])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bfloat16_is_kept_exactly(keras_files: Path, keras_truth: Truth, suffix: str) -> None:
    lstm = lstms_in(keras_files / ("bfloat16" + suffix))["half"]
    assert lstm.source_dtype == lstm.weights.dtype == "bfloat16"
    theirs = [(array.astype(np.uint32) << 16).view(np.float32) for array in keras_truth("bfloat16", "half")]
    assert_columns(lstm.weights.layers[0][0], *theirs)


def test_config_gives_function_and_direction(keras_files: Path) -> None:
    models = lstms_in(keras_files / "functional.keras")
    assert list(models) == ["nested", "both", "hard", "backward", "by_cell"]
    assert models["hard"].weights.spec == LSTMSpec(6, 4, bias="single", gate_activation=HARD_SIGMOID_KERAS3)
    assert models["backward"].weights.spec == LSTMSpec(4, 4, bias="none", reverse=True)
    assert models["both"].weights.spec == LSTMSpec(
        2, 3, bias="single", bidirectional=True, cell_activation="relu", output_activation="relu"
    )
    assert models["nested"].notes == ()
    assert "go_backwards" in models["backward"].notes[0]


def test_what_has_no_canonical_form_is_listed_with_its_reason(keras_files: Path) -> None:
    notes = {tensor.name: tensor.note for tensor in read_checkpoint(keras_files / "functional.keras").other}
    by_reason = {note for note in notes.values() if note}
    kinds = {note.partition(":")[0] for note in by_reason}
    assert kinds == {"a GRU, not an LSTM", "a SimpleRNN, not an LSTM", "an LSTM, not read"}
    assert any("activation elu has no canonical form" in note for note in by_reason)


def test_merge_mode_is_noted(keras_files: Path) -> None:
    assert any("merge_mode sum" in note for note in lstms_in(keras_files / "sequential.keras")["both"].notes)
    assert not lstms_in(keras_files / "functional.keras")["both"].notes


@pytest.mark.parametrize("name", ["sequential.weights.h5", "subclassed.keras"])
def test_files_without_a_config_say_what_is_assumed(keras_files: Path, name: str) -> None:
    for lstm in accepted(keras_files / name).values():
        assert "Keras' defaults are taken" in lstm.notes[0]


def test_names_fall_back_to_the_groups_of_older_keras(keras_files: Path, tmp_path: Path) -> None:
    """Keras before the name attribute: a `.weights.h5` has class names, a `.keras` still has its config."""
    weights = tmp_path / "older.weights.h5"
    weights.write_bytes((keras_files / "sequential.weights.h5").read_bytes())
    with h5py.File(weights, "r+") as root:
        root.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    assert set(load(weights)) == {"lstm", "bidirectional"}
    edited = rewrite(keras_files / "sequential.keras", tmp_path, {"model.weights.h5": weights.read_bytes()})
    assert list(load(edited)) == ["encoder", "both"]


def member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def rewrite(source: Path, folder: Path, members: dict[str, bytes | None]) -> Path:
    """A copy of a `.keras` file with some members replaced, or left out where None."""
    target = folder / "edited.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = members.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


@pytest.mark.parametrize(
    ("version", "expected"), [("2.15.0", HARD_SIGMOID_KERAS2), ("3.0.5", HARD_SIGMOID_KERAS3), (None, None)]
)
def test_hard_sigmoid_is_that_of_the_keras_which_wrote_the_file(
    keras_files: Path, tmp_path: Path, version: str | None, expected: str | None
) -> None:
    metadata = json.dumps({"keras_version": version} if version else {}).encode()
    path = rewrite(keras_files / "functional.keras", tmp_path, {"metadata.json": metadata})
    models = lstms_in(path)
    if expected:
        assert models["hard"].weights.spec.gate_activation == expected
    else:
        assert "hard" not in models
        assert any("two meanings" in tensor.note for tensor in read_checkpoint(path).other)


def test_a_class_that_is_no_lstm_is_not_taken_for_one(keras_files: Path, tmp_path: Path) -> None:
    config = member(keras_files / "functional.keras", "config.json")
    config = config.replace(b'"class_name": "LSTMCell"', b'"class_name": "Mine"')
    path = rewrite(keras_files / "functional.keras", tmp_path, {"config.json": config})
    assert "by_cell" not in lstms_in(path)
    assert any("its class is Mine" in tensor.note for tensor in read_checkpoint(path).other)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"units": 4', b'"units": 5', "says units 5 where the weights at layers/lstm/cell have 4"),
        (b'"use_bias": true', b'"use_bias": false', "says use_bias False"),
        (b'"name": "encoder"', b'"name": "other"', "says name other"),
    ],
)
def test_config_of_another_model_is_refused(
    keras_files: Path, tmp_path: Path, old: bytes, new: bytes, says: str
) -> None:
    config = member(keras_files / "sequential.keras", "config.json")
    assert old in config
    path = rewrite(keras_files / "sequential.keras", tmp_path, {"config.json": config.replace(old, new)})
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("member", "data", "says"),
    [
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[]", "config.json is a list"),
        ("config.json", b'{"class_name":"RNN","config":{"cell":' * 100 + b"0" + b"}}" * 100, "nests layers"),
        ("metadata.json", None, "no member metadata.json"),
        ("model.weights.h5", None, "no member model.weights.h5"),
        ("model.weights.h5", b"not HDF5", "HDF5 data is truncated or damaged"),
    ],
    ids=["broken-json", "list", "endless", "no-metadata", "no-weights", "no-hdf5"],
)
def test_damaged_archives(keras_files: Path, tmp_path: Path, member: str, data: bytes | None, says: str) -> None:
    assert says in refusal(rewrite(keras_files / "sequential.keras", tmp_path, {member: data}))


def test_lambda_code_is_never_decoded(keras_files: Path) -> None:
    assert b"__lambda__" in member(keras_files / "functional.keras", "config.json")
    # The first reading imports what it needs; the second must not ask Python to run anything.
    code = (
        "import sys; sys.modules['keras'] = None; from lstm_xcheck.checkpoints import load; "
        f"path = {str(keras_files / 'functional.keras')!r}; load(path); events = set(); "
        "sys.addaudithook(lambda event, arguments: events.add(event)); print(*load(path)); "
        "asked = events & {'marshal.loads', 'compile', 'exec', 'pickle.find_class', 'subprocess.Popen'}; "
        "print(sorted(asked), 'open' in events)"
    )
    assert run_python(code).splitlines() == ["nested both hard backward by_cell", "[] True"]


@pytest.mark.parametrize("stem", ["sequential", "functional", "subclassed", "bfloat16"])
def test_a_repacked_file_keeps_names_and_types(
    keras_files: Path, tmp_path: Path, repack: Callable[..., Path], stem: str
) -> None:
    original = lstms_in(keras_files / f"{stem}.weights.h5")
    repacked = lstms_in(repack(keras_files / f"{stem}.weights.h5", tmp_path / "m.weights.h5"))
    assert {name: (lstm.weights, lstm.source_dtype) for name, lstm in repacked.items()} == {
        name: (lstm.weights, lstm.source_dtype) for name, lstm in original.items()
    }


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_names_of_fixed_length_are_read(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", libver=libver) as root:
        root.create_group("lstm/vars").attrs["name"] = np.bytes_("encoder")
        cell = root.create_group("lstm/cell/vars")
        cell["0"], cell["1"] = np.ones((5, 16), "f4"), np.ones((4, 16), "f4")
    assert set(load(path)) == {"encoder"}


def test_a_name_among_many_attributes_is_refused(tmp_path: Path) -> None:
    """More than eight attributes lie in a heap of their own, where libhdf5 believes every length."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", libver="latest") as root:
        variables = root.create_group("lstm/vars")
        for key in ("name", *map(str, range(9))):
            variables.attrs[key] = "encoder"
    assert "the attribute name of /lstm/vars lies outside the header" in refusal(path)


def weights_file(folder: Path, fill: Callable[[Any], None]) -> Path:
    path = folder / "crafted.weights.h5"
    with h5py.File(path, "w") as root:
        fill(root)
    return path


def external_link(root: Any) -> None:
    root["layers"] = h5py.ExternalLink("/etc/other.h5", "/layers")


def soft_link(root: Any) -> None:
    root["layers"] = h5py.SoftLink("/elsewhere")


def endless_groups(root: Any) -> None:
    root.create_group("a")["again"] = root


def external_data(root: Any) -> None:
    cell = root.create_group("lstm/cell/vars")
    cell.create_dataset("0", (5, 16), "f4", external=[("secret.bin", 0, 320)])
    cell.create_dataset("1", (4, 16), "f4")


def virtual_data(root: Any) -> None:
    layout = h5py.VirtualLayout((5, 16), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (5, 16))
    cell = root.create_group("lstm/cell/vars")
    cell.create_virtual_dataset("0", layout)
    cell.create_dataset("1", (4, 16), "f4")


def unwritten_terabytes(root: Any) -> None:
    cell = root.create_group("lstm/cell/vars")
    cell.create_dataset("0", (1 << 36, 16), "f4", chunks=(1024, 16))
    cell.create_dataset("1", (4, 16), "f4")


def compressed_bomb(root: Any) -> None:
    cell = root.create_group("lstm/cell/vars")
    cell.create_dataset("0", data=np.zeros((1 << 20, 16), "f4"), compression="gzip", chunks=(1 << 16, 16))
    cell.create_dataset("1", (4, 16), "f4")


def older_kind_with_a_link(root: Any) -> None:
    root.attrs["layer_names"] = ["lstm"]
    external_link(root)


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (external_link, "was not followed"), (soft_link, "was not followed"), (endless_groups, "without end"),
        (external_data, "was not opened"), (virtual_data, "was not opened"), (unwritten_terabytes, "was not read"),
        (compressed_bomb, "was not read"), (older_kind_with_a_link, "was not followed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_hostile_hdf5_is_refused(tmp_path: Path, fill: Callable[[Any], None], says: str) -> None:
    assert says in refusal(weights_file(tmp_path, fill))


def test_integer_lstm_is_listed_not_read(tmp_path: Path) -> None:
    def fill(root: Any) -> None:
        cell = root.create_group("lstm/cell/vars")
        cell["0"], cell["1"] = np.zeros((5, 16), "i4"), np.zeros((4, 16), "i4")

    checkpoint = read_checkpoint(weights_file(tmp_path, fill))
    assert not checkpoint.lstms
    assert checkpoint.other[0].note.startswith("an LSTM, not read: stored as int32")


def test_two_lstms_of_one_name_get_their_places(tmp_path: Path) -> None:
    def fill(root: Any) -> None:
        for place in ("left/lstm", "right/lstm"):
            cell = root.create_group(f"{place}/cell/vars")
            cell["0"], cell["1"] = np.ones((5, 16), "f4"), np.ones((4, 16), "f4")

    assert set(load(weights_file(tmp_path, fill))) == {"left/lstm", "right/lstm"}


def test_directions_that_differ_are_two_lstms(keras_files: Path, tmp_path: Path) -> None:
    config = json.loads(member(keras_files / "sequential.keras", "config.json"))
    both = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Bidirectional")
    both["config"]["backward_layer"]["config"]["activation"] = "relu"
    edited = {"config.json": json.dumps(config).encode()}
    models = lstms_in(rewrite(keras_files / "sequential.keras", tmp_path, edited))
    assert list(models) == ["encoder", "both/forward_layer", "both/backward_layer"]
    assert models["both/backward_layer"].weights.spec.reverse
    assert models["both/backward_layer"].weights.spec.cell_activation == "relu"


def test_text_that_claims_gigabytes_is_not_given_memory(keras_files: Path, tmp_path: Path) -> None:
    """The attribute `name` = `encoder` refers to 7 bytes elsewhere; here it claims 0xB7000007."""
    pytest.importorskip("resource")
    data = bytearray((keras_files / "sequential.weights.h5").read_bytes())
    message = b"\x01\x00\x05\x00\x14\x00\x08\x00name\0\0\0\0"
    at = data.index(message)
    while data[at + 48] != len("encoder"):
        at = data.index(message, at + 1)
    data[at + 51] = 0xB7
    path = tmp_path / "claims.weights.h5"
    path.write_bytes(data)
    code = (
        "import resource, sys; from lstm_xcheck.checkpoints import load; import h5py; "
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        f"try: load({str(path)!r})\n"
        "except Exception as error: print(error)"
    )
    assert "the attribute name of /layers/lstm/vars is damaged" in run_python(code)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_stateful_layers_are_noted(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    rnn = layers.RNN(layers.LSTMCell(3), stateful=True, return_sequences=True, name="cell")
    steps = [keras.Input(batch_shape=(2, 7, 5)), rnn, layers.LSTM(3, stateful=True, name="kept"), layers.Dense(1)]
    keras.Sequential(steps).save(tmp_path / "m.keras")
    for lstm in read_checkpoint(tmp_path / "m.keras").lstms:
        assert [note.partition(":")[0] for note in lstm.notes] == ["stateful"], lstm.name
