"""The table of what formats can say, held against what their writers do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints.expressible import EXPRESSED_BY, formats_that_say
from lstm_xcheck.checkpoints.formats import writable
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import LSTMSpec, LSTMWeights
from lstm_xcheck.model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3

from ..helpers import keras_backend, run_python, usable

pytestmark = pytest.mark.framework


def both(name: str) -> dict[str, Any]:
    return {"cell_activation": name, "output_activation": name}


SPECS: dict[str, dict[str, Any]] = {
    "textbook": {}, "no bias": {"bias": "none"}, "bidirectional": {"bidirectional": True}, "stack": {"num_layers": 2},
    "sigmoid": both("sigmoid"), "tanh": {"gate_activation": "tanh"}, "relu": both("relu"), "linear": both("linear"),
    "softsign": both("softsign"), "hard_tanh": both("hard_tanh"), "tanh_pade": both("tanh_pade"),
    "two functions": {"cell_activation": "relu"}, "reverse": {"reverse": True},
    "reverse stack": {"reverse": True, "num_layers": 2}, "proj_size": {"proj_size": 2},
    "proj_clip": {"proj_size": 2, "proj_clip": 1.0}, "cell_clip": {"cell_clip": 3.0}, "gate_clip": {"gate_clip": 3.0},
    "peepholes": {"peepholes": True}, "f=1-i": {"coupling": "f=1-i"}, "i=1-f": {"coupling": "i=1-f"},
    "hard_sigmoid": {"gate_activation": "hard_sigmoid:0.25,0.5"},
    HARD_SIGMOID_KERAS2: {"gate_activation": HARD_SIGMOID_KERAS2},
    HARD_SIGMOID_KERAS3: {"gate_activation": HARD_SIGMOID_KERAS3},
}  # fmt: skip


def test_every_row_is_tried() -> None:
    assert set(SPECS) - {"textbook", "stack"} == set(EXPRESSED_BY)
    assert formats_that_say([]) == list(writable())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("feature", SPECS)
@pytest.mark.parametrize("id", writable())
def test_a_format_says_what_the_table_says(tmp_path: Path, id: str, feature: str) -> None:
    suffix = usable(id).suffixes[0]
    weights = LSTMWeights.random(LSTMSpec(3, 4, **{"bias": "single", **SPECS[feature]}), seed=1)
    able = formats_that_say([weights.spec])
    if id in able:
        write_checkpoint(tmp_path / f"m{suffix}", {"rec": weights}, id)
        return
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path / f"m{suffix}", {"rec": weights}, id)
    assert str(caught.value).endswith(f"formats that can say it: {', '.join(able)}")
    assert "npz" in able


RUN = r"""
import sys
import numpy as np
keras = __import__(sys.argv[1])
model = keras.saving.load_model(sys.argv[2], compile=False)
with np.load(sys.argv[3]) as given:
    np.save(sys.argv[4], model.predict(given["x"], verbose=0))
"""


@pytest.mark.parametrize(
    ("which", "spec"),
    [
        ("keras", LSTMSpec(3, 4, bidirectional=True, bias="single", **both("relu"))),
        ("keras", LSTMSpec(3, 4, num_layers=2, bias="none", **both("linear"))),
        ("tf_keras", LSTMSpec(3, 4, bias="single", gate_activation=HARD_SIGMOID_KERAS2)),
    ],
    ids=["relu", "linear", "hard-sigmoid"],
)
def test_keras_loads_the_model_of_an_h5(tmp_path: Path, which: str, spec: LSTMSpec) -> None:
    pytest.importorskip(which)
    weights = LSTMWeights.random(spec, seed=3)
    write_checkpoint(tmp_path / "m.h5", {"a/b": weights}, "keras-h5")
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    run_python(RUN, which, tmp_path / "m.h5", tmp_path / "x.npz", tmp_path / "y.npy", KERAS_BACKEND=keras_backend())
    result = lx.Result(y=np.load(tmp_path / "y.npy"))
    assert lx.judge(result, lx.Case(weights=weights, x=x)).verdict == "match"
    textbook = LSTMWeights(LSTMSpec(3, 4, spec.num_layers, spec.bidirectional, spec.bias), weights.layers)
    assert lx.judge(result, lx.Case(weights=textbook, x=x)).verdict == "mismatch"
