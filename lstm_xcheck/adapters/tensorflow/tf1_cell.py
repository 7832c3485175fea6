"""TensorFlow 1's `BasicLSTMCell` and `LSTMCell`, in a graph and a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from ...arrays import Array, to_numpy
from ...layouts import gradients_from_layout, layout_named
from ...layouts.naming import tensor_names
from ...model import Case, LSTMSpec, Result, cotangents
from ..case_arrays import explicit_states
from ..layers import StackTensors, stack_result
from .directions import require_names

tf1: Any = tf.compat.v1

_ACTIVATIONS = {"tanh": tf.tanh, "relu": tf.nn.relu, "softsign": tf.nn.softsign, "sigmoid": tf.sigmoid}


@dataclass
class CellGraph:
    """A graph for any batch and steps, and its session.

    Attributes:
        inputs: placeholders of x, h0, c0, as a case has them.
        lengths: placeholder of the valid steps.
        outputs: of every layer, and the final states.
        variables: by the layout's names.
        vectors: placeholders of the cotangents, in a graph with gradients.
        gradients: of the variables and of the inputs, likewise.
        backward: the same graph with gradients, which no graph can get once it has run.
    """

    session: Any
    inputs: list[Any]
    lengths: Any
    outputs: StackTensors
    variables: dict[str, Any]
    vectors: list[Any] = field(default_factory=list)
    gradients: list[Any] = field(default_factory=list)
    backward: CellGraph | None = None


class TF1Cell:
    """`dynamic_rnn` and `bidirectional_dynamic_rnn`, layer after layer, with `sequence_length`.

    Layout `tf1`. In TensorFlow 2.21 the cells are those of tf_keras 2.21, tf_keras/src/layers/rnn/legacy_cells.py. The
    textbook LSTM runs in `BasicLSTMCell`, all else in `LSTMCell`. `dynamic_rnn` itself puts zeros at padding.
    """

    layout = "tf1"

    def __init__(self, name: str) -> None:
        self.name = name
        tf.get_logger().setLevel("ERROR")  # every call would warn that it is deprecated

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"tensorflow": tf.__version__, "tf-keras": version("tf-keras")}

    def unsupported(self, case: Case) -> str | None:
        """Masks with holes, a backward direction alone, and what the cells have not."""
        spec = case.spec
        if case.mask is not None:
            return "mask: dynamic_rnn knows lengths (sequence_length) but no mask with holes"
        if spec.reverse:
            return "reverse: dynamic_rnn reads forward; bidirectional_dynamic_rnn has both directions"
        if spec.bias == "none":
            return "bias: the cells of TensorFlow 1 always have one"
        if spec.gate_clip is not None or spec.coupling:
            return "gate clip or coupled gates: the cells of TensorFlow 1 have none"
        activation = spec.cell_activation
        if spec.gate_activation != "sigmoid" or activation != spec.output_activation or activation not in _ACTIVATIONS:
            return (
                "activations: the cells of TensorFlow 1 have sigmoid gates and one `activation` for the candidate and "
                f"the cell, here one of {', '.join(_ACTIVATIONS)}"
            )
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the variables."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> CellGraph:
        """A graph of its own for each spec."""
        with tf.Graph().as_default():
            return _graph(spec, tf.as_dtype(precision), self.layout)

    def load(self, model: CellGraph, arrays: Mapping[str, Array]) -> None:
        """Load with `Variable.load`, which refuses other shapes."""
        require_names(arrays, model.variables)
        with model.session.graph.as_default():
            for name, variable in model.variables.items():
                variable.load(_as(arrays[name], variable), model.session)

    def read_back(self, model: CellGraph) -> dict[str, Array]:
        """Read the variables in the session."""
        return {name: to_numpy(array) for name, array in model.session.run(model.variables).items()}

    def count_parameters(self, model: CellGraph) -> int:
        """Sum of the sizes of the graph's trainable variables."""
        variables = model.session.graph.get_collection(tf1.GraphKeys.TRAINABLE_VARIABLES)
        return sum(int(np.prod(variable.shape)) for variable in variables)

    def run(self, model: CellGraph, case: Case) -> Result:
        """Run the graph."""
        return stack_result(model.session.run(model.outputs, _feed(model, case)), case, to_numpy)

    def run_with_gradients(self, model: CellGraph, case: Case) -> Result:
        """Differentiate the graph with `tf.gradients`."""
        if model.backward is None:
            model.backward = self.build(case.spec, case.precision)
            _add_gradients(model.backward)
        self.load(model.backward, self.read_back(model))
        model = model.backward
        feed = _feed(model, case)
        feed.update((vector, _as(array, vector)) for vector, array in zip(model.vectors, cotangents(case), strict=True))
        outputs, found = model.session.run((model.outputs, model.gradients), feed)
        arrays = [to_numpy(gradient) for gradient in found]
        gradients = gradients_from_layout(dict(zip(model.variables, arrays, strict=False)), self.layout)
        gradients.update(zip(("x", "h0", "c0"), arrays[-3:], strict=True))
        return replace(stack_result(outputs, case, to_numpy), gradients=gradients)


