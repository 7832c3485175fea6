"""Word taggers of PyTorch and Keras, and what a file with one allows its predictions to be.

Two frameworks round differently, so predictions are compared with a bound derived from the format. The recurrence is
judged by the project's own judge, on what each framework gives for the LSTMs. The head is a matrix product: a computed
dot product of n terms lies within gamma_n |x||w| of the exact one, gamma_n = n u / (1 - n u), in any order of summation
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1); one more term is the bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.other_layers.collect import collect_layers
from lstm_xcheck.checkpoints.other_layers.model import Layer, OtherLayers, by_name
from lstm_xcheck.checkpoints.other_layers.order import infer_layer_order
from lstm_xcheck.porting.certificate import joined

WORDS, SIZE, UNITS, CLASSES, STEPS = 11, 5, 4, 8, 6
IDS = np.random.default_rng(3).integers(0, WORDS, (3, STEPS))
#: A head as wide as its input: a kernel that is not transposed still fits.
assert CLASSES == 2 * UNITS


def torch_tagger(torch: Any) -> Any:
    """Ids -> two bidirectional layers -> one score for each class and step."""

    class Tagger(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, SIZE)
            self.lstm = torch.nn.LSTM(SIZE, UNITS, num_layers=2, bidirectional=True, batch_first=True)
            self.head = torch.nn.Linear(2 * UNITS, CLASSES)

        def forward(self, ids: Any) -> Any:
            return self.head(self.lstm(self.embedding(ids))[0])

    return Tagger()


def keras_tagger(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            layers.Embedding(WORDS, SIZE, name="embedding"),
            layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True), name="lower"),
            layers.Dropout(0.2, name="rest"),
            layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True), name="upper"),
            layers.Dense(CLASSES, name="head"),
        ]
    )


def read_model(path: Path) -> OtherLayers:
    """The other layers of a file, in the order in which they compute."""
    checkpoint = read_checkpoint(path, load_other_tensors=True)
    return infer_layer_order(checkpoint, collect_layers(checkpoint))


def layers_in(path: Path, kinds: Mapping[str, str] | None = None) -> dict[str, Layer]:
    """The other layers of a file by name; kinds are those that it does not show."""
    return by_name(collect_layers(read_checkpoint(path, load_other_tensors=True), kinds).layers)


def disagreements(inner: Array, predicted: Array, layers: Mapping[str, Layer], weights: lx.LSTMWeights) -> list[str]:
    """What of a framework's run the layers do not allow: the recurrence, or the predictions of `head`.

    Args:
        inner: what the LSTMs gave for `IDS`.
        predicted: what the head made of it.
        layers: an embedding and a head.
        weights: the LSTMs as one stack.
    """
    table, kernel, bias = layers["embedding"].arrays["table"], *(layers["head"].arrays[k] for k in ("kernel", "bias"))
    wrong = [] if lx.judge(lx.Result(y=inner), lx.Case(weights=weights, x=table[IDS])).verdict == "match" else ["lstm"]
    wide, terms = inner.astype(np.float64), kernel.shape[0] + 1
    gamma = terms * 2.0**-24 / (1 - terms * 2.0**-24)
    allowed = gamma * (np.abs(wide) @ np.abs(kernel.astype(np.float64)) + np.abs(bias))
    return wrong + ([] if (np.abs(predicted - (wide @ kernel + bias)) <= allowed).all() else ["head"])


def disagreements_with(source: Path, inner: Array, predicted: Array) -> list[str]:
    """The same for the layers of a file, its LSTMs as the one stack that they are."""
    return disagreements(inner, predicted, layers_in(source), joined(list(lx.load(source).values())))
