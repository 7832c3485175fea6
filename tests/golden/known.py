"""What is known of one corpus, file by file; another folder need have none of these files."""

from __future__ import annotations

from collections.abc import Mapping

from .corpus import golden_names

#: Golden cases and numbers without an equivalent `Case`.
INEXPRESSIBLE = {
    "litert__lstm_layernorm_peephole_projection": "option layer_norm: the spec has none",
    "litert__uniseq_layernorm_cifg_peephole": "option layer_norm: the spec has none",
    "tfa__layernorm_cell_2layer": "option layer_norm: the spec has none",
    "tfjs__bidir_backwards_fit_ave/predict_after": "training: a case is one run with fixed weights",
    "tfjs__bidir_backwards_fit_concat/predict_after": "training: a case is one run with fixed weights",
    "tfjs__bidir_mask_training/loss[1:]": "training: a case is one run with fixed weights",
    "tfjs__bptt_mask/loss": "training: a case is one run with fixed weights",
}

#: Indices of numbers that are wrong upstream.
#: y[t=1, reverse, b=0, unit 0] is -0.04350187, copied from a test with other activations; -0.04356322 is right.
KNOWN_BAD = {
    "ort__lengths_short_middle/y": [(1, 1, 0, 0)],
    "ort__lengths_zero_middle/y": [(1, 1, 0, 0)],
}
#: The case whose activations those numbers belong to.
OTHER_ACTIVATIONS = "ort__activations_tst_bidir_batch3"

#: Numbers that upstream printed too coarsely for 1e-6, and their significant digits: no others are allowed more.
ROUNDED = {
    "dl4j__lstmLayer_1/y": 5,
    "keras__stacked_cells_mask/y_last": 4,
    "ort__training_forward/c_n": 6,
    "ort__training_forward/c_all": 6,
    "tfjs__bidir_mask_training/loss[0]": 5,
    "tfjs__stateful_forward/y_last@call1": 3,
}

#: For each gate order of the corpus a case that distinguishes it from the 23 others. Cases of TensorFlow 1 have
#: constant weights and distinguish none; tests/layouts runs that framework.
WITNESSES = {
    "keras": "rtneural__lstm_1d",
    "onnx": "ort__simple_forward",
    "ngraph": "ngraph__cell_bias_peephole",
    "nd4j": "dl4j__lstmLayer_13",
}

#: How many files the corpus has that the tables describe completely.
FILES = 80


def present(*labels: str) -> bool:
    """Whether the files of these labels are in the folder."""
    return {label.partition("/")[0] for label in labels} <= set(golden_names())


def of_present(labels: Mapping[str, object]) -> list[str]:
    """The labels whose file is in the folder."""
    return [label for label in labels if present(label)]


def is_known_corpus() -> bool:
    """Whether the folder is the corpus that the tables describe, so that they must account for every file."""
    return len(golden_names()) == FILES and present(*INEXPRESSIBLE, *KNOWN_BAD, *ROUNDED, *WITNESSES.values())
