"""What Keras computes with the weights of `older_files`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...helpers import keras_backend, run_python
from .older_files import X, arrays

RUN = r"""
import sys
import keras, numpy as np
from keras import ops

def steep(v):  # what Keras 2 calls hard_sigmoid
    return ops.clip(0.2 * v + 0.5, 0.0, 1.0)

with np.load(sys.argv[1]) as saved:
    x, *weights = (saved[name] for name in ("x", "kernel", "recurrent_kernel", "bias"))
functions = {"sigmoid": "sigmoid", "hard_sigmoid:0.2,0.5": steep, "keras3": "hard_sigmoid"}
given = {}
for name, gates in functions.items():
    for activation in ("tanh", "relu"):
        layer = keras.layers.LSTM(4, activation=activation, recurrent_activation=gates, return_sequences=True)
        layer.build(x.shape)
        layer.set_weights(weights)
        given[f"{name}|{activation}"] = ops.convert_to_numpy(layer(x))
np.savez(sys.argv[2], **given)
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Keras computes with each pair of functions."""
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("run")
    np.savez(folder / "in.npz", x=X, **arrays())
    run_python(RUN, folder / "in.npz", folder / "out.npz", KERAS_BACKEND=keras_backend())
    with np.load(folder / "out.npz") as saved:
        return dict(saved)
