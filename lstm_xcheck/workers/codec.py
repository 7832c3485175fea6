"""Converts cases and results to frames, and back."""

from __future__ import annotations

from typing import Any

from ..arrays import Array
from ..model import QUANTITIES, Case, CellWeights, LSTMSpec, LSTMWeights, Result
from ..recordings.schema import one_line
from .frames import Frame, encode_frame, with_prefix


def case_to_frame(case: Case) -> Frame:
    """A frame with all that a worker needs."""
    data = {
        "spec": case.spec.to_dict(),
        "precision": case.precision,
        "dtype": case.weights.dtype,
        "returns": case.returns,
        "gradients": case.gradients,
        "id": case.id,
        "options": case.options,
    }
    weights = {f"weights.{name}": array for name, array in case.weights.arrays().items()}
    return Frame("run", data, {**weights, **{f"data.{name}": array for name, array in case.arrays().items()}})


def encode_case(case: Case) -> bytes:
    """The request that runs a case."""
    return encode_frame(case_to_frame(case))


def case_from_frame(frame: Frame) -> Case:
    """The same case, bit for bit."""
    spec = LSTMSpec(**frame.data["spec"])
    weights = weights_from_arrays(spec, with_prefix(frame.arrays, "weights."), frame.data["dtype"])
    data: dict[str, Any] = {**frame.data["options"], **with_prefix(frame.arrays, "data.")}
    return Case(
        weights=weights,
        precision=frame.data["precision"],
        returns=frame.data["returns"],
        gradients=frame.data["gradients"],
        id=frame.data["id"],
        **data,
    )


def weights_from_arrays(spec: LSTMSpec, arrays: dict[str, Array], dtype: str) -> LSTMWeights:
    """Weights from arrays named `layer.direction.name`, as `LSTMWeights.arrays` gives them."""
    layers = tuple(
        tuple(
            CellWeights(**with_prefix(arrays, f"{layer}.{direction}."))  # type: ignore[arg-type]
            for direction in range(spec.num_directions)
        )
        for layer in range(spec.num_layers)
    )
    return LSTMWeights(spec, layers, dtype)


def result_to_frame(result: Result, seconds: float) -> Frame:
    """A worker's answer with a result; `seconds` is the time in the backend."""
    data = {
        "parameter_count": result.parameter_count,
        "computed_in": result.computed_in,
        "note": result.note,
        "environment": dict(result.environment),
        "seconds": seconds,
    }
    outputs = {name: getattr(result, name) for name in QUANTITIES}
    arrays = {f"output.{name}": array for name, array in outputs.items() if array is not None}
    arrays.update({f"layer.{index}": array for index, array in enumerate(result.layer_outputs)})
    arrays.update({f"gradient.{name}": array for name, array in result.gradients.items()})
    arrays.update({f"native.{name}": array for name, array in result.native.items()})
    return Frame("result", data, arrays)


def result_from_frame(frame: Frame) -> Result:
    """The result of an answer; texts become single lines."""
    layers = with_prefix(frame.arrays, "layer.")
    return Result(
        **with_prefix(frame.arrays, "output."),
        layer_outputs=tuple(layers[str(index)] for index in range(len(layers))),
        gradients=with_prefix(frame.arrays, "gradient."),
        native=with_prefix(frame.arrays, "native."),
        parameter_count=frame.data["parameter_count"],
        computed_in=one_line(str(frame.data["computed_in"])),
        note=one_line(str(frame.data["note"])),
        environment={
            one_line(key): one_line(value) if isinstance(value, str) else value
            for key, value in frame.data["environment"].items()
        },
    )
