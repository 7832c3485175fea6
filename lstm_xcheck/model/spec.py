"""The spec of an LSTM: sizes, directions, bias scheme and options.

With gates i, f, g (the cell candidate) and o:

    z   = W x_t + U h_{t-1} + b + b_r           (+ p_i c_{t-1}, p_f c_{t-1}, p_o c_t)
    c_t = sigmoid(z_f) c_{t-1} + sigmoid(z_i) tanh(z_g)
    h_t = sigmoid(z_o) tanh(c_t)                (then P h_t with a projection)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import SpecError

Bias = Literal["split", "single", "none"]
Coupling = Literal["f=1-i", "i=1-f"]

#: Gate order of the canonical form; `g`, the cell candidate, is also called c, j or z.
GATES = ("i", "f", "g", "o")

# Two functions are called "hard sigmoid", so a spec always gives slope and offset.
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


@dataclass(frozen=True)
class LSTMSpec:
    """Shape and function of an LSTM, independent of frameworks.

    Attributes:
        input_size: features per step.
        hidden_size: units, the width of the cell state.
        num_layers: stacked layers.
        bidirectional: whether each layer also reads the sequence backward.
        bias: `split` (two vectors, as PyTorch), `single` (one, as Keras) or `none`.
        proj_size: width of the projected hidden state, 0 for none; must be smaller than `hidden_size`.
        peepholes: whether the gates i, f see c_{t-1} and o sees c_t.
        reverse: whether the single direction reads the sequence backward; outputs stay aligned in time.
        gate_activation, cell_activation, output_activation: of i, f, o; of g; of c.
        gate_clip: bound on the pre-activations z (ONNX `clip`).
        cell_clip: bound on c_t (TF1 `cell_clip`).
        proj_clip: bound on the projected state.
        coupling: `f=1-i` (ONNX `input_forget`) or `i=1-f` (TFLite CIFG).

    Raises:
        SpecError: for a combination that is no LSTM.

    >>> LSTMSpec(input_size=1, hidden_size=1, bias="single").parameter_count
    12
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: Bias = "split"
    proj_size: int = 0
    peepholes: bool = False
    reverse: bool = False
    gate_activation: str = "sigmoid"
    cell_activation: str = "tanh"
    output_activation: str = "tanh"
    gate_clip: float | None = None
    cell_clip: float | None = None
    proj_clip: float | None = None
    coupling: Coupling | None = None

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            _check_size(name, getattr(self, name), minimum=1)
        object.__setattr__(self, "proj_size", self.proj_size or 0)
        _check_size("proj_size", self.proj_size, minimum=0)
        if self.proj_size >= self.hidden_size:
            raise SpecError(
                f"proj_size is {self.proj_size}, but should be smaller than hidden_size={self.hidden_size} "
                "(0 means no projection)"
            )
        for name, allowed in (("bias", get_args(Bias)), ("coupling", (None, *get_args(Coupling)))):
            if getattr(self, name) not in allowed:
                raise SpecError(f"{name} is {getattr(self, name)!r}, but should be one of {allowed}")
        if self.reverse and self.bidirectional:
            raise SpecError("reverse=True describes a single direction, but bidirectional=True already has both")
        if self.proj_clip is not None and not self.proj_size:
            raise SpecError(f"proj_clip is {self.proj_clip}, but there is no projection to clip (proj_size=0)")
        for name in ("gate_activation", "cell_activation", "output_activation"):
            Activation.parse(getattr(self, name))
        for name in ("gate_clip", "cell_clip", "proj_clip"):
            clip = getattr(self, name)
            if clip is not None and not clip > 0:
                raise SpecError(f"{name} is {clip}, but should be a positive number or None")

    @property
    def num_directions(self) -> int:
        """2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width R of the hidden state h of one direction: `proj_size` or `hidden_size`."""
        return self.proj_size or self.hidden_size

    @property
    def is_plain(self) -> bool:
        """Whether this is the textbook LSTM: no clip, coupling, peephole, other activation."""
        return self == LSTMSpec(
            self.input_size, self.hidden_size, self.num_layers, self.bidirectional, self.bias, self.proj_size,
            reverse=self.reverse,
        )  # fmt: skip

    def layer_input_size(self, layer: int) -> int:
        """Input width of a layer: `input_size`, or the width of the layer below."""
        return self.input_size if layer == 0 else self.output_size * self.num_directions

    def is_backward(self, direction: int) -> bool:
        """Whether this direction (0 or 1) reads the sequence backward."""
        return self.reverse if direction == 0 else True

    @property
    def cell_factor(self) -> float:
        """Factor on each new c: 1 in every LSTM; diagnoses try others."""
        return 1.0

    @property
    def canonical_count(self) -> int:
        """Parameters with one bias: 4((x+r)h+h) per layer and direction, plus options."""
        hidden, width = self.hidden_size, self.output_size
        total = 0
        for layer in range(self.num_layers):
            one = 4 * (self.layer_input_size(layer) + width) * hidden
            one += 4 * hidden if self.bias != "none" else 0
            one += 3 * hidden if self.peepholes else 0
            one += width * hidden if self.proj_size else 0
            total += one * self.num_directions
        return total

    @property
    def parameter_count(self) -> int:
        """Stored parameters: a split bias counts twice."""
        second = 4 * self.hidden_size if self.bias == "split" else 0
        return self.canonical_count + second * self.num_layers * self.num_directions

    def layer(self, index: int) -> LSTMSpec:
        """The spec of one layer of a stack."""
        return replace(self, input_size=self.layer_input_size(index), num_layers=1)

    @property
    def kind(self) -> str:
        """Everything but the sizes, in a few words.

        >>> LSTMSpec(input_size=1, hidden_size=2, bidirectional=True, bias="single").kind
        'bidirectional, 1 bias'
        """
        words = ["bidirectional"] if self.bidirectional else ["backward"] if self.reverse else []
        words.append({"split": "2 biases", "single": "1 bias", "none": "no bias"}[self.bias])
        words += [f"projection {self.proj_size}"] if self.proj_size else []
        words += ["peepholes"] if self.peepholes else []
        functions = (self.gate_activation, self.cell_activation, self.output_activation)
        words += ["/".join(functions)] if functions != ("sigmoid", "tanh", "tanh") else []
        for name in ("gate_clip", "cell_clip", "proj_clip", "coupling"):
            value = getattr(self, name)
            words += [f"{name} {value}"] if value is not None else []
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _check_size(name: str, value: object, *, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        wanted = "a positive whole number" if minimum else "a whole number, 0 or more"
        raise SpecError(f"{name} is {value!r}, but should be {wanted}")


def expected_shapes(spec: LSTMSpec, layer: int) -> dict[str, tuple[int, ...]]:
    """Shape of each array that one direction of a layer must have."""
    hidden, width = spec.hidden_size, spec.output_size
    shapes: dict[str, tuple[int, ...]] = {
        "W": (4, hidden, spec.layer_input_size(layer)),
        "U": (4, hidden, width),
    }
    if spec.bias != "none":
        shapes["b"] = (4, hidden)
    if spec.bias == "split":
        shapes["b_r"] = (4, hidden)
    if spec.peepholes:
        shapes["peephole"] = (3, hidden)
    if spec.proj_size:
        shapes["projection"] = (width, hidden)
    return shapes
