"""LSTMSpec: error sentences, derived sizes and parameter counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lstm_xcheck.errors import SpecError, UserError
from lstm_xcheck.layouts import count_parameters
from lstm_xcheck.model import LSTMSpec
from lstm_xcheck.model.activations import HARD_SIGMOID_KERAS2, HARD_SIGMOID_KERAS3, Activation
from lstm_xcheck.model.spec import Bias

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "input-0": ({"input_size": 0}, "input_size is 0, but should be a positive whole number"),
    "input-negative": ({"input_size": -1}, "input_size is -1, but should be a positive whole number"),
    "input-float": ({"input_size": 2.0}, "input_size is 2.0, but should be a positive whole number"),
    "input-bool": ({"input_size": True}, "input_size is True, but should be a positive whole number"),
    "hidden-0": ({"hidden_size": 0}, "hidden_size is 0, but should be a positive whole number"),
    "layers-0": ({"num_layers": 0}, "num_layers is 0, but should be a positive whole number"),
    "proj-negative": ({"proj_size": -1}, "proj_size is -1, but should be a whole number, 0 or more"),
    "proj-as-wide-as-hidden": (
        {"proj_size": 4},
        "proj_size is 4, but should be smaller than hidden_size=4 (0 means no projection)",
    ),
    "bias": ({"bias": "two"}, "bias is 'two', but should be one of ('split', 'single', 'none')"),
    "coupling": ({"coupling": "f=i"}, "coupling is 'f=i', but should be one of (None, 'f=1-i', 'i=1-f')"),
    "reverse-and-bidirectional": (
        {"reverse": True, "bidirectional": True},
        "reverse=True describes a single direction, but bidirectional=True already has both",
    ),
    "proj-clip-alone": (
        {"proj_clip": 1.0},
        "proj_clip is 1.0, but there is no projection to clip (proj_size=0)",
    ),
    "gate-clip-0": ({"gate_clip": 0.0}, "gate_clip is 0.0, but should be a positive number or None"),
    "gate-clip-nan": ({"gate_clip": float("nan")}, "gate_clip is nan, but should be a positive number or None"),
    "cell-clip-negative": ({"cell_clip": -3.0}, "cell_clip is -3.0, but should be a positive number or None"),
    "activation": (
        {"gate_activation": "sigmiod"},
        "unknown activation 'sigmiod'; expected sigmoid, tanh, ",
    ),
    "hard-sigmoid-without-numbers": (
        {"cell_activation": "hard_sigmoid"},
        "unknown activation 'hard_sigmoid'; expected sigmoid, tanh, ",
    ),
    "hard-sigmoid-of-three": ({"output_activation": "hard_sigmoid:1,2,3"}, "unknown activation 'hard_sigmoid:1,2,3'"),
    "hard-sigmoid-flat": ({"output_activation": "hard_sigmoid:0,0.5"}, "unknown activation 'hard_sigmoid:0,0.5'"),
    "hard-sigmoid-nan": ({"output_activation": "hard_sigmoid:0.2,nan"}, "unknown activation 'hard_sigmoid:0.2,nan'"),
}


@pytest.mark.parametrize(("options", "sentence"), REFUSED.values(), ids=REFUSED)
def test_impossible_specs_are_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as refusal:
        LSTMSpec(**{"input_size": 3, "hidden_size": 4, **options})
    assert str(refusal.value).startswith(sentence)
    assert "\n" not in str(refusal.value)


def test_a_spec_error_is_a_user_error_and_a_value_error() -> None:
    assert issubclass(SpecError, UserError)
    assert issubclass(SpecError, ValueError)


COUNTS = {
    "1x1-single": (LSTMSpec(1, 1, bias="single"), 12),
    "1x1-split": (LSTMSpec(1, 1), 16),
    "1x1-none": (LSTMSpec(1, 1, bias="none"), 8),
    "2308x32-single": (LSTMSpec(2308, 32, bias="single"), 299648),
    "2308x32-split": (LSTMSpec(2308, 32), 299776),
    "two-layers": (LSTMSpec(3, 4, num_layers=2, bias="single"), 4 * (7 * 4 + 4) + 4 * (8 * 4 + 4)),
    "bidirectional-two-layers": (
        LSTMSpec(3, 4, num_layers=2, bidirectional=True, bias="single"),
        2 * 4 * (7 * 4 + 4) + 2 * 4 * (12 * 4 + 4),
    ),
    "projected": (LSTMSpec(3, 4, proj_size=2, bias="single"), 4 * (5 * 4 + 4) + 2 * 4),
    "peepholes": (LSTMSpec(3, 4, peepholes=True, bias="single"), 4 * (7 * 4 + 4) + 3 * 4),
}


@pytest.mark.parametrize(("spec", "count"), COUNTS.values(), ids=COUNTS)
def test_parameter_counts(spec: LSTMSpec, count: int) -> None:
    assert spec.parameter_count == count


@pytest.mark.parametrize("bias", ["split", "single", "none"])
def test_the_canonical_count_has_one_bias(bias: Bias) -> None:
    spec = LSTMSpec(2308, 32, bias=bias)
    assert spec.canonical_count == (299520 if bias == "none" else 299648)


@pytest.mark.parametrize(
    ("layout", "size", "total", "explanation"),
    [
        ("keras", (1, 1), 12, "12 = 4((1+1)*1+1), the canonical count"),
        ("torch", (1, 1), 16, "16 = canonical 12 + 4, a second bias of 4h = 4 for each of 1 layer and direction"),
        ("keras", (2308, 32), 299648, "299648 = 4((2308+32)*32+32), the canonical count"),
        (
            "torch",
            (2308, 32),
            299776,
            "299776 = canonical 299648 + 128, a second bias of 4h = 128 for each of 1 layer and direction",
        ),
    ],
)
def test_counts_by_layout_are_explained(layout: str, size: tuple[int, int], total: int, explanation: str) -> None:
    count = count_parameters(LSTMSpec(*size), layout=layout)
    assert (count.total, count.explanation) == (total, explanation)
    assert sum(count.by_tensor.values()) == total


def test_sizes_of_a_projected_bidirectional_stack() -> None:
    spec = LSTMSpec(3, 5, num_layers=2, bidirectional=True, proj_size=2)
    assert (spec.num_directions, spec.output_size) == (2, 2)
    assert [spec.layer_input_size(layer) for layer in (0, 1)] == [3, 4]
    assert spec.layer(1) == LSTMSpec(4, 5, bidirectional=True, proj_size=2)


def test_directions() -> None:
    assert not LSTMSpec(1, 1).is_backward(0)
    assert LSTMSpec(1, 1, reverse=True).is_backward(0)
    assert [LSTMSpec(1, 1, bidirectional=True).is_backward(direction) for direction in (0, 1)] == [False, True]


@pytest.mark.parametrize(
    "options",
    [
        {"peepholes": True},
        {"gate_activation": HARD_SIGMOID_KERAS2},
        {"cell_activation": "relu"},
        {"output_activation": "linear"},
        {"gate_clip": 1.0},
        {"cell_clip": 1.0},
        {"coupling": "f=1-i"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_only_the_textbook_lstm_is_plain(options: dict[str, Any]) -> None:
    plain = LSTMSpec(3, 4, 2, bias="single", proj_size=2, reverse=True)
    assert plain.is_plain
    assert not replace(plain, **options).is_plain


def test_no_projection_may_be_written_as_none() -> None:
    assert LSTMSpec(3, 4, proj_size=None) == LSTMSpec(3, 4)  # type: ignore[arg-type]


def test_to_dict_survives_json() -> None:
    spec = LSTMSpec(3, 4, 2, bidirectional=True, bias="single", cell_clip=3.0, coupling="i=1-f")
    assert LSTMSpec(**json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_two_hard_sigmoids_differ() -> None:
    keras2, keras3 = Activation.parse(HARD_SIGMOID_KERAS2), Activation.parse(HARD_SIGMOID_KERAS3)
    assert (keras2.alpha, keras2.beta) == (0.2, 0.5)
    assert (keras3.alpha, keras3.beta) == (1 / 6, 0.5)
