"""Written files of MLX, Equinox, Flax and legacy Keras, loaded and run by these themselves and judged by their outputs.

Each has a twin that must be flagged: the same file with two gates exchanged, which loads as well as the right one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import Case, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.checkpoints.layout_arrays import chain_of

from ..conftest import needs
from ..helpers import keras_backend, run_python
from .weights import exchanged

pytestmark = [pytest.mark.framework, pytest.mark.filterwarnings("ignore")]

SPECS = {
    "one": LSTMSpec(5, 4, bias="single"),
    "stack": LSTMSpec(5, 4, num_layers=2, bias="single"),
    "both": LSTMSpec(5, 3, bias="single", bidirectional=True),
}

#: Loads a file with its framework and gives y (batch, steps, size) for an x.
Runner = Callable[[Path, LSTMSpec, Array], Any]


def names_of(spec: LSTMSpec) -> list[str]:
    return list(chain_of({"enc": LSTMWeights.random(spec)}))


def mlx_runs(path: Path, spec: LSTMSpec, x: Array) -> Any:
    mx, nn = pytest.importorskip("mlx.core"), pytest.importorskip("mlx.nn")

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for layer, name in enumerate(names_of(spec)):
                setattr(self, name, nn.LSTM(spec.layer_input_size(layer), spec.hidden_size))

        def __call__(self, x: Any) -> Any:
            for name in names_of(spec):
                x, _ = self[name](x)
            return x

    model = Model()
    model.load_weights(str(path), strict=True)
    return model(mx.array(x))


def equinox_runs(path: Path, spec: LSTMSpec, x: Array) -> Any:
    eqx, jax = pytest.importorskip("equinox"), pytest.importorskip("jax")
    keys = jax.random.split(jax.random.key(0), spec.num_layers)
    blank = tuple(eqx.nn.LSTMCell(spec.layer_input_size(k), spec.hidden_size, key=key) for k, key in enumerate(keys))
    sequence = np.swapaxes(x, 0, 1)
    for cell in eqx.tree_deserialise_leaves(path, blank):
        state = (jax.numpy.zeros((x.shape[0], spec.hidden_size)),) * 2
        outputs = []
        for step in sequence:
            state = jax.vmap(cell)(step, state)
            outputs.append(state[0])
        sequence = np.stack(outputs)
    return np.swapaxes(sequence, 0, 1)


def flax_runs(path: Path, spec: LSTMSpec, x: Array) -> Any:
    nn, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")
    serialization = pytest.importorskip("flax.serialization")

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            if spec.bidirectional:
                cells = [nn.LSTMCell(spec.hidden_size, parent=None) for _ in range(2)]
                halves = [nn.RNN(cell, parent=None) for cell in cells]
                return nn.Bidirectional(*halves, name="enc")(x)
            for name in names_of(spec):
                x = nn.RNN(nn.LSTMCell(spec.hidden_size, name=name))(x)
            return x

    blank = Model().init(jax.random.key(0), x)
    return Model().apply(serialization.from_bytes(blank, path.read_bytes()), x)


KERAS = r"""
import sys
import numpy as np
folder, library = sys.argv[1:]
keras = __import__(library)
L = keras.layers
for stem in ("one", "stack", "both"):
    with np.load(f"{folder}/{stem}.npz") as given:
        x, hidden, layers = given["x"], int(given["hidden"]), int(given["layers"])
    made = [L.LSTM(hidden, return_sequences=True) for _ in range(layers)]
    made = [L.Bidirectional(layer) for layer in made] if stem == "both" else made
    model = keras.Sequential([keras.Input(x.shape[1:]), *made])
    for kind in ("right", "wrong"):
        model.load_weights(f"{folder}/{stem}-{kind}.h5")
        np.save(f"{folder}/{stem}-{kind}.npy", model.predict(x, verbose=0))
"""


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def legacy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Case]]:
    """Outputs of every legacy `.h5`, all loaded by one fresh interpreter, and what was asked."""
    needs("h5py", request.param)
    folder, cases = tmp_path_factory.mktemp(request.param), {}
    for stem, spec in SPECS.items():
        weights = LSTMWeights.random(spec, seed=8)
        case = cases[stem] = Case.random(spec, weights=weights, steps=7, batch=3, states=False)
        write_checkpoint(folder / f"{stem}-right.h5", {"enc": weights}, "keras-h5")
        write_checkpoint(folder / f"{stem}-wrong.h5", {"enc": exchanged(weights)}, "keras-h5")
        np.savez(folder / f"{stem}.npz", x=case.x, hidden=spec.hidden_size, layers=spec.num_layers)
    run_python(KERAS, folder, request.param, KERAS_BACKEND=keras_backend("tensorflow", "jax", "torch"))
    return folder, cases


RUNNERS: dict[str, tuple[str, Runner]] = {
    "mlx": ("m.npz", mlx_runs),
    "equinox": ("m.eqx", equinox_runs),
    "flax": ("m.msgpack", flax_runs),
}
LOADED = [(to, spec) for to in RUNNERS for spec in SPECS if spec != "both" or to == "flax"]


def verdict(folder: Path, to: str, spec: LSTMSpec, *, wrong: bool = False) -> str:
    """Of the outputs of a written file, judged by the weights that it should hold."""
    name, run = RUNNERS[to]
    weights = LSTMWeights.random(spec, seed=8)
    case = Case.random(spec, weights=weights, steps=7, batch=3, states=False)
    write_checkpoint(folder / name, {"enc": exchanged(weights) if wrong else weights}, to)
    return str(judge(Result(y=np.asarray(run(folder / name, spec, case.x))), case).verdict)


@pytest.mark.parametrize(("to", "spec"), LOADED)
def test_the_framework_computes_what_was_written(tmp_path: Path, to: str, spec: str) -> None:
    assert verdict(tmp_path, to, SPECS[spec]) == "match"


@pytest.mark.parametrize(("to", "spec"), LOADED)
def test_exchanged_gates_are_flagged(tmp_path: Path, to: str, spec: str) -> None:
    assert verdict(tmp_path, to, SPECS[spec], wrong=True) == "mismatch"


@pytest.mark.parametrize(("kind", "expected"), [("right", "match"), ("wrong", "mismatch")])
@pytest.mark.parametrize("spec", SPECS)
def test_keras_computes_what_a_legacy_file_says(
    legacy: tuple[Path, dict[str, Case]], spec: str, kind: str, expected: str
) -> None:
    folder, cases = legacy
    assert judge(Result(y=np.load(folder / f"{spec}-{kind}.npy")), cases[spec]).verdict == expected
