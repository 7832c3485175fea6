"""The golden corpus: other projects' numbers as cases and expected arrays.

The folder is named by the environment variable LSTM_XCHECK_GOLDEN; its files follow the schema `lstm-golden/1`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.layouts import Layout
from lstm_xcheck.model import Case, LSTMWeights

from .sources import ROWS, read_weights, row_for

VARIABLE = "LSTM_XCHECK_GOLDEN"
UNSET = f"{VARIABLE} is not set; it names the folder of the golden corpus"

#: Options that this loader reads, or that have no effect for the reason in the comment.
_OPTIONS = {
    "direction", "layers", "peephole", "proj", "clip_preact", "clip_cell", "clip_proj", "input_forget", "bias",
    "forget_bias", "activations", "lengths", "zero_length_state", "reverse_lengths", "mask", "mask_output",
    "merge_mode", "stateful_calls", "first_backward",
    "batch_first",  # the axes say so
    "unit_forget_bias",  # already inside the stored bias
    "y_order",  # of `y` alone, which no case with this option expects
}  # fmt: skip
_ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "hard_sigmoid": "hard_sigmoid:0.2,0.5"}


class Inexpressible(Exception):
    """A golden case or number without an equivalent `Case`; the message is the reason."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """Expected numbers.

    Attributes:
        label: as in the file, such as `y` or `y_last@call1`.
        axes: such as `TB(DR)`; empty where the file has none.
        values: the numbers.
        digits: significant digits of each printed number, without trailing zeros.
    """

    label: str
    axes: str
    values: Array
    digits: Array

    @property
    def name(self) -> str:
        """The label without the call."""
        return self.label.partition("@call")[0]

    @property
    def call(self) -> int:
        """Index of the call with carried states; -1 is the last."""
        return int(self.label.partition("@call")[2] or 0) - 1


@dataclass(frozen=True, eq=False)
class Golden:
    """One golden case.

    Attributes:
        name: of the file.
        row: the layout its weights were read with.
        case: without rows of length 0.
        rows: which rows of the source's batch the case holds, boolean, shape (batch,).
        calls: number of runs on the same inputs, each from the final states of the previous one.
        directions: canonical direction of each half of the source.
        options, head, training: as in the file.
        quantities: the expected numbers.
    """

    name: str
    row: Layout
    case: Case
    rows: Array
    calls: int
    directions: tuple[int, ...]
    options: Mapping[str, Any]
    head: Mapping[str, Any] | None
    training: Mapping[str, Any] | None
    quantities: tuple[Quantity, ...]


def folder() -> Path | None:
    """The folder of the corpus, or None if not set."""
    named = os.environ.get(VARIABLE)
    return None if named is None else Path(named)


def golden_names() -> list[str]:
    """All cases of the corpus."""
    where = folder()
    return [] if where is None else sorted(path.stem for path in where.glob("*.json"))


def load(name: str, *, row: Layout | None = None) -> Golden:
    """Read one case, its weights optionally with another `row`.

    Raises:
        Inexpressible: with the reason, when the spec has no such LSTM.
    """
    where = folder()
    if where is None:
        raise RuntimeError(UNSET)
    data = json.loads((where / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)
    _check_expressible(data)
    options = data["options"]
    arrays = {key: _array(value) for key, value in data["weights"]["arrays"].items()}
    directions: tuple[int, ...] = (0, 1) if options["direction"] == "bidirectional" else (0,)
    if options.get("first_backward"):
        # The first half reads backward: canonically it is direction 1.
        directions = (1, 0)
        swap = {"fw": "bw", "bw": "fw"}
        arrays = {".".join(swap.get(part, part) for part in key.split(".")): array for key, array in arrays.items()}
    layout = data["weights"]["layout"]
    row = row or row_for(layout, arrays, _number(options.get("forget_bias")))
    x, mask = _inputs(data)
    stacked, bidirectional = options["layers"] > 1, options["direction"] == "bidirectional"
    weights = with_options(read_weights(row, layout, arrays, stacked, bidirectional), options)
    case, rows = _case(data, weights, x, mask)
    return Golden(
        name, row, case, rows, options.get("stateful_calls") or 1, directions, options,
        data.get("head"), data.get("training"), tuple(_quantities(data["expected"])),
    )  # fmt: skip


def dense(layer: Mapping[str, Any], x: Array) -> Array:
    """A dense layer of a golden file."""
    result: Array = x @ _array(layer["kernel"]) + _array(layer["bias"])
    return {"linear": result, "tanh": np.tanh(result)}[layer.get("activation") or "linear"]


def _check_expressible(data: Mapping[str, Any]) -> None:
    options = data["options"]
    if data["kind"] not in ("forward", "training"):
        raise Inexpressible(f"kind {data['kind']}: not a run of an LSTM")
    unknown = [key for key, value in options.items() if key not in _OPTIONS and value is not None]
    if unknown:
        raise Inexpressible(f"option {', '.join(unknown)}: the spec has none")
    if set(data["inputs"]) - {"x", "initial_h", "initial_c"}:
        raise Inexpressible(f"inputs {', '.join(data['inputs'])}: a case has x and the initial states alone")
    if data["weights"]["layout"] not in ROWS:
        raise Inexpressible(f"layout {data['weights']['layout']}: no row reads it")


def _array(value: Mapping[str, Any]) -> Array:
    return np.array([float(number) for number in value["data"]]).reshape(value["shape"])


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _activation(value: Any) -> str:
    if isinstance(value, Mapping):
        if value["name"] != "hardsigmoid":
            raise Inexpressible(f"activation {value['name']}: the spec has none")
        return f"hard_sigmoid:{value['alpha']},{value['beta']}"
    return _ACTIVATIONS[value]


def with_options(weights: LSTMWeights, options: Mapping[str, Any]) -> LSTMWeights:
    """The weights with the spec of these options, which must agree with the shapes."""
    activations = {name: _activation(value) for name, value in options["activations"].items()}
    spec = replace(
        weights.spec,
        reverse=options["direction"] == "reverse",
        gate_activation=activations["gate"],
        cell_activation=activations["cell"],
        output_activation=activations["out"],
        gate_clip=_number(options["clip_preact"]),
        cell_clip=_number(options["clip_cell"]),
        proj_clip=_number(options["clip_proj"]) if options["proj"] else None,  # TFLite ignores it without a projection
        coupling=options["input_forget"],
    )
    bias = {"none": "none", "single": "single", "double": "split"}[options["bias"]]
    declared = (
        options["layers"],
        options["direction"] == "bidirectional",
        options["peephole"],
        options["proj"] or 0,
        bias,
    )
    found = (spec.num_layers, spec.bidirectional, spec.peepholes, spec.proj_size, spec.bias)
    if declared != found:
        raise ValueError(
            f"layers, bidirectional, peepholes, projection and bias are {found} by shape, but {declared} by option"
        )
    return LSTMWeights(spec, weights.layers, weights.dtype)


def _inputs(data: Mapping[str, Any]) -> tuple[Array, Array | None]:
    """x (batch, steps, input) after a preceding layer, and an embedding's mask."""
    pre, mask = data.get("pre"), data["options"]["mask"]
    if pre is not None and pre["type"] == "embedding":
        ids = _array(pre["ids"]).astype(int)
        return _array(pre["table"])[ids], ids != 0 if pre["mask_zero"] else None
    x = to_axes(data["inputs"]["x"], "BTI")
    return dense(pre, x) if pre is not None else x, None if mask is None else np.array(mask)


