"""Flax msgpack, NumPy npz and Equinox files: the frameworks' own arrays bit for bit, both ways, and damaged ones."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.checkpoints.codecs.msgpack import Extension, encode
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import CellWeights, LSTMSpec, LSTMWeights

from ..damage import outcome, outcomes_of_alterations, refusal
from ..weights import assert_columns

X, H = 5, 4


def random_like(tree: dict[str, Any], seed: int = 7) -> dict[str, Any]:
    """A tree of the same names and shapes with random values."""
    rng = np.random.default_rng(seed)

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: fill(value) for key, value in node.items()}
        return rng.normal(size=node.shape).astype(np.float32)

    filled: dict[str, Any] = fill(tree)
    return filled


def assert_linen(cell: CellWeights, theirs: dict[str, Any], forget: str = "if") -> None:
    assert cell.b is not None and cell.b_r is None
    for gate, kernel in zip("ifgo", ("ii", forget, "ig", "io"), strict=True):
        np.testing.assert_array_equal(cell.W[gate], theirs[kernel]["kernel"].T)
        np.testing.assert_array_equal(cell.U[gate], theirs[f"h{gate}"]["kernel"].T)
        np.testing.assert_array_equal(cell.b[gate], theirs[f"h{gate}"]["bias"])


@pytest.mark.framework
def test_flax_linen_model(tmp_path: Path) -> None:
    nn, jax, serialization = (pytest.importorskip(name) for name in ("flax.linen", "jax", "flax.serialization"))

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.RNN(nn.OptimizedLSTMCell(H), name="unused")(x)
            x = nn.RNN(nn.LSTMCell(H))(x)
            return nn.Dense(2)(nn.RNN(nn.GRUCell(H))(x))

    params = random_like(Model().init(jax.random.key(0), np.zeros((2, 3, X), np.float32)))
    (tmp_path / "m.msgpack").write_bytes(serialization.to_bytes(params))
    checkpoint = read_checkpoint(tmp_path / "m.msgpack")
    assert {lstm.name for lstm in checkpoint.lstms} == {"OptimizedLSTMCell_0", "LSTMCell_0"}
    for lstm in checkpoint.lstms:
        assert_linen(lstm.weights.layers[0][0], params["params"][lstm.name])
    assert {tensor.name.split("/")[1] for tensor in checkpoint.other} == {"GRUCell_0", "Dense_0"}


@pytest.mark.framework
@pytest.mark.parametrize("kind", ["msgpack", "orbax"])
def test_the_moments_of_an_optimizer_are_no_lstms(tmp_path: Path, kind: str) -> None:
    """Adam keeps two more trees of the same names and shapes as the parameters'."""
    nn, jax, optax = (pytest.importorskip(name) for name in ("flax.linen", "jax", "optax"))
    train_state = pytest.importorskip("flax.training.train_state")
    model = nn.RNN(nn.OptimizedLSTMCell(H))
    params = random_like(model.init(jax.random.key(0), np.zeros((2, 3, X), np.float32)))["params"]
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(1e-3))
    path = tmp_path / f"m.{kind}"
    if kind == "msgpack":
        path.write_bytes(pytest.importorskip("flax.serialization").to_bytes(state))
    else:
        with pytest.importorskip("orbax.checkpoint").StandardCheckpointer() as checkpointer:
            checkpointer.save(path, state)
    checkpoint = read_checkpoint(path)
    (lstm,) = checkpoint.lstms
    assert_linen(lstm.weights.layers[0][0], params["cell"])
    assert sum("/mu/" in tensor.name for tensor in checkpoint.other) == 12


@pytest.mark.framework
def test_flax_bidirectional_is_one_lstm_and_is_written_as_one(tmp_path: Path) -> None:
    nn, jax, serialization = (pytest.importorskip(name) for name in ("flax.linen", "jax", "flax.serialization"))
    model = nn.Bidirectional(nn.RNN(nn.LSTMCell(H)), nn.RNN(nn.LSTMCell(H)))
    given = model.init(jax.random.key(0), np.zeros((2, 3, X), np.float32))
    params = random_like(given)
    (tmp_path / "m.msgpack").write_bytes(serialization.to_bytes(params))
    weights = load(tmp_path / "m.msgpack")["lstm"]
    assert weights.spec == LSTMSpec(X, H, bidirectional=True, bias="single")
    for half, cell in zip(("forward_rnn", "backward_rnn"), weights.layers[0], strict=True):
        assert_linen(cell, params["params"][half]["cell"])
    write_checkpoint(tmp_path / "again.msgpack", {"": weights})
    restored = serialization.from_bytes(given, (tmp_path / "again.msgpack").read_bytes())
    jax.tree.map(np.testing.assert_array_equal, restored, params)


