"""TensorFlow's checkpoints and SavedModels, written by the real TensorFlow and read without it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, CheckpointError, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.codecs.crc32c import crc32c, masked
from lstm_xcheck.checkpoints.codecs.sstable import MAGIC
from lstm_xcheck.checkpoints.layout_arrays import as_stored, chain_of

from ...conftest import needs
from ...helpers import run_python
from ..damage import memory_below, refusal

KERAS = r"""
import sys
import keras, numpy as np, tensorflow as tf
from keras import layers
folder = sys.argv[1]
keras.utils.set_random_seed(5)
model = keras.Sequential([
    layers.Input((7, 5)),
    layers.LSTM(4, return_sequences=True, name="encoder", bias_initializer="uniform"),
    layers.Bidirectional(layers.LSTM(3, return_sequences=True, bias_initializer="uniform"), name="both"),
    layers.GRU(2, name="gru"),
])
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)
tf.train.Checkpoint(model=model, optimizer=optimizer).save(f"{folder}/train")
model.export(f"{folder}/saved", verbose=False)
x = np.random.default_rng(1).normal(size=(2, 7, 5)).astype("float32")
first = model.layers[0](x)
np.savez(f"{folder}/seen.npz", x=x, encoder=first, both=model.layers[1](first))
reader = tf.train.load_checkpoint(f"{folder}/train-1")
keys = [key for key, kind in reader.get_variable_to_dtype_map().items() if kind == tf.float32]
np.savez(f"{folder}/tensors.npz", **{key: reader.get_tensor(key) for key in keys})
"""

CELLS = r"""
import sys
import numpy as np, tensorflow as tf
folder = sys.argv[1]
v1 = tf.compat.v1
v1.disable_eager_execution()
cells = v1.nn.rnn_cell
v1.set_random_seed(3)
x = np.random.default_rng(1).normal(size=(2, 7, 5)).astype("float32")
given, seen = tf.constant(x), {"x": x}
options = {"initializer": v1.random_uniform_initializer(-0.7, 0.7), "dtype": tf.float32}
made = {
    "plain": cells.BasicLSTMCell(4, dtype=tf.float32),
    "peep": cells.LSTMCell(4, use_peepholes=True, **options),
    "narrow": cells.LSTMCell(4, use_peepholes=True, num_proj=2, **options),
    "wide": cells.LSTMCell(2, num_proj=6, **options),
}
for name, cell in made.items():
    seen[name], seen[f"{name}-state"] = v1.nn.dynamic_rnn(cell, given, dtype=tf.float32, scope=name)
pair = [cells.LSTMCell(3, **options) for _ in range(2)]
both, _ = v1.nn.bidirectional_dynamic_rnn(*pair, given, dtype=tf.float32, scope="both")
seen["both"] = tf.concat(both, -1)
chain = cells.MultiRNNCell([cells.LSTMCell(4, **options), cells.LSTMCell(2, **options)])
y, _ = v1.nn.dynamic_rnn(chain, given, dtype=tf.float32, scope="many")
loss = sum(tf.reduce_sum(seen[name]) for name in (*made, "both")) + tf.reduce_sum(y)
v1.train.AdamOptimizer().minimize(loss)
with v1.Session() as session:
    session.run(v1.global_variables_initializer())
    v1.train.Saver().save(session, f"{folder}/model.ckpt", global_step=7)
    got = session.run({name: value for name, value in seen.items() if name != "x"})
