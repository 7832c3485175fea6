"""Files of old framework versions: each is read, its spec is right, and its weights compute what that version computed.

`make.py` says which versions wrote them. No old framework is needed here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import FoundLSTM, read_checkpoint
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2
from lstm_xcheck.oracle import forward

DATA = Path(__file__).parent / "data"

_STACK = lx.LSTMSpec(3, 3, bias="single")
#: The LSTMs that `make.py` builds, by the names of its answers.
SPECS = {
    "keras": {
        "plain": lx.LSTMSpec(3, 4, bias="single"),
        "both": lx.LSTMSpec(4, 3, bias="single", bidirectional=True),
        "hard": lx.LSTMSpec(6, 5, bias="single", reverse=True, gate_activation=HARD_SIGMOID_KERAS2),
        "stack_0": lx.LSTMSpec(5, 3, bias="single"),
        "stack_1": _STACK,
    },
    "jax": {
        "plain": lx.LSTMSpec(3, 4, bias="single"),
        "both": lx.LSTMSpec(3, 3, bias="single", bidirectional=True),
        "stack_0": _STACK,
        "stack_1": _STACK,
        "haiku": lx.LSTMSpec(3, 4, bias="single"),
    },
}

_LAYERS = {"plain": "plain", "both": "both", "hard": "hard"}
_BY_CLASS = {"lstm": "plain", "bidirectional": "both"}
_RNN = {"rnn/lstm_cell": "stack_0", "rnn/lstm_cell_1": "stack_1"}
_CELLS = {"layer_with_weights-3/cell/cells/0": "stack_0", "layer_with_weights-3/cell/cells/1": "stack_1"}
#: By file, the answer that belongs to each LSTM, by the name under which the LSTM is read.
FILES = {
    "keras-2.12/model.h5": {**_LAYERS, "stack/lstm_cell_5": "stack_0", "stack/lstm_cell_6": "stack_1"},
    "keras-2.12/model.keras": {**_LAYERS, "stack/lstm_cell": "stack_0", "stack/lstm_cell_1": "stack_1"},
    "keras-2.12/saved_model": {"both": "both", "hard": "hard"},
    "keras-2.12/train-1.index": {**_LAYERS, **_CELLS},
    "keras-2.15/model.h5": {**_LAYERS, "stack/lstm_cell": "stack_0", "stack/lstm_cell_1": "stack_1"},
    "keras-2.15/model.keras": {**_LAYERS, "stack/lstm_cell": "stack_0", "stack/lstm_cell_1": "stack_1"},
    "keras-2.15/model.weights.h5": {**_BY_CLASS, "lstm_1": "hard", **_RNN},
    "keras-2.15/saved_model": {"both": "both", "hard": "hard"},
    "keras-2.15/train-1.index": {**_LAYERS, **_CELLS},
    "jax-0.4.30/plain.msgpack": {"cell": "plain"},
    "jax-0.4.30/both.msgpack": {"lstm": "both"},
    "jax-0.4.30/stack.msgpack": {"layers_0": "stack_0", "layers_1": "stack_1"},
    "jax-0.4.30/haiku.pkl": {"lstm": "haiku"},
    "jax-0.4.30/haiku.npz": {"lstm": "haiku"},
}
#: Weights without a config: the function is the reader's default, and the reader notes that.
WITHOUT_CONFIG = {"keras-2.15/model.weights.h5", *(name for name in FILES if "train" in name or "jax" in name)}
#: What the config of a file cannot add, though it may be noted.
FUNCTION = ("gate_activation", "cell_activation", "output_activation", "reverse")


def marked(file: str, *others: str) -> Any:
    """A parameter that needs what reading the file needs."""
    marks = [pytest.mark.framework("h5py")] if file.endswith((".h5", ".keras")) else []
    return pytest.param(file, *others, marks=marks)


EVERY_FILE = pytest.mark.parametrize("file", [marked(file) for file in FILES])
EVERY_LSTM = pytest.mark.parametrize(
    ("file", "name"), [marked(file, name) for file, names in FILES.items() for name in names]
)


def spec_of(file: str, answer: str) -> lx.LSTMSpec:
    return SPECS[file.partition("-")[0]][answer]


def found(file: str) -> dict[str, FoundLSTM]:
    return {lstm.name: lstm for lstm in read_checkpoint(DATA / file).lstms}


@cache
def answers(folder: str) -> dict[str, Array]:
    with np.load(DATA / folder / "answers.npz") as saved:
        return dict(saved)


def question(file: str, name: str) -> tuple[lx.Case, lx.Result]:
    """The weights that a file holds with the recorded input, and what the old version answered."""
    weights, answer = found(file)[name].weights, FILES[file][name]
    if file in WITHOUT_CONFIG:
        weights = lx.LSTMWeights(spec_of(file, answer), weights.layers, weights.dtype)
    recorded = answers(file.partition("/")[0])
    # Keras gives what it read backward in the order in which it was read.
    y = recorded[f"{answer}|y"][:, :: -1 if weights.spec.reverse else 1]
    return lx.Case(weights=weights, x=recorded[f"{answer}|x"]), lx.Result(y=y)


def exchanged(weights: lx.LSTMWeights) -> Iterator[lx.LSTMWeights]:
    """The weights with two gates in each other's place, for every pair of gates."""
    for pair in combinations(range(4), 2):
        order = list(range(4))
        order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
        layers = tuple(tuple(cell.map(lambda a, order=order: a[order]) for cell in row) for row in weights.layers)
        yield lx.LSTMWeights(weights.spec, layers, weights.dtype)