def to_axes(value: Mapping[str, Any], axes: str) -> Array:
    """An input in canonical axes; missing ones have size 1."""
    array, given = _array(value), value["axes"]
    array = array.reshape(*array.shape, *[1] * (len(axes) - len(given)))
    order = given + "".join(axis for axis in axes if axis not in given)
    return np.transpose(array, [order.index(axis) for axis in axes])


def _case(data: Mapping[str, Any], weights: LSTMWeights, x: Array, mask: Array | None) -> tuple[Case, Array]:
    """The case without rows of length 0, which affect no other row."""
    options = data["options"]
    lengths = options["lengths"]
    rows = np.ones(len(x), bool) if lengths is None else np.array(lengths) > 0
    if not rows.any():
        raise Inexpressible("every row has length 0")
    if lengths is not None and options.get("reverse_lengths") == "padded-end":
        steps = x.shape[1]
        mask, lengths = np.arange(steps) >= steps - np.array(lengths)[:, None], None
    case = Case(
        weights=weights,
        x=x[rows],
        h0=_state(data, "initial_h", rows),
        c0=_state(data, "initial_c", rows),
        lengths=None if lengths is None else np.array(lengths)[rows],
        mask=None if mask is None else mask[rows],
        precision="float64",
        id=data["name"],
    )
    return case, rows


def _state(data: Mapping[str, Any], name: str, rows: Array) -> Array | None:
    """Initial states (layers * directions, rows, width)."""
    if name not in data["inputs"]:
        return None
    state = to_axes(data["inputs"][name], "LDBR")
    return state.reshape(-1, *state.shape[2:])[:, rows]


def _quantities(expected: Mapping[str, Any]) -> list[Quantity]:
    quantities = []
    for label, value in expected.items():
        digits = [len(Decimal(number).normalize().as_tuple().digits) for number in value["data"]]
        counts = np.array(digits).reshape(value["shape"])
        quantities.append(Quantity(label, value.get("axes") or "", _array(value), counts))
    return quantities
