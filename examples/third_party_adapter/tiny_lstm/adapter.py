"""The adapter: it loads canonical weights into `TinyLSTM`, and returns what that computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lstm_xcheck.adapters.case_arrays import explicit_states
from lstm_xcheck.adapters.layers import run_layers, stack_result
from lstm_xcheck.adapters.protocol import plain_function_only
from lstm_xcheck.layouts import Layout, Tensor, from_layout, to_layout
from lstm_xcheck.model import Case, LSTMSpec, Result

from . import TinyLSTM, __version__

#: How the framework stores an LSTM. Gates, and which bias a tensor holds, are written down here and nowhere else.
ROW = Layout(
    name="tiny",
    order="ofig",
    bias="single",
    tensors=(
        Tensor("{layer}{direction}kernel", ("W",)),
        Tensor("{layer}{direction}recurrent", ("U",)),
        Tensor("{layer}{direction}bias", ("b",)),
    ),
    layer_names=("0/", "{k}/"),
    directions=("0/", "0/", "1/"),
    source="tiny_lstm 1.0, tiny_lstm/layer.py (TinyLSTM)",
)

Cells = dict[str, TinyLSTM]


class TinyAdapter:
    """A stack of `TinyLSTM`, one for each layer and direction."""

    #: The built-in row in which lstm-xcheck hands weights over: it has one bias, as `ROW` does.
    layout = "mlx"

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of what computes."""
        return {"tiny_lstm": __version__, "numpy": np.__version__}

    def unsupported(self, case: Case) -> str | None:
        """The reason why the framework cannot run this case, or None."""
        if case.spec.proj_size:
            return "projection: TinyLSTM has none"
        if case.precision == "bfloat16":
            return "bfloat16: NumPy has no such type"
        return plain_function_only(case.spec, "TinyLSTM")

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision computed in, and why it is another one."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> Cells:
        """One layer of the framework for each layer and direction."""
        return {
            f"{layer}/{direction}/": TinyLSTM(
                spec.layer_input_size(layer),
                spec.hidden_size,
                bias=spec.bias != "none",
                backward=spec.is_backward(direction),
                dtype=precision,
            )
            for layer in range(spec.num_layers)
            for direction in range(spec.num_directions)
        }

    def load(self, model: Cells, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy the weights into the model."""
        stored = to_layout(from_layout(arrays, self.layout), ROW)
        for prefix, cell in model.items():
            for name, parameter in cell.parameters.items():
                parameter[...] = stored[prefix + name]

    def read_back(self, model: Cells) -> dict[str, np.ndarray]:
        """The weights that the model holds now."""
        present = {prefix + name: array for prefix, cell in model.items() for name, array in cell.parameters.items()}
        return to_layout(from_layout(present, ROW), self.layout)

    def count_parameters(self, model: Cells) -> int:
        """The number of parameters."""
        return sum(array.size for cell in model.values() for array in cell.parameters.values())

    def run(self, model: Cells, case: Case) -> Result:
        """Run layer after layer."""

        def run_direction(layer: int, direction: int, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
            cell = model[f"{layer}/{direction}/"]
            return cell(x, h0, c0, case.valid)

        found = run_layers(case.spec, case.x, *explicit_states(case), run_direction, lambda ys: np.concatenate(ys, 2))
        return stack_result(found, case, np.asarray)
