"""The table of features, each with a small case that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import SpecError
from .case import Case
from .spec import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, LSTMSpec

Group = Literal["structure", "cell", "states", "padding", "outputs", "calls", "sizes", "numbers", "gradients"]

#: What a case of a feature has unless the feature says otherwise.
_SPEC: Mapping[str, Any] = {"input_size": 3, "hidden_size": 4}
_CASE: Mapping[str, Any] = {"steps": 5, "batch": 3, "seed": 1}


@dataclass(frozen=True)
class Feature:
    """One row.

    Attributes:
        name: unique words with dashes.
        meaning: what it is, in one line.
        group: rows of one group follow each other.
        spec: changes of a plain spec.
        data: arguments of `Case.random`.
    """

    name: str
    meaning: str
    group: Group
    spec: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def case(self) -> Case:
        """A small case that needs the feature."""
        return Case.random(LSTMSpec(**{**_SPEC, **self.spec}), **{**_CASE, **self.data}, id=f"feature-{self.name}")

    def recipe_arguments(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of `Case.random`; a mask takes the place of lengths."""
        return {**own, **self.data, **({"ragged": False} if "mask" in self.data else {})}


_BI = {"bidirectional": True}
_RAGGED = {"ragged": True}
_GRADIENTS = {"gradients": True}

