"""Writes other layers as operators of an ONNX graph.

A line takes int64 `ids` (batch, steps), or `X` (batch, steps, input), and gives `Y`. Data is turned where an operator
wants its axes in another order.
Source: ONNX operators Gather, MatMul, Add, BatchNormalization, LayerNormalization, Flatten, since 14 and 22;
onnxruntime 1.32.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import DisagreementError
from ...layouts.other_layers import OTHER_LAYERS
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import chain_of
from ..other_layers.model import Layer, OtherLayers, plain_name
from ..other_layers.store import to_framework
from ..topology import Step
from .functions import MERGES, POOLING, operator_of
from .graph_builder import Graph, value

#: Keras layers that do nothing outside training.
SILENT = ("Dropout", "SpatialDropout1D", "GaussianNoise", "ActivityRegularization")
#: LayerNormalization came with this operator set.
_NORMALISES = 17


@dataclass(frozen=True)
class _Data:
    """Data between two layers: name, axes and width."""

    name: str
    axes: tuple[str, ...]
    width: int

    def transposed(self, graph: Graph, axes: tuple[str, ...]) -> _Data:
        """The same with its axes in another order."""
        if axes == self.axes:
            return self
        perm = [self.axes.index(axis) for axis in axes]
        name = graph.add("Transpose", [self.name], f"{self.name}.{''.join(axis[0] for axis in axes)}", perm=perm)
        return replace(self, name=name, axes=axes)


#: Layers that are nothing but an activation, and the settings with which they are.
_PLAIN: dict[str, dict[str, tuple[Any, ...]]] = {
    "ReLU": {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)},
    "Softmax": {"axis": (-1,)},
}
_STEPS = ("batch", "steps", "features")
_ROWS = ("batch", "features")
_IDS = ("batch", "steps")


def add_line(graph: Graph, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
    """The whole model as one line of layers.

    Raises:
        DisagreementError: for what no operator says, by name.
        CheckpointError: for an LSTM that the operator cannot say, and names that meet.
    """
    layers = {layer.name: layer for layer in other_layers.layers}
    steps = [step for step in other_layers.chain if step.kind != "input"]
    _refuse(graph, steps, layers, lstms)
    first = next(step for step in steps if step.kind != "plain")
    data = _given(graph, lstms.get(first.name) or layers[first.name], "", _steps_of(other_layers.chain))
    dtype = next(iter(lstms.values())).dtype
    for step in steps:
        if step.name in lstms:
            data = _lstm(graph, step, lstms[step.name], data)
        elif step.name in layers:
            data = _layer(graph, layers[step.name], data)
        else:
            data = _plain(graph, step, data)
    data = data.transposed(graph, _STEPS) if len(data.axes) == 3 else data
    graph.outputs.append(_end(graph, data, "Y", dtype))


def add_single(graph: Graph, layer: Layer) -> None:
    """One layer with an input and an output of its own.

    Raises:
        DisagreementError: for what no operator says, by name.
        CheckpointError: for names that meet.
    """
    name = plain_name(layer.name)
    _refuse(graph, [Step(layer.kind, layer.name)], {layer.name: layer}, {})
    data = _layer(graph, layer, _given(graph, layer, f"{name}."))
    graph.outputs.append(_end(graph, data, f"{name}.Y", layer.dtype))


def _refuse(
    graph: Graph, steps: list[Step], layers: Mapping[str, Layer], lstms: Mapping[str, LSTMWeights]
) -> None:  # fmt: skip
    """Refuses all that no operator says, in one sentence."""
    unsupported = []
    for step in steps:
        layer, lstm = layers.get(step.name), lstms.get(step.name)
        if lstm:
            flipped = lstm.spec.reverse and step.attributes.get("return_sequences", False)
            why = "an LSTM that reads backward and gives its steps in that order" if flipped else ""
        else:
            why = _why_no_layer(graph, layer) if layer else _why_no_step(step)
        unsupported += [f"{step.name} ({why})"] if why else []
    if unsupported:
        raise DisagreementError(
            f"ONNX of operator set {graph.opset} has no {'; no '.join(escape(text, 200) for text in unsupported)}; "
            "add --lstm-only to leave all layers but the LSTMs out"
        )
    types = {step.name: (layers.get(step.name) or lstms[step.name]).dtype for step in steps if step.kind != "plain"}
    if len(set(types.values())) > 1:
        listed = ", ".join(f"{escape(name)} {dtype}" for name, dtype in types.items())
        raise DisagreementError(
            f"one line of ONNX operators has one type, but these differ: {listed}; convert them first"
        )


def _why_no_layer(graph: Graph, layer: Layer) -> str:
    """What of a layer has no operator."""
    activation = layer.attributes.get("activation") or "linear"
    if layer.kind == "layer_norm" and graph.opset < _NORMALISES:
        return "LayerNormalization came with operator set 17: write it with --to onnx-22"
    known = activation == "linear" or operator_of(activation) is not None
    return "" if known else f"activation {activation if isinstance(activation, str) else 'of its own'}"


def _why_no_step(step: Step) -> str:
    """What of a layer without weights has no operator."""
    class_name, config = str(step.attributes["class_name"]), step.attributes["config"]
    known = class_name in (*SILENT, "Flatten", *POOLING) or _activation(step) is not None
    usual = config.get("data_format") in (None, "channels_last") and not config.get("keepdims")
    return "" if known and usual else class_name


def _activation(step: Step) -> tuple[str, dict[str, Any]] | None:
    """The operator of a Keras activation layer; `Identity` if linear."""
    config = step.attributes["config"]
    if step.attributes["class_name"] == "Activation":
        linear = config.get("activation") == "linear"
        return ("Identity", {}) if linear else operator_of(config.get("activation"))
    plain = _PLAIN.get(step.attributes["class_name"])
    if plain is None or any(config.get(key, allowed[0]) not in allowed for key, allowed in plain.items()):
        return None
    return operator_of(step.attributes["class_name"].lower())


def _steps_of(chain: Sequence[Step]) -> int | str:
    """The fixed number of steps of a model, if any."""
    shape = next((step.attributes.get("batch_shape") for step in chain if step.kind == "input"), None)
    fixed = isinstance(shape, list) and len(shape) > 1 and isinstance(shape[1], int)
    return int(shape[1]) if fixed and shape else "steps"


def _given(graph: Graph, first: LSTMWeights | Layer, prefix: str, steps: int | str = "steps") -> _Data:
    """What a line takes."""
    if isinstance(first, Layer) and first.kind == "embedding":
        graph.inputs.append(value(f"{prefix}ids", "int64", ["batch", steps]))
        return _Data(f"{prefix}ids", _IDS, 0)
    if isinstance(first, LSTMWeights):
        width = first.spec.input_size
    else:
        width = next(array.shape[0] for array in first.arrays.values() if array.shape)
    axes = _ROWS if prefix and not (isinstance(first, Layer) and first.attributes.get("time_distributed")) else _STEPS
    shape = [{"steps": steps}.get(axis, axis) for axis in axes[:-1]]
    graph.inputs.append(value(f"{prefix}X", first.dtype, [*shape, width]))
    return _Data(f"{prefix}X", axes, width)


def _end(graph: Graph, data: _Data, name: str, dtype: str) -> Any:
    graph.add("Identity", [data.name], name)
    width = data.width if data.width > 0 else f"{name}.width"
    return value(name, dtype, [*data.axes[:-1], width])


def _lstm(graph: Graph, step: Step, weights: LSTMWeights, data: _Data) -> _Data:
    """Adds a stack of LSTMs; only the last may drop steps."""
    chain = chain_of({step.name: weights})
    last = list(chain)[-1]
    for label, layer in chain.items():
        attributes = step.attributes if label == last else {}
        data = data.transposed(graph, ("steps", "batch", "features"))
        graph.lstm(label, layer, data.name, f"{label}.")
        data = _output(graph, label, layer, attributes)
    return data


def _output(graph: Graph, name: str, weights: LSTMWeights, attributes: Mapping[str, Any]) -> _Data:
    """An LSTM's output as Keras gives it: steps and directions merged."""
    spec, merge = weights.spec, attributes.get("merge_mode", "concat")
    every = attributes.get("return_sequences", True)
    width = spec.hidden_size * (spec.num_directions if merge == "concat" else 1)
    if spec.bidirectional and merge != "concat":
        source, axis = (f"{name}.Y", 1) if every else (f"{name}.Y_h", 0)
        merged = graph.reduce(MERGES[merge], source, axis, f"{name}.out")
        return _Data(merged, ("steps", "batch", "features") if every else _ROWS, width)
    if every:
        return _Data(graph.joined(name), ("steps", "batch", "features"), width)
    transposed = graph.add("Transpose", [f"{name}.Y_h"], f"{name}.turned", perm=[1, 0, 2])
    out = graph.add("Reshape", [transposed, graph.numbers("joined_last", [0, -1])], f"{name}.out")
    return _Data(out, _ROWS, width)


