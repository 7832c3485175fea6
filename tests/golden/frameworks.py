"""How many golden cases each adapter runs, and where a framework is wrong by itself."""

from __future__ import annotations

#: Number of golden cases that each adapter runs; the others are unsupported.
RUN = {
    "torch": 32, "torch-cell": 42, "torchscript": 32, "torch-autocast": 32, "torch-export": 27,
    "keras-torch": 52, "keras-jax": 52, "keras-tensorflow": 52, "keras-cell": 52, "tf-keras": 52,
    "jax": 76, "jax-export": 74, "flax-linen": 27, "flax-nnx": 27, "flax-nnx-optimized": 27, "equinox": 33, "haiku": 25,
    "onnxruntime": 59, "onnx-reference": 59, "onnx-openvino": 54, "tract": 49, "openvino": 45,
    "paddle": 24, "mlx": 33, "sonnet": 27, "tf1-cell": 33, "tf-block": 29,
    "torch-onnx-script": 32,
    # What compiles at each shape, without the two cases of a hundred steps; of torch-compile every third case.
    "tinygrad": 40, "litert": 23, "keras-litert": 50, "keras-onnx": 50, "torch-export-decomposed": 27, "torch-onnx": 27,
    "jax-onnx": 54, "torch-compile": 8,
}  # fmt: skip

_ACTIVATIONS = (
    "ort__activations_tst",
    "ort__activations_tst_bidir_batch3",
    "tfjs__bidir_backwards_fit_ave",
    "tfjs__bidir_backwards_fit_concat",
    "tfjs__ones_states",
    "tfjs__stateful_forward",
    "webnn__relu_1step",
    "webnn__relu_backward",
)
#: Cases of more steps are left out for adapters that compile at each shape: unrolled, they take minutes.
MOST_COMPILED_STEPS = 50
#: Of these only every so many cases are run: each shape takes seconds.
EVERY = {"torch-compile": 3}
#: Adapter -> reason -> golden cases in which its framework is wrong without a word. Each of them has to be wrong.
DIVERGENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "onnx-reference": {
        "onnx.reference computes sigmoid, tanh, tanh whatever `activations` says": (
            *_ACTIVATIONS,
            "ngraph__cell_hardsigmoid_out",
            "ort__lengths_partial_zero",
        ),
        "onnx.reference ignores `sequence_lens`": (
            "ort__lengths_all_zero",
            "ort__lengths_short_initial_nobias",
            "ort__lengths_short_middle",
            "ort__lengths_zero_middle",
            "ort__mixed_lengths_forward_21",
            "ort__mixed_lengths_reverse_12",
            "dl4j__lstmLayer_10",
            "dl4j__lstmLayer_12",
        ),
        "onnx.reference ignores `clip`": ("ort__large_batch_clip4",),
    },
    "onnx-openvino": {
        "OpenVINO's ONNX frontend ignores the peepholes P": (
            "dl4j__lstmLayer_10",
            "dl4j__lstmLayer_12",
            "ngraph__cell_bias_peephole",
            "onnx__lstm_with_peepholes",
            "ort__lengths_short_initial_nobias",
            "ort__nobias_peephole",
            "ort__peephole_bidirectional",
            "ort__peephole_reverse",
            "tfa__peephole_cell",
        ),
    },
    "litert": {
        "LiteRT's activations are up to 6 times as far off as float32 allows": ("keras__bidirectional_initial_state",),
    },
    "tract": {
        "tract computes sigmoid, tanh, tanh whatever `activations` says": (
            *_ACTIVATIONS,
            "ngraph__cell_hardsigmoid_out",
        ),
        "tract reads forward whatever `direction` says": (
            "dl4j__lstmLayer_3",
            "keras__go_backwards",
            "keras__initial_state_backwards",
            "ort__peephole_reverse",
            "ort__reverse_nopeephole",
            "ort__simple_reverse",
        ),
        "tract ignores `clip`": ("ort__large_batch_clip4",),
        "tract approximates tanh by a rational function": ("ort__simple_forward", "ort__training_forward"),
    },
}
