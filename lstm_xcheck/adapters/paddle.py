"""PaddlePaddle's `paddle.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import paddle

from ..arrays import Array
from ..errors import SpecError
from ..layouts import gradients_from_layout
from ..model import Case, LSTMSpec, Result, cotangents
from .case_arrays import explicit_states, last_output
from .protocol import plain_function_only


class PaddleLSTM:
    """`paddle.nn.LSTM` of paddlepaddle 3.3.1, batch first, with its own `sequence_length`.

    Without a projection one kernel runs the whole stack, and y is 0 at padding. With one, Paddle loops over its cells
    and goes on computing at padding, where users set y to 0; so does this adapter. The stack returns outputs of its
    top layer only; each lower layer is therefore also run alone. Its gradient of U is wrong for the backward direction
    of a batch with lengths and initial states; it is passed on as it is.
    """

    layout = "paddle"

    def __init__(self, name: str) -> None:
        self.name = name
        paddle.base.core.set_num_threads(1)

    def environment(self) -> dict[str, str]:
        """Versions of what computes, and the device."""
        return {"paddle": paddle.__version__, "device": paddle.get_device()}

    def unsupported(self, case: Case) -> str | None:
        """No bias, masks with holes, half precisions, only backward, other activations."""
        if case.spec.reverse:
            return "reverse: paddle.nn.LSTM reads backward only as half of a bidirectional layer"
        if case.mask is not None:
            return "mask: paddle.nn.LSTM knows sequence_length but no mask with holes"
        if case.precision not in ("float32", "float64"):
            return f"{case.precision}: paddle.nn.LSTM cannot be built in it on a CPU"
        if case.spec.bias == "none":
            return "bias none: paddle.nn.LSTM ends the process, or raises IndexError, without its biases"
        return plain_function_only(case.spec, "paddle.nn.LSTM")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the parameters."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> paddle.nn.LSTM:
        """The stack as one layer; only the default type decides its precision."""
        before = paddle.get_default_dtype()
        paddle.set_default_dtype(precision)
        try:
            return paddle.nn.LSTM(
                spec.input_size,
                spec.hidden_size,
                num_layers=spec.num_layers,
                direction="bidirect" if spec.bidirectional else "forward",
                proj_size=spec.proj_size,
            )
        finally:
            paddle.set_default_dtype(before)

    def load(self, model: paddle.nn.LSTM, arrays: Mapping[str, Array]) -> None:
        """Copy into each parameter by its own name; PyTorch's names are aliases."""
        parameters = _parameters(model)
        if set(parameters) != set(arrays):
            raise SpecError(f"the arrays are {sorted(arrays)}, but should be {sorted(parameters)}")
        for name, array in arrays.items():
            parameters[name].set_value(np.array(array))

    def read_back(self, model: paddle.nn.LSTM) -> dict[str, Array]:
        """The parameters of the cells."""
        return {name: tensor.numpy() for name, tensor in _parameters(model).items()}

    def count_parameters(self, model: paddle.nn.LSTM) -> int:
        """`size` of every parameter, each counted once."""
        return sum(int(parameter.size) for parameter in model.parameters() if parameter.trainable)

    def run(self, model: paddle.nn.LSTM, case: Case) -> Result:
        """Run the stack, then each lower layer alone."""
        with paddle.no_grad():
            states = None if case.h0 is None and case.c0 is None else _tensors(explicit_states(case))
            return self._result(model, case, *_forward(model, case, _tensor(case.x), states))

    def run_with_gradients(self, model: paddle.nn.LSTM, case: Case) -> Result:
        """Differentiate the stack with `paddle.grad`."""
        leaves = _tensors((case.x, *explicit_states(case)))
        for leaf in leaves:
            leaf.stop_gradient = False
        outputs = _forward(model, case, leaves[0], leaves[1:])
        parameters = _parameters(model)
        found = paddle.grad(list(outputs), [*parameters.values(), *leaves], _tensors(cotangents(case)))
        *stored, x, h0, c0 = (gradient.numpy() for gradient in found)
        gradients = gradients_from_layout(dict(zip(parameters, stored, strict=True)), self.layout)
        with paddle.no_grad():
            result = self._result(model, case, *outputs)
        return replace(result, gradients={**gradients, "x": x, "h0": h0, "c0": c0})

    def _result(self, model: paddle.nn.LSTM, case: Case, y: Any, h_n: Any, c_n: Any) -> Result:
        final = h_n.numpy()
        last = last_output(final, case.spec) if case.returns == "last" else None
        return Result(
            y=y.numpy(), h_n=final, c_n=c_n.numpy(), last=last, layer_outputs=self._lower_outputs(model, case)
        )

    def _lower_outputs(self, model: paddle.nn.LSTM, case: Case) -> tuple[Array, ...]:
        """Outputs of the layers below the top, each run as a layer."""
        spec, x, outputs = case.spec, _tensor(case.x), []
        stored = self.read_back(model)
        states = explicit_states(case)
        for index in range(spec.num_layers - 1):
            layer = self.build(spec.layer(index), case.precision)
            own = {name: array for name, array in stored.items() if name.startswith(f"{index}.")}
            self.load(layer, {name.replace(f"{index}.", "0.", 1): array for name, array in own.items()})
            rows = slice(index * spec.num_directions, (index + 1) * spec.num_directions)
            x, _, _ = _forward(layer, case, x, _tensors(state[rows] for state in states))
            outputs.append(x.numpy())
        return tuple(outputs)


def _parameters(model: paddle.nn.LSTM) -> dict[str, Any]:
    """Parameters by the names of their cells.

    `named_parameters` and `state_dict` know them by the aliases, too, which are wrong in stacks with a projection.
    """
    return {f"{index}.{name}": found for index, layer in enumerate(model) for name, found in layer.named_parameters()}


def _tensor(array: Array) -> Any:
    return paddle.to_tensor(np.array(array))


def _tensors(arrays: Iterable[Array]) -> list[Any]:
    return [_tensor(array) for array in arrays]


def _forward(model: paddle.nn.LSTM, case: Case, x: Any, states: list[Any] | None) -> tuple[Any, Any, Any]:
    """Run a layer on x; returns y, h_n and c_n."""
    lengths = None if case.lengths is None else _tensor(case.lengths)
    y, (h_n, c_n) = model(x, None if states is None else tuple(states), lengths)
    if lengths is not None and case.spec.proj_size:
        y = y * _tensor(case.valid[..., None].astype(case.x.dtype))
    return y, h_n, c_n