FEATURES: tuple[Feature, ...] = (
    Feature("one-layer", "one layer of one direction", "structure"),
    Feature("two-layers", "the outputs of a layer are the inputs of the next", "structure", {"num_layers": 2}),
    Feature("three-layers", "a stack of three", "structure", {"num_layers": 3}),
    Feature("bidirectional", "a second direction reads from the end; outputs are concatenated", "structure", _BI),
    Feature("bidirectional-stack", "two bidirectional layers", "structure", {**_BI, "num_layers": 2}),
    Feature(
        "reverse",
        "one direction that reads from the end, with outputs in order of time",
        "structure",
        {"reverse": True},
    ),
    Feature("split-bias", "two bias vectors, which are added", "structure", {"bias": "split"}),
    Feature("single-bias", "one bias vector", "structure", {"bias": "single"}),
    Feature("no-bias", "no bias vector", "structure", {"bias": "none"}),
    Feature("projection", "h is a smaller P h", "structure", {"proj_size": 2}),
    Feature(
        "projection-stack",
        "projections in a stack of both directions",
        "structure",
        {"proj_size": 2, "num_layers": 2, **_BI},
    ),
    Feature("peepholes", "i and f see the cell before, o the cell now", "cell", {"peepholes": True}),
    # ONNX `clip` bounds what any activation reads: gate_clip for the gates, and the c that h reads, which is carried on
    # unbounded. No clip of the spec says the last: equal while |c| stays within the clip; onnxruntime leaves it out.
    Feature(
        "gate-clip", "pre-activations are bounded: ONNX `clip`, for cells within that bound", "cell", {"gate_clip": 1.0}
    ),
    Feature(
        "cell-clip", "the cell is bounded before it is read and carried on: TF1 `cell_clip`", "cell", {"cell_clip": 1.0}
    ),
    Feature("projection-clip", "the projected h is bounded", "cell", {"proj_size": 2, "proj_clip": 0.1}),
    Feature("forget-from-input", "f = 1 - i: ONNX `input_forget`", "cell", {"coupling": "f=1-i"}),
    Feature("input-from-forget", "i = 1 - f: CIFG of TFLite", "cell", {"coupling": "i=1-f"}),
    Feature(
        "hard-sigmoid-0.2",
        "gates are clip(0.2 z + 0.5, 0, 1): Keras 2, ONNX",
        "cell",
        {"gate_activation": HARD_SIGMOID_KERAS2},
    ),
    Feature(
        "hard-sigmoid-1.6th",
        "gates are clip(z / 6 + 0.5, 0, 1): Keras 3, PyTorch",
        "cell",
        {"gate_activation": HARD_SIGMOID_KERAS3},
    ),
    Feature(
        "relu", "candidate and output through relu", "cell", {"cell_activation": "relu", "output_activation": "relu"}
    ),
    Feature(
        "softsign",
        "candidate and output through softsign",
        "cell",
        {"cell_activation": "softsign", "output_activation": "softsign"},
    ),
    Feature(
        "linear-candidate",
        "candidate and output as they are",
        "cell",
        {"cell_activation": "linear", "output_activation": "linear"},
        {"init": "keras"},
    ),
    Feature(
        "two-activations", "the candidate through relu, the output through tanh", "cell", {"cell_activation": "relu"}
    ),
    Feature("given-states", "h0 and c0 are given", "states"),
    Feature("zero-states", "no initial state is given", "states", {}, {"states": False}),
    Feature("h0-only", "only h0 is given; c0 is zero", "states", {}, {"states": "h0"}),
    Feature("c0-only", "only c0 is given; h0 is zero", "states", {}, {"states": "c0"}),
    Feature("lengths", "rows of different lengths, padded on the right", "padding", {}, _RAGGED),
    Feature("lengths-stack", "lengths in a bidirectional stack", "padding", {**_BI, "num_layers": 2}, _RAGGED),
    Feature(
        "lengths-reverse",
        "lengths of a backward direction, which starts at the last valid step",
        "padding",
        {"reverse": True},
        _RAGGED,
    ),
    Feature("length-0", "a row of length 0 ends with h0 and c0", "padding", {}, {"ragged": "zero"}),
    Feature("left-mask", "padding on the left", "padding", {}, {"mask": "left"}),
    Feature("interior-mask", "holes between valid steps", "padding", {}, {"mask": "interior"}),
    Feature("interior-mask-both", "holes, read from both ends", "padding", _BI, {"mask": "interior"}),
    Feature("empty-row", "a row whose mask has no valid step", "padding", {}, {"mask": "empty"}),
    Feature(
        "held-outputs", "outputs at padding repeat the last valid one", "padding", {}, {**_RAGGED, "padding": "held"}
    ),
    Feature(
        "held-outputs-left-mask",
        "before the first valid step there is none to repeat, and outputs are zero",
        "padding",
        {},
        {"mask": "left", "padding": "held"},
    ),
    Feature("held-outputs-both", "the same of both directions", "padding", _BI, {**_RAGGED, "padding": "held"}),
    Feature("last-output", "the last output alone is asked for, too", "outputs", {}, {"returns": "last"}),
    Feature("last-output-both", "the last output of each direction", "outputs", _BI, {"returns": "last"}),
    Feature(
        "last-output-of-lengths",
        "the output of each row's last valid step",
        "outputs",
        {},
        {**_RAGGED, "returns": "last"},
    ),
    Feature("merge-sum", "both directions added", "outputs", _BI, {"merge": "sum"}),
    Feature("merge-mul", "both directions multiplied", "outputs", _BI, {"merge": "mul"}),
    Feature("merge-ave", "the mean of both directions", "outputs", _BI, {"merge": "ave"}),
    Feature("time-major", "the call takes steps first", "calls", {}, {"call": "time-major"}),
    Feature(
        "time-major-lengths", "the call takes steps first, with lengths", "calls", {}, {**_RAGGED, "call": "time-major"}
    ),
    Feature("unbatched", "the call takes one sequence without a batch", "calls", {}, {"call": "unbatched", "batch": 1}),
    Feature(
        "halves", "two calls, the second from the first one's states", "calls", {"num_layers": 2}, {"chunks": "halves"}
    ),
    Feature(
        "halves-of-lengths",
        "two calls, in the second of which some rows have ended",
        "calls",
        {},
        {**_RAGGED, "chunks": "halves", "seed": 7},
    ),
    Feature("single-steps", "one call for each step, with the states carried on", "calls", {}, {"chunks": "steps"}),
    Feature("rows-alone", "one call for each row", "calls", {}, {"chunks": "rows"}),
    Feature("twice", "the second of two equal calls of one object", "calls", {}, {"chunks": "twice"}),
    Feature(
        "after-another",
        "a call after one with another sequence",
        "calls",
        {},
        {"chunks": "after-another", "states": False},
    ),
    Feature("one-step", "a sequence of one step", "sizes", {}, {"steps": 1}),
    Feature("one-row", "a batch of one", "sizes", {}, {"batch": 1}),
    Feature("one-unit", "one hidden unit and one input", "sizes", {"input_size": 1, "hidden_size": 1}),
    Feature("long-sequence", "300 steps", "sizes", {}, {"steps": 300, "batch": 2}),
    Feature("wide-input", "1,000 inputs", "sizes", {"input_size": 1000}),
    Feature("many-units", "128 hidden units", "sizes", {"hidden_size": 128}, {"steps": 3, "batch": 2}),
    Feature(
        "many-rows-and-steps",
        "batch times steps beyond 65,536",
        "sizes",
        {"input_size": 1, "hidden_size": 1},
        {"batch": 700, "steps": 100},
    ),
    Feature("one-hot", "inputs that are rows of the unit matrix", "numbers", {}, {"one_hot": True}),
    Feature("saturated", "gates near 0 and 1", "numbers", {}, {"init": "saturated"}),
    Feature("chaotic", "weights that amplify every rounding", "numbers", {}, {"init": "chaotic"}),
    Feature("float64", "double precision", "numbers", {}, {"precision": "float64"}),
    Feature("float16", "half precision", "numbers", {}, {"precision": "float16"}),
    Feature("bfloat16", "the 16 bits with the range of float32", "numbers", {}, {"precision": "bfloat16"}),
    Feature("gradients", "gradients of weights, inputs and initial states", "gradients", {}, _GRADIENTS),
    Feature("gradients-stack", "gradients of a bidirectional stack", "gradients", {**_BI, "num_layers": 2}, _GRADIENTS),
    Feature(
        "gradients-of-lengths", "gradients with padding, which has none", "gradients", {}, {**_RAGGED, **_GRADIENTS}
    ),
    Feature(
        "gradients-float64", "gradients in double precision", "gradients", {}, {"precision": "float64", **_GRADIENTS}
    ),
)

_BY_NAME = {feature.name: feature for feature in FEATURES}


def feature_named(name: str) -> Feature:
    """A row by its name."""
    if name not in _BY_NAME:
        raise SpecError(f"unknown feature {name!r}; expected one of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
