"""Pickles of arrays: Paddle's `.pdparams` and Haiku's parameters, written by the real frameworks."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint

from ..conftest import needs
from ..helpers import run_python
from .damage import outcomes_of_alterations, refusal

OPTIONS: dict[str, dict[str, Any]] = {
    "one": {"hidden_size": 4},
    "stack": {"hidden_size": 4, "num_layers": 3},
    "both": {"hidden_size": 4, "direction": "bidirect"},
    "stack-of-both": {"hidden_size": 4, "num_layers": 2, "direction": "bidirect"},
    "projected": {"hidden_size": 6, "proj_size": 4},
}

#: Run by a fresh interpreter: Paddle imported after TensorFlow crashes.
SAVE = r"""
import sys, json
import numpy as np, paddle
for name, options in json.loads(sys.argv[2]).items():
    stem = f"{sys.argv[1]}/{name}"
    paddle.seed(3)
    lstm = paddle.nn.LSTM(5, **options)
    rng = np.random.default_rng(5)
    layers = options.get("num_layers", 1) * (2 if "direction" in options else 1)
    x = rng.normal(size=(3, 7, 5)).astype("float32")
    h = rng.normal(size=(layers, 3, options.get("proj_size", options["hidden_size"]))).astype("float32")
    c = rng.normal(size=(layers, 3, options["hidden_size"])).astype("float32")
    y, (hn, cn) = lstm(paddle.to_tensor(x), (paddle.to_tensor(h), paddle.to_tensor(c)))
    np.savez(f"{stem}.npz", x=x, h=h, c=c, y=y.numpy(), hn=hn.numpy(), cn=cn.numpy())
    paddle.save(lstm.state_dict(), f"{stem}-flat.pdparams")
    paddle.save({"model": {"enc": lstm.state_dict()}, "epoch": 3}, f"{stem}-nested.pdparams")
    paddle.save(lstm.state_dict(), f"{stem}-old.pdparams", protocol=2)
"""

LOAD = r"""
import sys, json
import numpy as np, paddle
for name, options in json.loads(sys.argv[2]).items():
    stem = f"{sys.argv[1]}/{name}"
    with np.load(f"{stem}.npz") as case:
        x, h, c = case["x"], case["h"], case["c"]
    paddle.set_default_dtype(str(x.dtype))
    lstm = paddle.nn.LSTM(x.shape[2], **options)
    missing, unexpected = lstm.set_state_dict(paddle.load(f"{stem}.pdparams"))
    assert not missing and not unexpected, (missing, unexpected)
    y, (hn, cn) = lstm(paddle.to_tensor(x), (paddle.to_tensor(h), paddle.to_tensor(c)))
    np.savez(f"{stem}-answer.npz", y=y.numpy(), hn=hn.numpy(), cn=cn.numpy())