flat = {name: value[0] if isinstance(value, tuple) else value for name, value in got.items()}
np.savez(f"{folder}/seen.npz", x=x, **flat)
"""


def made_by_tensorflow(code: str, folder: Path, **environment: str) -> Path:
    run_python(code, folder, KERAS_BACKEND="tensorflow", **environment)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("tensorflow", "keras")
    return made_by_tensorflow(KERAS, tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("tensorflow", "tf_keras")
    return made_by_tensorflow(CELLS, tmp_path_factory.mktemp("cells"), TF_USE_LEGACY_KERAS="1")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to be damaged."""
    for file in folder.glob("train-1.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "train-1.index"


@pytest.mark.framework
@pytest.mark.parametrize("name", ["train-1", "train-1.index", "saved"])
def test_files_of_keras_compute_what_keras_computes(folder: Path, name: str) -> None:
    checkpoint = read_checkpoint(folder / name)
    lstms = {lstm.name: lstm for lstm in checkpoint.lstms}
    assert (checkpoint.format, sorted(lstms)) == ("tensorflow", ["both", "encoder"])
    assert {tensor.name.rpartition("/")[2] for tensor in checkpoint.other} == {"kernel", "recurrent_kernel", "bias"}
    assert all("gru" in tensor.name or "3/cell" in tensor.name for tensor in checkpoint.other)
    with np.load(folder / "seen.npz") as seen:
        for layer, given in (("encoder", "x"), ("both", "encoder")):
            case = Case(weights=lstms[layer].weights, x=seen[given])
            assert judge(Result(y=seen[layer]), case).verdict == "match"


@pytest.mark.framework
def test_every_number_is_what_tensorflow_reads(folder: Path) -> None:
    with np.load(folder / "tensors.npz") as tensors:
        for lstm in read_checkpoint(folder / "train-1").lstms:
            theirs = [tensors[key] for key in lstm.tensors]
            own = list(lstm.weights.to_layout("keras").values())
            assert [array.tobytes() for array in theirs] == [array.tobytes() for array in own]


@pytest.mark.framework
@pytest.mark.parametrize("name", ["plain", "peep", "narrow", "both"])
def test_cells_of_tf1_compute_what_they_computed(cells: Path, name: str) -> None:
    checkpoint = read_checkpoint(cells / "model.ckpt-7")
    lstms = {lstm.name: lstm for lstm in checkpoint.lstms}
    assert {tensor.name.partition("/")[0] for tensor in checkpoint.other} == {"wide"}
    assert any("6 numbers" in tensor.note for tensor in checkpoint.other)
    assert sorted(lstms) == ["both", "cell_0", "cell_1", "narrow", "peep", "plain"]
    found = lstms[name]
    assert found.layout == "tf1"
    assert any("forget_bias" in note for note in found.notes)
    assert found.weights.spec.peepholes == (name in ("peep", "narrow"))
    assert found.weights.spec.proj_size == (2 if name == "narrow" else 0)
    with np.load(cells / "seen.npz") as seen:
        result = Result(y=seen[name], c_n=seen[f"{name}-state"][None] if f"{name}-state" in seen else None)
        case = Case(weights=found.weights, x=seen["x"])
    assert judge(result, case).verdict == "match"


@pytest.mark.framework
def test_reading_needs_no_tensorflow(folder: Path) -> None:
    code = (
        "import sys; from lstm_xcheck.checkpoints import load; "
        f"print(sorted(load({str(folder / 'train-1')!r})), 'tensorflow' in sys.modules)"
    )
    assert run_python(code).strip() == "['both', 'encoder'] False"


@pytest.mark.framework
def test_the_data_file_must_be_there(copy: Path) -> None:
    copy.with_suffix(".data-00000-of-00001").unlink()
    assert "needs train-1.data-00000-of-00001 beside it" in refusal(copy)


@pytest.mark.framework
def test_an_index_of_another_name(copy: Path) -> None:
    assert "name it PREFIX.index" in refusal(copy.rename(copy.with_name("model.bin")))


@pytest.mark.framework
@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_truncated_at_any_length(copy: Path, suffix: str) -> None:
    file = copy.with_suffix(suffix)
    data = file.read_bytes()
    # The optimizer's slots, which are not read, are the last things in the data.
    for length in np.linspace(0, len(data) // (1 if suffix == ".index" else 4) - 1, 40):
        file.write_bytes(data[: int(length)])
        refusal(copy)


@pytest.mark.framework
def test_altered_bytes_are_noticed_and_never_escape_as_another_exception(copy: Path) -> None:
    data = copy.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(100):
        altered = bytearray(data)
        altered[rng.integers(0, len(data) - 48)] ^= 1 << int(rng.integers(8))
        copy.write_bytes(altered)
        with pytest.raises(CheckpointError):
            read_checkpoint(copy)


@pytest.mark.framework
def test_an_altered_number_does_not_fit_its_checksum(copy: Path) -> None:
    file = copy.with_suffix(".data-00000-of-00001")
    found = read_checkpoint(copy).lstms[0]
    weights = next(iter(found.weights.to_layout("keras").values())).tobytes()
    data = file.read_bytes()
    assert data.count(weights) == 1
    position = data.index(weights)
    file.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
    assert "do not fit their checksum" in refusal(copy)


RESTORE = r"""
import sys
import keras, numpy as np, tensorflow as tf
folder = sys.argv[1]
with np.load(f"{folder}/x.npz") as given:
    x = given["x"]
single, both = keras.layers.LSTM(4, return_sequences=True), keras.layers.LSTM(3, return_sequences=True)
both = keras.layers.Bidirectional(both)
single.build(x.shape)
both.build(x.shape)
tf.train.Checkpoint(enc=single, both=both).read(f"{folder}/m").assert_existing_objects_matched()
np.savez(f"{folder}/y.npz", enc=single(x), both=both(x))
"""


@pytest.mark.framework
def test_tensorflow_restores_what_is_written(tmp_path: Path) -> None:
    needs("tensorflow", "keras")
    given = {
        "enc": LSTMWeights.random(LSTMSpec(5, 4, bias="single"), seed=1),
        "both": LSTMWeights.random(LSTMSpec(5, 3, bidirectional=True, bias="single"), seed=2),
    }
    write_checkpoint(tmp_path / "m.index", given)
    cases = {name: Case.random(weights.spec, weights=weights, states=False) for name, weights in given.items()}
    x = cases["enc"].x
    np.savez(tmp_path / "x.npz", x=x)
    made_by_tensorflow(RESTORE, tmp_path)
    with np.load(tmp_path / "y.npz") as answers:
        for name, weights in given.items():
            assert judge(Result(y=answers[name]), Case(weights=weights, x=x)).verdict == "match"


@pytest.mark.framework
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("bias", ["split", "none"])
def test_written_files_say_every_bit(tmp_path: Path, bias: Any, dtype: str) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    spec = LSTMSpec(3, 4, num_layers=2, bidirectional=True, bias=bias)
    given = {"enc": LSTMWeights.random(spec, seed=3).astype(dtype)}
    for file in ("one", "other"):
        back = write_checkpoint(tmp_path / f"{file}.index", given)
        assert {lstm.name: lstm.weights for lstm in back.lstms} == {
            name: as_stored(weights, "keras") for name, weights in chain_of(given).items()
        }
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / "one.index").read_bytes() == (tmp_path / "other.index").read_bytes()
    reader = tensorflow.train.load_checkpoint(str(tmp_path / "one"))
    assert reader.get_tensor(back.lstms[0].tensors[0]).shape == (3, 16)


@pytest.mark.framework("tensorflow")
def test_a_checkpoint_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="single"), seed=3)
    for name, says in (("a.b", "--rename"), ("a/b", "--rename")):
        with pytest.raises(CheckpointError, match=says):
            write_checkpoint(tmp_path / "m.index", {name: weights})
    with pytest.raises(CheckpointError, match=r"PREFIX\.index"):
        write_checkpoint(tmp_path / "m.ckpt", {"enc": weights}, "tensorflow")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "m.data-00000-of-00001").write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="exists already"):
        write_checkpoint(tmp_path / "m.index", {"enc": weights})
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"mine"]
    write_checkpoint(tmp_path / "m.index", {"enc": weights}, force=True)
    assert read_checkpoint(tmp_path / "m").lstms[0].weights == weights