@pytest.mark.framework
@pytest.mark.parametrize("optimized", [False, True], ids=["LSTMCell", "OptimizedLSTMCell"])
def test_flax_nnx(tmp_path: Path, optimized: bool) -> None:
    nnx, serialization = pytest.importorskip("flax.nnx"), pytest.importorskip("flax.serialization")
    cell = (nnx.OptimizedLSTMCell if optimized else nnx.LSTMCell)(X, H, rngs=nnx.Rngs(0))
    state = random_like(nnx.to_pure_dict(nnx.state(nnx.RNN(cell), nnx.Param)))
    (tmp_path / "m.msgpack").write_bytes(serialization.to_bytes(state))
    (found,) = read_checkpoint(tmp_path / "m.msgpack").lstms
    if optimized:
        dense = state["cell"]
        arrays = dense["dense_i"]["kernel"], dense["dense_h"]["kernel"], dense["dense_h"]["bias"]
        assert_columns(found.weights.layers[0][0], *arrays)
    else:
        assert_linen(found.weights.layers[0][0], state["cell"], forget="if_")
    write_checkpoint(tmp_path / "like.msgpack", {"cell": found.weights}, like=tmp_path / "m.msgpack")
    jax = pytest.importorskip("jax")
    restored = serialization.msgpack_restore((tmp_path / "like.msgpack").read_bytes())
    jax.tree.map(np.testing.assert_array_equal, restored, state)


@pytest.mark.framework
def test_haiku_npz_both_ways(tmp_path: Path) -> None:
    hk, jax = pytest.importorskip("haiku"), pytest.importorskip("jax")
    net = hk.without_apply_rng(hk.transform(lambda x: hk.dynamic_unroll(hk.LSTM(H), x, hk.LSTM(H).initial_state(2))[0]))
    params = random_like(net.init(jax.random.key(0), np.zeros((3, 2, X), np.float32)))
    np.savez(tmp_path / "m.npz", **{f"{m}/{n}": a for m, own in params.items() for n, a in own.items()})
    (found,) = read_checkpoint(tmp_path / "m.npz").lstms
    (module,) = params
    w, b = params[module]["w"], params[module]["b"]
    assert_columns(found.weights.layers[0][0], w[:X], w[X:], b, "igfo", forget=1)
    write_checkpoint(tmp_path / "again.npz", {found.name: found.weights}, format="haiku")
    with np.load(tmp_path / "again.npz") as again:
        np.testing.assert_array_equal(again[f"{module}/w"], w)
        np.testing.assert_allclose(again[f"{module}/b"], b, atol=3e-7)


def test_the_rounding_of_a_haiku_forget_bias_is_noted(tmp_path: Path) -> None:
    stored = np.full(4 * H, 1e-9, np.float32)
    np.savez(tmp_path / "m.npz", **{"lstm/linear/w": np.ones((X + H, 4 * H), np.float32), "lstm/linear/b": stored})
    (found,) = read_checkpoint(tmp_path / "m.npz").lstms
    bias = np.asarray(found.weights.layers[0][0].b)
    assert bias[1].tolist() == [1.0] * H
    assert (bias[[0, 2, 3]] == np.float32(1e-9)).all()
    assert any("1 is added to the stored forget bias" in note for note in found.notes)


@pytest.mark.framework
def test_mlx_npz_both_ways(tmp_path: Path) -> None:
    mx, nn, utils = (pytest.importorskip(name) for name in ("mlx.core", "mlx.nn", "mlx.utils"))

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.LSTM(X, H), nn.GRU(H, H), nn.LSTM(H, H)]

    model = Model()
    model.save_weights(str(tmp_path / "m.npz"))
    theirs = {name: np.array(array) for name, array in utils.tree_flatten(model.parameters())}
    checkpoint = read_checkpoint(tmp_path / "m.npz")
    found = {lstm.name: lstm.weights for lstm in checkpoint.lstms}
    assert set(found) == {"layers/0", "layers/2"}
    for name, weights in found.items():
        place = name.replace("/", ".")
        arrays = theirs[f"{place}.Wx"].T, theirs[f"{place}.Wh"].T, theirs[f"{place}.bias"]
        assert_columns(weights.layers[0][0], *arrays)
    write_checkpoint(tmp_path / "own.npz", found, "mlx")
    fresh = Model()
    fresh.load_weights(str(tmp_path / "own.npz"), strict=False)
    assert mx.array_equal(fresh.layers[2].Wh, model.layers[2].Wh)
    assert mx.array_equal(fresh.layers[0].bias, model.layers[0].bias)


