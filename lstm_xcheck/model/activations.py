"""The activation functions an LSTM may use, by name.

Two functions are called "hard sigmoid": clip(0.2 v + 0.5, 0, 1) in Keras 2 and ONNX's default, and
clip(v / 6 + 0.5, 0, 1) in Keras 3 and PyTorch. A spec therefore always gives slope and offset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import SpecError

#: keras 2.3.1 and tf_keras 2.21 `activations.hard_sigmoid`; ONNX HardSigmoid's default alpha and beta.
HARD_SIGMOID_KERAS2 = "hard_sigmoid:0.2,0.5"
#: keras 3.15.1 `ops.hard_sigmoid`, torch 2.13.0 `nn.functional.hardsigmoid`.
HARD_SIGMOID_KERAS3 = f"hard_sigmoid:{1 / 6!r},0.5"

_PLAIN = ("sigmoid", "tanh", "relu", "linear", "softsign", "hard_tanh", "tanh_pade")


@dataclass(frozen=True)
class Activation:
    """A parsed activation; a hard sigmoid has slope `alpha` and offset `beta`.

    >>> Activation.parse("hard_sigmoid:0.2,0.5")
    Activation(kind='hard_sigmoid', alpha=0.2, beta=0.5)
    """

    kind: str
    alpha: float = 1.0
    beta: float = 0.0

    @classmethod
    def parse(cls, name: str) -> Activation:
        """Parse `hard_sigmoid:ALPHA,BETA` or a plain name.

        Plain names are sigmoid, tanh, relu, linear, softsign, hard_tanh and tanh_pade.

        Raises:
            SpecError: for any other name, `hard_sigmoid` without its two numbers included.
        """
        if name in _PLAIN:
            return cls(name)
        kind, _, numbers = str(name).partition(":")
        try:
            alpha, beta = (float(number) for number in numbers.split(","))
        except ValueError:
            alpha = beta = float("nan")
        if kind != "hard_sigmoid" or not (0 < alpha < float("inf")) or math.isnan(beta):
            raise SpecError(
                f"unknown activation {name!r}; expected {', '.join(_PLAIN)} or hard_sigmoid:ALPHA,BETA "
                f"({HARD_SIGMOID_KERAS2} is Keras 2's, hard_sigmoid:{1 / 6},0.5 is Keras 3's)"
            )
        return cls(kind, alpha, beta)