def number(value: int) -> bytes:
    value &= (1 << 64) - 1
    low = bytearray()
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def block(items: list[tuple[bytes, bytes]], shared: int = 0) -> bytes:
    body = b"".join(number(shared) + number(len(k)) + number(len(v)) + k + v for k, v in items)
    body += bytes(4) + b"\x01\0\0\0"
    return body + b"\0" + masked(crc32c(body + b"\0")).to_bytes(4, "little")


def table(items: list[tuple[bytes, bytes]], shared: int = 0, start: int = 0) -> bytes:
    """A sorted table with good checksums, whatever is in it."""
    data = block(items, shared)
    index = block([(b"\xff", number(start) + number(len(data) - 5))])
    footer = number(0) + number(0) + number(len(data)) + number(len(index) - 5)
    return data + index + footer.ljust(40, b"\0") + MAGIC


HEADER = (b"", b"\x08\x01")


def entry(dims: tuple[int, ...], size: int, kind: int = 1, **more: int) -> bytes:
    shape = b"".join(b"\x12" + number(len(number(n)) + 1) + b"\x08" + number(n) for n in dims)
    rest = b"".join(bytes([{"shard": 3, "offset": 4}[name] << 3]) + number(value) for name, value in more.items())
    return b"\x08" + number(kind) + b"\x12" + number(len(shape)) + shape + rest + b"\x28" + number(size)