@pytest.mark.framework
def test_equinox_both_ways(tmp_path: Path) -> None:
    eqx, jax = pytest.importorskip("equinox"), pytest.importorskip("jax")
    keys = jax.random.split(jax.random.key(3), 4)
    cells = [eqx.nn.LSTMCell(X, H, key=keys[0]), eqx.nn.GRUCell(X, H, key=keys[1]), eqx.nn.LSTMCell(H, H, key=keys[2])]
    eqx.tree_serialise_leaves(tmp_path / "m.eqx", (*cells, eqx.nn.Linear(H, 2, key=keys[3])))
    lstms = read_checkpoint(tmp_path / "m.eqx").lstms
    assert [lstm.name for lstm in lstms] == ["lstm_0", "lstm_1"]
    for lstm, cell in zip(lstms, (cells[0], cells[2]), strict=True):
        arrays = np.array(cell.weight_ih).T, np.array(cell.weight_hh).T, np.array(cell.bias)
        assert_columns(lstm.weights.layers[0][0], *arrays)
    # The documentation of Equinox writes the hyperparameters as a first line.
    (tmp_path / "line.eqx").write_bytes(b'{"size": 4}\n' + (tmp_path / "m.eqx").read_bytes())
    assert load(tmp_path / "line.eqx") == {lstm.name: lstm.weights for lstm in lstms}
    write_checkpoint(tmp_path / "own.eqx", {lstm.name: lstm.weights for lstm in lstms})
    blank = (eqx.nn.LSTMCell(X, H, key=keys[3]), eqx.nn.LSTMCell(H, H, key=keys[3]))
    again = eqx.tree_deserialise_leaves(tmp_path / "own.eqx", blank)
    assert eqx.tree_equal(again, (cells[0], cells[2]))


WRITTEN = {"flax": "msgpack", "haiku": "npz", "mlx": "npz", "equinox": "eqx"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("to", ["flax", "mlx", "equinox"])
def test_a_stack_is_written_as_a_chain_in_every_precision(tmp_path: Path, to: str, dtype: str) -> None:
    weights = LSTMWeights.random(LSTMSpec(X, H, num_layers=2, bias="single"), dtype=dtype)
    path = tmp_path / f"m.{WRITTEN[to]}"
    back = write_checkpoint(path, {"lstm": weights}, format=to)
    assert [lstm.weights for lstm in back.lstms] == [weights.layer(0), weights.layer(1)]
    assert {lstm.source_dtype for lstm in back.lstms} == {dtype}


@pytest.mark.parametrize("to", WRITTEN)
def test_what_a_format_cannot_say_is_refused(tmp_path: Path, to: str) -> None:
    path = tmp_path / f"m.{WRITTEN[to]}"
    for options in ({"peepholes": True}, {"proj_size": 2}, {"reverse": True}, {"cell_activation": "relu"}):
        with pytest.raises(CheckpointError):
            write_checkpoint(path, {"lstm": LSTMWeights.random(LSTMSpec(X, H, **options))}, format=to)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", WRITTEN)
def test_truncated_and_altered_files_are_refused_or_read(tmp_path: Path, to: str) -> None:
    path = tmp_path / f"m.{WRITTEN[to]}"
    write_checkpoint(path, {"lstm": LSTMWeights.random(LSTMSpec(X, H, bias="single"))}, format=to)
    data = path.read_bytes()
    outcomes: set[str] = set()
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        path.write_bytes(data[:length])
        outcomes.add(outcome(path))
        assert outcome(path) != "read" or read_checkpoint(path).lstms == (), "the data are cut off, so no LSTM is whole"
    outcomes |= outcomes_of_alterations(path, data, 200, each=2, within=min(len(data), 400))
    assert len(outcomes) > 2


def test_pickled_members_are_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "ran"), "w")

    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("Wx.npy", buffer.getvalue() + pickle.dumps([Payload()]))
    assert "is no plain array" in refusal(tmp_path / "m.npz")
    assert not (tmp_path / "ran").exists()


MSGPACKS = {
    "many-entries-claimed": (b"\x81\xa1a\xdf\xff\xff\xff\xff", "items expected"),
    "long-bytes-claimed": (b"\x81\xa1a\xc6\xff\xff\xff\xff", "bytes expected"),
    "twice-the-same-key": (b"\x82\xa1a\x01\xa1a\x02", "twice"),
    "left-over": (b"\x81\xa1a\x01\x00", "left over"),
    "endless-nesting": (b"\x81\xa1a" * 200 + b"\x01", "nests maps"),
    "shape-too-large": (encode({"a": Extension(1, encode([[2**40, 2**40], "float32", b"1234"]))}), "cannot take"),
    "negative-shape": (encode({"a": Extension(1, encode([[-1], "float32", b"1234"]))}), "unknown way"),
    "no-array": (encode({"a": Extension(1, encode([1]))}), "unknown way"),
    "unknown-byte": (b"\x81\xa1a\xc1", "has no meaning"),
}


@pytest.mark.parametrize(("data", "reason"), MSGPACKS.values(), ids=MSGPACKS)
def test_msgpack_that_lies_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "m.msgpack").write_bytes(data)
    assert reason in refusal(tmp_path / "m.msgpack")


def test_npy_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)})
    (tmp_path / "m.eqx").write_bytes(buffer.getvalue() + b"1234")
    assert "are left" in refusal(tmp_path / "m.eqx")