"""


def paddle_runs(code: str, folder: Path, options: dict[str, dict[str, Any]]) -> Path:
    needs("paddle")
    run_python(code, folder, json.dumps(options))
    return folder


@pytest.fixture(scope="module")
def saved_by_paddle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paddle_runs(SAVE, tmp_path_factory.mktemp("saved"), OPTIONS)


@pytest.fixture(scope="module")
def loaded_by_paddle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Case, Result]]:
    """Write an LSTM for each option and type, let Paddle load and run them all, and give case and answer of one."""
    folder = tmp_path_factory.mktemp("loaded")
    cases = {}
    for name, options in OPTIONS.items():
        own = {key: value for key, value in options.items() if key != "direction"}
        spec = LSTMSpec(input_size=5, **own, bidirectional="direction" in options)
        for dtype in ("float32", "float64"):
            weights = LSTMWeights.random(spec, seed=4).astype(dtype)
            write_checkpoint(folder / f"{name}-{dtype}.pdparams", {"": weights})
            case = cases[f"{name}-{dtype}"] = Case.random(spec, weights=weights, precision=dtype)
            np.savez(folder / f"{name}-{dtype}.npz", x=case.x, h=case.h0, c=case.c0)
    paddle_runs(LOAD, folder, {stem: OPTIONS[stem.rpartition("-")[0]] for stem in cases})

    def answer(name: str, dtype: str) -> tuple[Case, Result]:
        with np.load(folder / f"{name}-{dtype}-answer.npz") as saved:
            return cases[f"{name}-{dtype}"], Result(y=saved["y"], h_n=saved["hn"], c_n=saved["cn"])

    return answer


@pytest.mark.framework
@pytest.mark.parametrize("file", ["flat", "nested", "old"])
@pytest.mark.parametrize("name", OPTIONS)
def test_files_of_paddle_compute_what_paddle_computes(saved_by_paddle: Path, name: str, file: str) -> None:
    with np.load(saved_by_paddle / f"{name}.npz") as archive:
        seen = dict(archive)
    checkpoint = read_checkpoint(saved_by_paddle / f"{name}-{file}.pdparams")
    (found,) = checkpoint.lstms
    assert (checkpoint.format, found.name, checkpoint.other) == ("paddle", "lstm", ())
    assert found.layout == "paddle", "the framework that proves it"
    assert found.weights.spec.bidirectional == ("direction" in OPTIONS[name])
    case = Case(weights=found.weights, x=seen["x"], h0=seen["h"], c0=seen["c"])
    assert judge(Result(y=seen["y"], h_n=seen["hn"], c_n=seen["cn"]), case).verdict == "match"


# Without the outputs of each layer, float64 answers of a stack prove nothing.
@pytest.mark.framework
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in OPTIONS] + [(name, "float64") for name in OPTIONS if "stack" not in name],
)
def test_paddle_loads_what_is_written(
    loaded_by_paddle: Callable[[str, str], tuple[Case, Result]], name: str, dtype: str
) -> None:
    case, result = loaded_by_paddle(name, dtype)
    assert judge(result, case).verdict == "match"


WRITTEN = {
    "split": LSTMSpec(3, 4),
    "no-bias": LSTMSpec(3, 4, bias="none"),
    "both": LSTMSpec(3, 4, num_layers=2, bidirectional=True),
    "projected": LSTMSpec(3, 4, proj_size=2, bidirectional=True),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("spec", WRITTEN.values(), ids=WRITTEN)
def test_paddle_files_say_every_bit(tmp_path: Path, spec: LSTMSpec, dtype: str) -> None:
    given = {name: LSTMWeights.random(spec, seed).astype(dtype) for seed, name in enumerate(("enc", "dec"))}
    for file in ("one.pdparams", "other.pdparams"):
        back = write_checkpoint(tmp_path / file, given)
        assert {lstm.name: lstm.weights for lstm in back.lstms} == given
        assert (back.format, back.other) == ("paddle", ())
    assert (tmp_path / "one.pdparams").read_bytes() == (tmp_path / "other.pdparams").read_bytes()


def state_of(**tensors: Any) -> dict[str, Any]:
    weights = LSTMWeights.random(LSTMSpec(3, 2), seed=1)
    return {**weights.to_layout("torch"), **weights.to_layout("paddle"), **tensors}


def test_the_two_names_of_a_tensor_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "m.pdparams"
    path.write_bytes(pickle.dumps(state_of(), 4))
    assert len(read_checkpoint(path).lstms) == 1
    path.write_bytes(pickle.dumps(state_of(**{"0.cell.bias_ih": np.zeros(8)}), 4))
    assert "two names of one tensor" in refusal(path)


def test_cells_that_belong_to_no_lstm_stay_cells(tmp_path: Path) -> None:
    cells = LSTMWeights.random(LSTMSpec(3, 3, num_layers=2), seed=1).to_layout("paddle")
    (tmp_path / "m.pdparams").write_bytes(pickle.dumps(cells, 4))
    assert [lstm.name for lstm in read_checkpoint(tmp_path / "m.pdparams").lstms] == ["0.cell", "1.cell"]


def test_a_file_that_was_written_is_filled(tmp_path: Path) -> None:
    old, new = (LSTMWeights.random(LSTMSpec(6, 4, proj_size=2), seed) for seed in (1, 2))
    write_checkpoint(tmp_path / "m.pdparams", {"lstm": old})
    write_checkpoint(tmp_path / "n.pdparams", {"lstm": new}, like=tmp_path / "m.pdparams")
    write_checkpoint(tmp_path / "whole.pdparams", {"lstm": new})
    assert (tmp_path / "n.pdparams").read_bytes() == (tmp_path / "whole.pdparams").read_bytes()


@pytest.mark.framework
@pytest.mark.parametrize("kind", ["numpy", "jax", "flat-map", "fortran"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_haiku_parameters_compute_what_haiku_computes(tmp_path: Path, kind: str, protocol: int) -> None:
    jax, haiku = pytest.importorskip("jax"), pytest.importorskip("haiku")

    def run(x: Any) -> Any:
        core = haiku.LSTM(4)
        return haiku.dynamic_unroll(core, x, core.initial_state(x.shape[1]))

    network = haiku.without_apply_rng(haiku.transform(run))
    x = np.random.default_rng(1).normal(size=(7, 3, 5)).astype("float32")
    parameters = network.init(jax.random.PRNGKey(2), x)
    y, state = network.apply(parameters, x)
    saved = {
        "numpy": jax.device_get,
        "jax": lambda tree: tree,
        "flat-map": haiku.data_structures.to_immutable_dict,
        "fortran": lambda tree: jax.tree.map(lambda array: np.asfortranarray(np.asarray(array)), tree),
    }[kind](parameters)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"params": saved, "step": np.int64(3)}, protocol))
    checkpoint = read_checkpoint(tmp_path / "m.pkl")
    (found,) = checkpoint.lstms
    assert (checkpoint.format, found.name, found.layout) == ("pickle", "lstm", "haiku")
    case = Case(weights=found.weights, x=np.swapaxes(x, 0, 1))
    result = Result(
        y=np.swapaxes(np.asarray(y), 0, 1), h_n=np.asarray(state.hidden)[None], c_n=np.asarray(state.cell)[None]
    )
    assert judge(result, case).verdict == "match"


@pytest.mark.framework
def test_bfloat16_of_jax(tmp_path: Path) -> None:
    numpy = pytest.importorskip("jax.numpy")
    weights = LSTMWeights.random(LSTMSpec(3, 2, bias="single"), seed=1).astype("bfloat16")
    arrays = {name: numpy.asarray(array, numpy.bfloat16) for name, array in weights.to_layout("haiku").items()}
    tree = {"lstm/linear": {"w": arrays["lstm/linear/w"], "b": arrays["lstm/linear/b"]}}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(tree))
    read = read_checkpoint(tmp_path / "m.pkl").lstms[0].weights
    assert read.dtype == "bfloat16"
    assert read.to_layout("haiku")["lstm/linear/w"].tobytes() == weights.to_layout("haiku")["lstm/linear/w"].tobytes()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_truncated_at_any_length(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(state_of(), protocol)
    path = tmp_path / "m.pdparams"
    for length in sorted({0, 1, 2, 3, *map(int, np.linspace(4, len(data) - 1, 80))}):
        path.write_bytes(data[:length])
        refusal(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_altered_bytes_never_escape_as_another_exception(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(state_of(), protocol)
    outcomes = outcomes_of_alterations(tmp_path / "m.pdparams", data, 400)
    assert len(outcomes - {"read"}) > 2, "no alteration was noticed"


class Call:
    """Pickles as a call of `function(*arguments)`, its state set to `state`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call if self.call[2] is not None else self.call[:2]