def hostile() -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """Tables with good checksums; on several of them TensorFlow's own reader ends the process."""
    yield "negative-size", [HEADER, (b"w", entry((4,), -16))]
    yield "negative-dimension", [HEADER, (b"w", entry((-5,), 16))]
    yield "overflow", [HEADER, (b"w", entry((1 << 40, 1 << 40), 16))]
    yield "exabytes", [HEADER, (b"w", entry((1 << 58,), 1 << 60))]
    yield "beyond-the-file", [HEADER, (b"w", entry((4,), 16, offset=1))]
    yield "far-beyond", [HEADER, (b"w", entry((4,), 16, offset=1 << 62))]
    yield "negative-offset", [HEADER, (b"w", entry((4,), 16, offset=-4))]
    yield "no-such-shard", [HEADER, (b"w", entry((4,), 16, shard=1))]
    yield "negative-shard", [HEADER, (b"w", entry((4,), 16, shard=-1))]
    yield "many-dimensions", [HEADER, (b"w", entry((1,) * 300, 4))]
    yield "no-header", [(b"w", entry((4,), 16))]
    yield "shards-without-end", [(b"", b"\x08" + number(1 << 40)), (b"w", entry((4,), 16))]
    yield "cut-off", [HEADER, (b"w", entry((4,), 16)[:-3])]
    yield "number-as-shape", [HEADER, (b"w", b"\x08\x01\x10\x04\x28\x10")]
    yield "no-text", [HEADER, (b"\xff\xfe", entry((4,), 16))]
    yield "twice", [HEADER, (b"w", entry((4,), 16)), (b"w", entry((4,), 16))]
    yield "graph-of-numbers", [HEADER, (b"_CHECKPOINTABLE_OBJECT_GRAPH", entry((), 16))]


CRAFTED = dict(hostile())


def craft(folder: Path, data: bytes) -> Path:
    (folder / "m.data-00000-of-00001").write_bytes(bytes(16))
    (folder / "m.index").write_bytes(data)
    return folder / "m.index"


def test_the_crafted_table_is_good_when_it_does_not_lie(tmp_path: Path) -> None:
    path = craft(tmp_path, table([HEADER, (b"w", entry((4,), 16))]))
    assert [str(tensor) for tensor in read_checkpoint(path).other] == ["w float32[4]"]


@pytest.mark.parametrize("items", CRAFTED.values(), ids=CRAFTED)
def test_tables_that_lie(tmp_path: Path, items: Any) -> None:
    path = craft(tmp_path, table(items))
    with memory_below(8 << 20):
        refusal(path)


def test_types_that_do_not_exist_are_named_and_not_read(tmp_path: Path) -> None:
    path = craft(tmp_path, table([HEADER, (b"w", entry((4,), 16, kind=99))]))
    assert [str(tensor) for tensor in read_checkpoint(path).other] == ["w type 99[4]"]


@pytest.mark.parametrize("shape", [{"shared": 5}, {"start": 1}, {"start": 1 << 40}], ids=str)
def test_blocks_that_lie(tmp_path: Path, shape: dict[str, int]) -> None:
    refusal(craft(tmp_path, table([HEADER, (b"w", entry((4,), 16))], **shape)))


def test_keys_that_multiply_end_at_once(tmp_path: Path) -> None:
    long = [(b"k" * 100_000, b""), *((b"", b"") for _ in range(1))]
    body = block(long)[:0] + number(0) + number(100_000) + number(0) + b"k" * 100_000
    body += b"".join(number(100_000 - 1) + number(1) + number(0) + b"x" for _ in range(20_000))
    body += bytes(4) + b"\x01\0\0\0"
    data = body + b"\0" + masked(crc32c(body + b"\0")).to_bytes(4, "little")
    index = block([(b"\xff", number(0) + number(len(data) - 5))])
    footer = number(0) + number(0) + number(len(data)) + number(len(index) - 5)
    path = craft(tmp_path, data + index + footer.ljust(40, b"\0") + MAGIC)
    refusal(path)


@pytest.mark.framework
def test_a_saved_model_without_its_variables(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "saved", tmp_path / "saved")
    (tmp_path / "saved" / "variables" / "variables.index").unlink()
    assert "is a directory" in refusal(tmp_path / "saved")


@pytest.mark.framework
def test_inspect_takes_the_bare_prefix(folder: Path) -> None:
    command = [sys.executable, "-m", "lstm_xcheck", "inspect", "--json", str(folder / "train-1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "encoder" in json.dumps(json.loads(done.stdout))