@EVERY_FILE
def test_every_lstm_is_found_with_its_spec(file: str) -> None:
    lstms = found(file)
    assert set(lstms) == set(FILES[file])
    for name, lstm in lstms.items():
        spec, silent = spec_of(file, FILES[file][name]), file in WITHOUT_CONFIG
        if silent:
            spec = replace(spec, **{field: getattr(lx.LSTMSpec(1, 1), field) for field in FUNCTION})
            assert any(note.startswith("the file says nothing of activations") for note in lstm.notes)
        assert lstm.weights.spec == spec
        assert all(cell.b is not None and cell.b.all() for _, _, cell in lstm.weights.cells()), "biases are never zero"


@pytest.mark.framework("h5py")
def test_both_directions_have_the_function_of_the_layer_that_keras2_wraps(tmp_path: Path) -> None:
    """The recorded archive with another activation in its config, as Keras 2.15 writes it."""
    with (
        zipfile.ZipFile(DATA / "keras-2.15/model.keras") as before,
        zipfile.ZipFile(tmp_path / "m.keras", "w") as after,
    ):
        for name in before.namelist():
            text = before.read(name)
            if name == "config.json":
                config = json.loads(text)
                (both,) = (layer for layer in config["config"]["layers"] if layer["class_name"] == "Bidirectional")
                both["config"]["layer"]["config"]["recurrent_activation"] = "hard_sigmoid"
                text = json.dumps(config).encode()
            after.writestr(name, text)
    lstms = {lstm.name: lstm.weights.spec for lstm in read_checkpoint(tmp_path / "m.keras").lstms}
    assert lstms["both"] == replace(SPECS["keras"]["both"], gate_activation=HARD_SIGMOID_KERAS2)


@EVERY_LSTM
def test_the_weights_compute_what_the_old_version_computed(file: str, name: str) -> None:
    case, result = question(file, name)
    assert result.y is not None and result.y.dtype == np.float32
    np.testing.assert_allclose(forward(case).y, result.y, rtol=0, atol=2e-6)
    verdict = lx.judge(result, case)
    assert verdict.verdict == "match", verdict


@EVERY_LSTM
def test_another_gate_order_does_not(file: str, name: str) -> None:
    """The mutants: any two gates exchanged, and the recorded outputs are a mismatch."""
    case, result = question(file, name)
    for mutant in exchanged(case.weights):
        assert lx.judge(result, lx.Case(weights=mutant, x=case.x)).verdict == "mismatch"


def test_the_default_function_is_not_that_of_the_hard_sigmoid() -> None:
    """Why a missing config is noted: taken for a sigmoid and read forward, the outputs do not match."""
    case, result = question("keras-2.15/train-1.index", "hard")
    plain = lx.LSTMWeights(lx.LSTMSpec(6, 5, bias="single"), case.weights.layers, "float32")
    assert lx.judge(result, lx.Case(weights=plain, x=case.x)).verdict == "mismatch"


@pytest.mark.parametrize(
    ("folder", "versions"),
    [
        ("keras-2.12", "keras 2.12.0, tensorflow 2.12.1"),
        ("keras-2.15", "keras 2.15.0, tensorflow 2.15.1"),
        ("jax-0.4.30", "jax 0.4.30, flax 0.8.5, dm-haiku 0.0.12"),
    ],
)
def test_the_versions_are_recorded(folder: str, versions: str) -> None:
    assert str(answers(folder)["versions"]) == versions


def test_every_file_is_read_and_all_are_small() -> None:
    stored = [path for path in DATA.rglob("*") if path.is_file() and path.name != "answers.npz"]
    used = [DATA / name for name in FILES]
    for path in stored:
        readable = path.with_name(path.name.replace(".data-00000-of-00001", ".index"))
        assert any(readable == file or readable.is_relative_to(file) for file in used), path
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 400_000