RECONSTRUCT = np.zeros(1).__reduce__()[0]
FLOAT = np.dtype("f4")
LIES = {
    "shape-beyond-the-data": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (4,), FLOAT, False, b"1234")),
    "exabytes": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1 << 40, 1 << 40), FLOAT, False, b"")),
    "negative-shape": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1,), FLOAT, False, b"1234")),
    "text-as-shape": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, "a", FLOAT, False, b"1234")),
    "no-type": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), "f4", False, b"1234")),
    "short-state": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,))),
    "never-filled": Call(RECONSTRUCT, np.ndarray, (0,), b"b"),
    "other-class": Call(RECONSTRUCT, dict, (0,), b"b"),
    "no-arguments": Call(RECONSTRUCT),
    "a-call-of-a-type": Call(np.ndarray, (1 << 40,)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_arrays_that_lie_about_themselves(tmp_path: Path, lie: Any) -> None:
    path = tmp_path / "m.pdparams"
    path.write_bytes(pickle.dumps(state_of(extra=lie), 4))
    refusal(path)


def test_arrays_of_objects_are_named_and_not_read(tmp_path: Path) -> None:
    words = {"text": np.array(["a", "bc"]), "objects": np.array([None, "x"], object)}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(state_of(**words), 4))
    checkpoint = read_checkpoint(tmp_path / "m.pkl")
    assert [lstm.name for lstm in checkpoint.lstms] == ["lstm"]
    assert sorted(map(str, checkpoint.other)) == ["objects O8[2]", "text U2[2]"]
