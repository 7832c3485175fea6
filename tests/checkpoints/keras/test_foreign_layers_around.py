"""LSTMs of Keras files inside layers, wrappers and models of the user's own classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.options import KerasOptions

from ...helpers import keras_backend, run_python
from .older_files import unread

pytest.importorskip("h5py")

pytestmark = pytest.mark.framework

AROUND = r"""
import sys
from pathlib import Path
import keras
from keras import layers

own = keras.saving.register_keras_serializable("mine")
three = {"return_sequences": True, "activation": "relu"}

@own
class Enc(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a, self.b = layers.LSTM(4, **three), layers.LSTM(4, **three)

    def build(self, shape):
        self.a.build(shape)
        self.b.build((*shape[:2], 4))

    def call(self, x):
        return self.b(self.a(x))

@own
class Mod(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rnn = layers.LSTM(4, **three)

    def call(self, x):
        return self.rnn(x)

@own
class Wrap(layers.Wrapper):
    def call(self, x):
        return self.layer(x) * 0.5

folder = Path(sys.argv[1])
x = keras.Input((6, 5))
models = {"Enc": keras.Model(x, Enc(name="enc")(x)), "Mod": Mod(), "Wrap": keras.Model(x, Wrap(layers.LSTM(4))(x))}
models["Mod"](keras.ops.ones((1, 6, 5)))
for name, model in models.items():
    for suffix in (".keras", ".h5"):
        model.save(folder / f"{name}{suffix}")
models["Enc"].save_weights(folder / "Enc.weights.h5")
"""


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("around")
    run_python(AROUND, folder, KERAS_BACKEND=keras_backend())
    return folder


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(("name", "count"), [("Enc", 2), ("Mod", 1), ("Wrap", 1)])
def test_an_lstm_in_a_foreign_layer_is_read_only_where_that_is_accepted(
    around: Path, name: str, count: int, suffix: str
) -> None:
    path = around / f"{name}{suffix}"
    checkpoint = read_checkpoint(path)
    assert not checkpoint.lstms
    assert all(f"add --accept-class {name}" in why for why in unread(checkpoint).values())
    relu = None if name == "Wrap" else "relu"
    accepted = read_checkpoint(path, keras=KerasOptions(accept_class=(name,), activation=relu))
    assert len(accepted.lstms) == count
    for lstm in accepted.lstms:
        assert lstm.weights.spec.cell_activation == (relu or "tanh")
        assert any(f"its class is {name}" in note for note in lstm.notes)


def test_weights_without_a_config_are_read_as_before(around: Path) -> None:
    assert len(read_checkpoint(around / "Enc.weights.h5").lstms) == 2