def _layer(graph: Graph, layer: Layer, data: _Data) -> _Data:
    name, kind = plain_name(layer.name), layer.kind
    laid = to_framework(layer, "onnx")
    template = [graph.weights(f"{name}.{own}", array, dtype) for own, (array, dtype) in laid.arrays.items()]
    if kind == "embedding":
        out = graph.add("Gather", [template[0], data.name], f"{name}.out", name=name)
        return _Data(out, (*data.axes, "features"), layer.arrays["table"].shape[1])
    if kind == "dense":
        out = graph.add("MatMul", [data.name, template[0]], f"{name}.product", name=name)
        if len(template) > 1:
            out = graph.add("Add", [out, template[1]], f"{name}.out", name=f"{name}.add")
        return _activated(graph, layer, _Data(out, data.axes, layer.arrays["kernel"].shape[1]))
    epsilon = layer.attributes.get("epsilon", OTHER_LAYERS[layer.family][kind].epsilon)
    others = tuple(axis for axis in data.axes if axis != "features")
    if kind == "batch_norm":  # works along axis 1
        data = data.transposed(graph, (others[0], "features", *others[1:]))
        out = graph.add("BatchNormalization", [data.name, *template], f"{name}.out", name=name, epsilon=epsilon)
    else:
        data = data.transposed(graph, (*others, "features"))
        out = graph.add(
            "LayerNormalization", [data.name, *template], f"{name}.out", name=name, axis=-1, epsilon=epsilon
        )
    return replace(data, name=out).transposed(graph, (*others, "features"))


def _activated(graph: Graph, layer: Layer, data: _Data) -> _Data:
    operator = operator_of(layer.attributes.get("activation"))
    if operator is None:
        return data
    return replace(data, name=graph.add(operator[0], [data.name], f"{plain_name(layer.name)}.active", **operator[1]))


def _plain(graph: Graph, step: Step, data: _Data) -> _Data:
    class_name, out = step.attributes["class_name"], f"{step.name}.out"
    if class_name in SILENT:
        return data
    if class_name == "Flatten":
        data = data.transposed(graph, _STEPS) if len(data.axes) == 3 else data
        return _Data(graph.add("Flatten", [data.name], out, name=step.name, axis=1), _ROWS, 0)
    if class_name in POOLING:
        data = data.transposed(graph, _STEPS)
        return _Data(graph.reduce(POOLING[class_name], data.name, 1, out), _ROWS, data.width)
    operator, attributes = _activation(step) or ("Identity", {})
    return replace(data, name=graph.add(operator, [data.name], out, name=step.name, **attributes))
