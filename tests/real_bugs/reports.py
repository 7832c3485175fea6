"""Mistakes from public reports: what users saw, and the name that the tool must give."""

from __future__ import annotations

from typing import Any, NamedTuple


class Report(NamedTuple):
    """A report.

    Attributes:
        source: owner/repository#number, or a forum's number.
        seen: what users saw.
        bug: the switch of the kernel.
        name: the id of the mistake in the catalogue.
        spec: of the user's weights.
    """

    source: str
    seen: str
    language: str
    bug: str
    name: str
    spec: dict[str, Any] = {}  # noqa: RUF012 - never changed


_BOTH = {"bidirectional": True}
_REVERSE = {"reverse": True}
_ONE = {"bias": "single"}

REPORTS = (
    Report("apple/coremltools#93", "documented gate order is not that of the code", "c", "i-f-o-g", "gates-ifog"),
    Report(
        "elizaOS/eliza#9501",
        "error rate 0.79 after a port that passed a small parity suite",
        "c",
        "i-g-f-o",
        "gates-igfo",
    ),
    Report("ooples/AiDotNet.Tensors#907", "gates f, i, g, o in the forward pass only", "c", "f-i-g-o", "gates-figo"),
    Report("community.konduit.ai/124", "an imported Keras layer looks wrong", "c", "c-f-o-i", "gates-ofig"),
    Report("magenta/magenta#1015", "biases of a cuDNN layer in the wrong order", "c", "bias-order", "gates-igfo-b"),
    Report("stackoverflow 49759614", "NumPy is 10 % off Keras", "c", "hard-gates", "hard-sigmoid-keras2", _ONE),
    Report(
        "stackoverflow 48361376",
        "four tensors of PyTorch, three of Keras",
        "c",
        "second-bias-left-out",
        "bias-hh-dropped",
    ),
    Report(
        "soumith/cudnn.torch#181", "eight biases for four; they were averaged", "c", "biases-averaged", "bias-averaged"
    ),
    Report(
        "tensorflow/tensorflow#1326",
        "the forget bias is hard-wired to 1",
        "c",
        "forget-bias-added",
        "bias-plus-1-f",
        _ONE,
    ),
    Report(
        "keras-team/keras#10179",
        "weights of TF 1 differ in Keras; the 1 that it adds is not stored",
        "c",
        "forget-bias-not-folded",
        "bias-minus-1-f",
        _ONE,
    ),
    Report("NVIDIA/TensorRT#371", "step 0 is right, then errors grow", "c", "u-transposed", "u-transposed"),
    Report(
        "NVIDIA/TensorRT#2492",
        "the forward half is right, the backward half wrong",
        "c",
        "never-backward",
        "both-forward",
        _BOTH,
    ),
    Report(
        "onnx/onnx#2881",
        "go_backwards gives op3 op2 op1, reverse gives op1 op2 op3",
        "c",
        "not-flipped-back",
        "output-reversed",
        _REVERSE,
    ),
    Report(
        "onnx/onnx-tensorflow#342",
        "reverse with lengths starts at the padded end",
        "c",
        "from-the-padded-end",
        "lengths-as-left-padding",
        _REVERSE,
    ),
    Report("onnx/onnx-tensorflow#408", "initial_h without initial_c is wrong", "c", "no-initial-c", "c0-ignored"),
    Report("microsoft/nni#2842", "hidden and cell state in the wrong order", "c", "c-before-h", "h0-c0-exchanged"),
    Report("google/flax#5469", "the carry is (c, h), not (h, c)", "c", "returns-c-h", "h-c-exchanged"),
    Report("tensorflow/tflite-micro#3564", "the state is wiped between calls", "c", "states-wiped", "states-ignored"),
    Report(
        "livekit/agents-js#944",
        "the carried state is never updated",
        "c",
        "states-never-written",
        "final-states-never-written",
    ),
    Report(
        "livekit/agents#4437", "context of an earlier call is still there", "c", "never-reset", "states-carried-over"
    ),
    Report("onnx/keras-onnx#400", "masking was converted without lengths", "c", "lengths-left-out", "lengths-ignored"),
    Report(
        "microsoft/onnxruntime#12492", "masked steps repeat the last output", "c", "padding-repeats", "padding-held"
    ),
    Report(
        "mravanelli/pytorch-kaldi#240",
        "both directions share weights; seen by counting them",
        "c",
        "one-cell-for-both",
        "forward-weights-twice",
        _BOTH,
    ),
    Report(
        "sonos/tract#2751",
        "activations are ignored",
        "c",
        "activations-left-out",
        "activation-tanh",
        {"cell_activation": "relu", "output_activation": "relu"},
    ),
    Report(
        "sonos/tract#2751 (clip)", "clip is ignored", "c", "clips-left-out", "gate-clip-omitted", {"gate_clip": 0.7}
    ),
    Report(
        "sonos/tract#2751 (input_forget)",
        "input_forget is ignored",
        "c",
        "coupling-left-out",
        "coupling-omitted",
        {"coupling": "f=1-i"},
    ),
    Report("tracel-ai/burn#2701", "the gates are in another order", "node", "g-f-o-i", "gates-ofig"),
    Report("CrispASR#102", "a ported speech model answers nonsense", "node", "i-o-f-g", "gates-igof"),
    Report(
        "Le-Xiaohuai-speech/DPCRN_DNS3#14",
        "trained with sigmoid, run with hard sigmoid",
        "node",
        "hard-gates",
        "hard-sigmoid-keras3",
    ),
    Report("tracel-ai/burn#1632", "the second bias is missing", "node", "second-bias-left-out", "bias-hh-dropped"),
    Report(
        "tensorflow/tensorflow#29622",
        "a kernel [x; h] of TF 1 loads, results differ",
        "node",
        "joined-cut-wrong",
        "stacked-x-h",
    ),
    Report(
        "microsoft/onnxruntime#15465", "dynamic quantisation changes the outputs", "node", "eight-bits", "kernels-int8"
    ),
    Report("discuss.pytorch.org 110741", "is tanh a step of its own?", "node", "no-output-tanh", "output-linear"),
    Report(
        "closeheat/pytorch-lstm-text-generation-tutorial#3",
        "batch-first data, no error, sequences mixed",
        "python",
        "batch_first_forgotten",
        "batch-time-exchanged",
    ),
    Report(
        "ARM-software/CMSIS-NN#219", "wrong stride of the state", "python", "states_by_view", "states-viewed", _BOTH
    ),
    Report(
        "pytorch/pytorch#3587",
        "where is the final state of the backward direction?",
        "python",
        "final_state_by_position",
        "backward-state-at-last-time",
        _BOTH,
    ),
    Report(
        "PINTO0309/onnx2tf#287",
        "the output of the reverse half must be flipped",
        "python",
        "backward_half_not_flipped",
        "backward-not-reversed-back",
        _BOTH,
    ),
    Report(
        "onnx/tensorflow-onnx#1264",
        "state variables of several LSTMs are mixed up",
        "python",
        "layers_mixed_up",
        "initial-layers",
        {"num_layers": 2},
    ),
    Report(
        "onnx/onnx-tensorflow#409",
        "bidirectional with initial states is wrong",
        "python",
        "states_by_direction_first",
        "initial-direction-major",
        {"num_layers": 2, "bidirectional": True},
    ),
    Report("keras-team/keras#14992", "one backend returns zero", "python", "all_zeros", "nothing-written"),
    Report("wvabrinskas/Neuron#181", "dc/di has i for g", "c", "input-by-i", "gradient-input-by-i"),
    Report("wvabrinskas/Neuron#181", "1 - tanh(tanh x)^2", "c", "tanh-twice", "gradient-slope-tanh-of-value-both-tanh"),
    Report("wvabrinskas/Neuron#181", "dU with the new h", "c", "u-with-new-h", "gradient-u-by-new-h"),
    Report(
        "ooples/AiDotNet.Tensors#907",
        "f, i, g, o in backward only",
        "c",
        "backward-f-i-g-o",
        "gradient-pass-gates-figo",
    ),
    Report("axon#646", "gradients are four times too large", "c", "four-times", "gradient-times-4"),
)
