"""What the adapters of all ONNX runtimes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import onnx

from ...arrays import Array
from ...layouts.onnx_node import NotInSpecError, node_attributes
from ...model import Case, LSTMSpec, Result
from ..layers import StackTensors, stack_result
from ..refusals import refusals_of
from .model import OnnxStack, inputs_of, make_model


class OnnxAdapter(ABC):
    """One ONNX model of operator LSTM, run by one runtime.

    The layout is `onnx`, read from onnx/defs/rnn/defs.cc (operator LSTM, since 14 and 22). What the operator can say is
    given to the runtime, also where that ignores it. At padding y is 0 and states stay, as far as the runtime knows
    lengths. The operator's `clip` is `gate_clip`; its text clips "the input of activations", so also c_t before h,
    which no runtime does that knows clips.

    Attributes:
        runtime: name in reasons.
        refusals: what the errors say for which the runtime refuses a model.
        always_states: whether absent states must be given as zeros.
    """

    layout = "onnx"
    runtime: str
    refusals: tuple[str, ...] = ()
    always_states = False

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, str]:
        """Versions of the runtime, and of the package that makes the model."""
        return {"onnx": onnx.__version__, **self.versions()}

    def unsupported(self, case: Case) -> str | None:
        """What the operator cannot say: masks with holes, bfloat16, and options of the spec."""
        if case.mask is not None:
            return "mask: ONNX' LSTM knows lengths (sequence_lens) but no mask with holes"
        if case.precision == "bfloat16":
            return "bfloat16: the runtimes take and give NumPy arrays, and NumPy has no such type"
        try:
            node_attributes(case.spec)
        except NotInSpecError as reason:
            return str(reason)
        return None

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision of the initializers."""
        return case.precision, ""

    def build(self, spec: LSTMSpec, precision: str) -> OnnxStack:
        """A model without weights; its nodes are made for the shapes of each case."""
        return OnnxStack(spec, precision)

    def load(self, model: OnnxStack, arrays: Mapping[str, Array]) -> None:
        """Make initializers of the arrays."""
        model.load(arrays)

    def read_back(self, model: OnnxStack) -> dict[str, Array]:
        """Read from the initializers."""
        return model.arrays()

    def count_parameters(self, model: OnnxStack) -> int:
        """Elements of the initializers that hold weights."""
        return model.count()

    def run(self, model: OnnxStack, case: Case) -> Result:
        """Load the model into the runtime and run it once."""
        inputs = inputs_of(case, always_states=self.always_states)
        with refusals_of(self.runtime, self.refusals):
            outputs = self.compute(make_model(model, inputs), inputs)
        found = StackTensors(
            layers=[y.swapaxes(0, 1) for y in outputs[0::3]],
            h_n=[state for states in outputs[1::3] for state in states],
            c_n=[state for states in outputs[2::3] for state in states],
        )
        return stack_result(found, case, np.asarray)

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions and settings of the runtime."""

    @abstractmethod
    def compute(self, model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
        """The model's outputs in its order."""