def _graph(spec: LSTMSpec, dtype: Any, layout: str) -> CellGraph:
    rows = spec.num_layers * spec.num_directions
    x = tf1.placeholder(dtype, [None, None, spec.input_size])
    h0 = tf1.placeholder(dtype, [rows, None, spec.output_size])
    c0 = tf1.placeholder(dtype, [rows, None, spec.hidden_size])
    lengths = tf1.placeholder(tf.int32, [None])
    cells = [_cell(spec, dtype) for _ in range(rows)]
    initial = [tf1.nn.rnn_cell.LSTMStateTuple(c0[row], h0[row]) for row in range(rows)]
    outputs = StackTensors([], [], [])
    below = x
    for layer in range(spec.num_layers):
        own = slice(layer * spec.num_directions, (layer + 1) * spec.num_directions)
        run = tf1.nn.bidirectional_dynamic_rnn if spec.bidirectional else tf1.nn.dynamic_rnn
        y, finals = run(*cells[own], below, lengths, *initial[own], scope=f"layer_{layer}")
        below = tf.concat(y, axis=-1) if spec.bidirectional else y
        outputs.layers.append(below)
        for state in finals if spec.bidirectional else [finals]:
            outputs.h_n.append(state.h)
            outputs.c_n.append(state.c)
    variables = {
        name: variable for row, cell in enumerate(cells) for name, variable in _named(cell, row, spec, layout).items()
    }
    # One thread: the sessions of others keep their own pools.
    session = tf1.Session(config=tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))
    return CellGraph(session, [x, h0, c0], lengths, outputs, variables)


def _add_gradients(model: CellGraph) -> None:
    with model.session.graph.as_default():
        found = model.outputs
        targets = [found.layers[-1], tf.stack(found.h_n), tf.stack(found.c_n)]
        model.vectors = [tf1.placeholder(target.dtype, target.shape) for target in targets]
        sources = [*model.variables.values(), *model.inputs]
        model.gradients = tf1.gradients(targets, sources, grad_ys=model.vectors)


def _cell(spec: LSTMSpec, dtype: Any) -> Any:
    options = {"activation": _ACTIVATIONS[spec.cell_activation], "dtype": dtype, "name": "lstm"}
    if spec.peepholes or spec.proj_size or spec.cell_clip is not None:
        return tf1.nn.rnn_cell.LSTMCell(
            spec.hidden_size,
            use_peepholes=spec.peepholes,
            cell_clip=spec.cell_clip,
            num_proj=spec.proj_size or None,
            proj_clip=spec.proj_clip,
            **options,
        )
    return tf1.nn.rnn_cell.BasicLSTMCell(spec.hidden_size, **options)


def _named(cell: Any, row: int, spec: LSTMSpec, layout: str) -> dict[str, Any]:
    """A cell's variables, such as `layer_0/fw/lstm/kernel:0`, under the layout's names."""
    stored = layout_named(layout)
    kernel = tensor_names(
        stored, stored.tensors[0], *divmod(row, spec.num_directions), spec.num_layers, spec.num_directions
    )[0]
    own = {variable.name.partition("/lstm/")[2].partition(":")[0]: variable for variable in cell.weights}
    return {kernel.removesuffix("kernel") + name: variable for name, variable in own.items()}


def _feed(model: CellGraph, case: Case) -> dict[Any, Array]:
    arrays = dict(zip(model.inputs, (case.x, *explicit_states(case)), strict=True))
    return {model.lengths: case.valid.sum(axis=1), **{tensor: _as(array, tensor) for tensor, array in arrays.items()}}


def _as(array: Array, tensor: Any) -> Array:
    """The array in a tensor's type; TensorFlow has a NumPy type for bfloat16."""
    return np.asarray(array, tensor.dtype.base_dtype.as_numpy_dtype)
