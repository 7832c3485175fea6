"""Wrong activation functions."""

from __future__ import annotations

from ...model.spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3
from ..mistake import Mistake, with_spec


def _entry(id: str, title: str, explanation: str, **changes: str) -> Mistake:
    names = {"gate_activation": "gates i, f, o", "cell_activation": "candidate g", "output_activation": "output"}
    where = " and the ".join(names[key] for key in changes)
    return Mistake(
        id=id,
        family="activation",
        title=title,
        explanation=explanation,
        fix=f"Set the activation of the {where} to what the weights were trained with, not {'/'.join(changes.values())}.",
        code=", ".join(f"{key}={value!r}  # is what runs now" for key, value in changes.items()),
        weights=lambda weights: with_spec(weights, **changes),
    )


MISTAKES = (
    _entry("hard-sigmoid-keras2", "gates use the hard sigmoid clip(0.2 v + 0.5)",
           "Keras 2 and TensorFlow 1 layers default to this recurrent activation, and ONNX HardSigmoid has these defaults.",
           gate_activation=HARD_SIGMOID_KERAS2),
    _entry("hard-sigmoid-keras3", "gates use the hard sigmoid clip(v / 6 + 0.5)",
           "Keras 3 and PyTorch mean this function by hard_sigmoid, older Keras the steeper 0.2 v + 0.5.",
           gate_activation=HARD_SIGMOID_KERAS3),
    _entry("gates-sigmoid", "gates use the sigmoid", "The weights were trained with another gate function.",
           gate_activation="sigmoid"),
    _entry("gates-tanh", "gates use tanh", "The activation of the gates was set to that of the candidate.",
           gate_activation="tanh"),
    _entry("gates-relu", "gates use relu", "The recurrent activation was set to relu.", gate_activation="relu"),
    _entry("gates-linear", "gates have no activation", "The recurrent activation was left out.", gate_activation="linear"),
    _entry("activations-swapped", "sigmoid and tanh exchanged",
           "activation and recurrent_activation were given in the wrong order.",
           gate_activation="tanh", cell_activation="sigmoid", output_activation="sigmoid"),
    _entry("candidate-sigmoid", "candidate g uses the sigmoid", "All four gates were given the same activation.",
           cell_activation="sigmoid"),
    _entry("candidate-relu", "candidate g uses relu", "The activation of g was set to relu, that of the output was not.",
           cell_activation="relu"),
    _entry("candidate-linear", "candidate g has no tanh", "The activation of g was left out.", cell_activation="linear"),
    _entry("candidate-hard-tanh", "candidate g uses the hard tanh", "A clipped line replaces tanh in g.",
           cell_activation="hard_tanh"),
    _entry("candidate-softsign", "candidate g uses softsign", "v / (1 + |v|) replaces tanh in g.",
           cell_activation="softsign"),
    _entry("output-linear", "no tanh on the cell state", "h = o * c was computed instead of o * tanh(c).",
           output_activation="linear"),
    _entry("output-relu", "output uses relu", "The activation of the cell state was set to relu, that of g was not.",
           output_activation="relu"),
    _entry("output-sigmoid", "output uses the sigmoid", "h = o * sigmoid(c) was computed instead of o * tanh(c).",
           output_activation="sigmoid"),
    _entry("output-hard-tanh", "output uses the hard tanh", "A clipped line replaces tanh on the cell state.",
           output_activation="hard_tanh"),
    _entry("output-softsign", "output uses softsign", "c / (1 + |c|) replaces tanh on the cell state.",
           output_activation="softsign"),
    _entry("activation-relu", "activation is relu", "activation='relu' replaces both tanh functions.",
           cell_activation="relu", output_activation="relu"),
    _entry("activation-linear", "activation is linear", "activation=None removes both tanh functions.",
           cell_activation="linear", output_activation="linear"),
    _entry("activation-sigmoid", "activation is the sigmoid", "The sigmoid replaces both tanh functions.",
           cell_activation="sigmoid", output_activation="sigmoid"),
    _entry("activation-softsign", "activation is softsign", "softsign replaces both tanh functions.",
           cell_activation="softsign", output_activation="softsign"),
    _entry("activation-hard-tanh", "activation is the hard tanh", "A clipped line replaces both tanh functions.",
           cell_activation="hard_tanh", output_activation="hard_tanh"),
    _entry("candidate-tanh", "candidate g uses tanh", "The default was computed in g, not what the weights were trained with.",
           cell_activation="tanh"),
    _entry("output-tanh", "output uses tanh", "The default was computed on the cell state, not what the weights were trained with.",
           output_activation="tanh"),
    _entry("activation-tanh", "activation is tanh",
           "The default was computed in g and on the cell state, not the activation the weights were trained with.",
           cell_activation="tanh", output_activation="tanh"),
    _entry("activations-default", "all activations are the defaults",
           "sigmoid and tanh were computed, as layers without an option for activations do.",
           gate_activation="sigmoid", cell_activation="tanh", output_activation="tanh"),
    _entry("activation-tanh-pade", "tanh approximated by v (27 + v^2) / (27 + 9 v^2)",
           "A fast kernel computes tanh by this fraction, clipped to [-1, 1].",
           cell_activation="tanh_pade", output_activation="tanh_pade"),
)  # fmt: skip
