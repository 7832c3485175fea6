"""The golden corpus: other projects' numbers as cases and expected arrays.

The folder is named by the environment variable LSTM_XCHECK_GOLDEN; its files follow the schema `lstm-golden/1`. What
a file asks for and no `Case` can say is `Inexpressible`, whatever the folder: unknown options, inputs, arrays, numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.errors import SpecError
from lstm_xcheck.layouts import Layout
from lstm_xcheck.model import Case, LSTMWeights

from .sources import read_weights, row_for

VARIABLE = "LSTM_XCHECK_GOLDEN"
UNSET = f"{VARIABLE} is not set; it names the folder of the golden corpus"

#: Options that this loader reads, with what they are where a file leaves them out.
_DEFAULTS: dict[str, Any] = {
    "direction": "forward", "layers": 1, "peephole": False, "proj": None, "clip_preact": None, "clip_cell": None,
    "clip_proj": None, "input_forget": None, "bias": None, "forget_bias": None, "activations": {}, "lengths": None,
    "zero_length_state": None, "reverse_lengths": None, "mask": None, "mask_output": None, "merge_mode": None,
    "stateful_calls": None, "first_backward": None,
}  # fmt: skip
#: Options without an effect: the axes say it, it is inside the stored bias, it concerns `y` of the source alone.
_WITHOUT_EFFECT = {"batch_first", "unit_forget_bias", "y_order"}
#: Values of options, where a file could ask for others.
_VALUES = {
    "direction": ("forward", "reverse", "bidirectional"),
    "bias": (None, "none", "single", "double"),
    "input_forget": (None, "f=1-i", "i=1-f"),
    "zero_length_state": (None, "zeros"),
    "reverse_lengths": (None, "padded-end", "prefix"),
    "mask_output": (None, "hold", "zero"),
    "merge_mode": (None, "concat", "sum", "ave", "mul"),
}
_BIASES = {"none": "none", "single": "single", "double": "split"}
_ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "hard_sigmoid": "hard_sigmoid:0.2,0.5"}


class Inexpressible(Exception):
    """A golden case or number without an equivalent `Case`; the message is the reason."""


@dataclass(frozen=True)
class Print:
    """How numbers were printed: the most significant digits, and the most decimals, of any of them.

    Trailing zeros do not count, so that many numbers tell what one cannot.
    """

    digits: int
    decimals: int

    @classmethod
    def of(cls, numbers: Sequence[Decimal]) -> Print:
        """Of normalised numbers."""
        digits = (len(number.as_tuple().digits) for number in numbers)
        exponents = (number.as_tuple().exponent for number in numbers)
        return cls(max(digits, default=0), max((-e for e in exponents if isinstance(e, int)), default=0))

    @property
    def is_evident(self) -> bool:
        """Whether they look rounded, and not like exact constants such as 0.5 or 27."""
        return self.digits >= 3 and self.decimals >= 1

    def half_unit(self, values: Array) -> Array:
        """Half a unit of the last printed place: of so many digits, or of so many decimals."""
        if not self.is_evident:
            return np.zeros_like(values)
        exponent = np.floor(np.log10(np.maximum(np.abs(values), 1e-300)))
        unit: Array = np.maximum(10.0 ** (exponent + 1 - self.digits), 10.0**-self.decimals)
        return 0.5 * unit


@dataclass(frozen=True, eq=False)
class Quantity:
    """Expected numbers.

    Attributes:
        label: as in the file, such as `y` or `y_last@call1`.
        axes: such as `TB(DR)`; empty where the file has none.
        values: the numbers.
        printed: how they were printed.
    """

    label: str
    axes: str
    values: Array
    printed: Print

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
        name: as the file says.
        row: the layout its weights were read with.
        case: without rows of length 0, unless all are.
        rows: which rows of the source's batch the case holds, boolean, shape (batch,).
        calls: number of runs on the same inputs, each from the final states of the previous one.
        directions: canonical direction of each half of the source.
        options, head, training: as in the file, absent options by their default.
        quantities: the expected numbers.
        erratum: why the numbers of the file may be wrong, as it says itself, or "".
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
    erratum: str = ""


def folder() -> Path | None:
    """The folder of the corpus, or None if not set."""
    named = os.environ.get(VARIABLE)
    return None if named is None else Path(named)


def golden_names() -> list[str]:
    """All cases of the corpus."""
    where = folder()
    return [] if where is None else sorted(_files(where))


@cache
def _files(where: Path) -> dict[str, Path]:
    """Each file by the name that it has inside, whatever the file is called; by the file's where two share one."""
    named: dict[str, list[Path]] = {}
    for path in sorted(where.glob("*.json")):
        named.setdefault(json.loads(path.read_text(encoding="utf-8")).get("name") or path.stem, []).append(path)
    return {name if len(paths) == 1 else path.stem: path for name, paths in named.items() for path in paths}


def load(name: str, *, row: Layout | None = None) -> Golden:
    """Read one case, its weights optionally with another `row`.

    Raises:
        Inexpressible: with the reason, when the spec has no such LSTM.
    """
    where = folder()
    if where is None:
        raise RuntimeError(UNSET)
    data = json.loads(_files(where)[name].read_text(encoding="utf-8"), parse_float=Decimal)
    try:
        return _golden(name, data, row)
    except SpecError as reason:
        raise Inexpressible(f"no spec or case: {reason}") from reason


def _golden(name: str, data: dict[str, Any], row: Layout | None) -> Golden:
    data["options"] = options = _checked_options(data)
    arrays = {key: _array(value) for key, value in data["weights"]["arrays"].items()}
    directions: tuple[int, ...] = (0, 1) if options["direction"] == "bidirectional" else (0,)
    if options["first_backward"]:
        # The first half reads backward: canonically it is direction 1.
        directions = (1, 0)
        swap = {"fw": "bw", "bw": "fw"}
        arrays = {".".join(swap.get(part, part) for part in key.split(".")): array for key, array in arrays.items()}
    layout = data["weights"]["layout"]
    row = row or row_for(layout, arrays, _number(options["forget_bias"]))
    if row is None:
        raise Inexpressible(f"layout {layout}: no row reads it")
    x, mask = _inputs(data)
    stacked, bidirectional = options["layers"] > 1, options["direction"] == "bidirectional"
    weights = with_options(read_weights(row, layout, arrays, stacked, bidirectional), options)
    case, rows = _case(data, weights, x, mask)
    return Golden(
        name, row, case, rows, options["stateful_calls"] or 1, directions, options,
        data.get("head"), data.get("training"), tuple(_quantities(data["expected"])),
        str(data.get("errata") or data.get("explanation") or ""),
    )  # fmt: skip


def dense(layer: Mapping[str, Any], x: Array) -> Array:
    """A dense layer of a golden file."""
    result: Array = x @ _array(layer["kernel"]) + (_array(layer["bias"]) if layer.get("bias") else 0.0)
    activation = layer.get("activation") or "linear"
    if activation not in ("linear", "tanh"):
        raise Inexpressible(f"dense layer with activation {activation}: the tests have linear and tanh")
    return np.tanh(result) if activation == "tanh" else result


def _checked_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """All options, the absent ones by their default; raises for what no case can say."""
    given: Mapping[str, Any] = data["options"]
    if data["kind"] not in ("forward", "training"):
        raise Inexpressible(f"kind {data['kind']}: not a run of an LSTM")
    unknown = [key for key, value in given.items() if key not in {*_DEFAULTS, *_WITHOUT_EFFECT} and value is not None]
    if unknown:
        raise Inexpressible(f"option {', '.join(unknown)}: the spec has none")
    options = {**_DEFAULTS, **given}
    for name, values in _VALUES.items():
        if options[name] not in values:
            raise Inexpressible(f"option {name}={options[name]}: the spec has {', '.join(map(str, values))}")
    if set(data["inputs"]) - {"x", "initial_h", "initial_c"}:
        raise Inexpressible(f"inputs {', '.join(data['inputs'])}: a case has x and the initial states alone")
    return options


def _array(value: Mapping[str, Any]) -> Array:
    return np.array([float(number) for number in value["data"]]).reshape(value["shape"])


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _activation(value: Any) -> str:
    if isinstance(value, Mapping):
        if value["name"] != "hardsigmoid":
            raise Inexpressible(f"activation {value['name']}: the spec has none")
        return f"hard_sigmoid:{value['alpha']},{value['beta']}"
    if value not in _ACTIVATIONS:
        raise Inexpressible(f"activation {value}: the corpus has {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[value]


def with_options(weights: LSTMWeights, options: Mapping[str, Any]) -> LSTMWeights:
    """The weights with the spec of these options, which must agree with the shapes."""
    activations = {"gate": "sigmoid", "cell": "tanh", "out": "tanh", **options["activations"]}
    activations = {name: _activation(value) for name, value in activations.items()}
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
    declared = (
        options["layers"],
        options["direction"] == "bidirectional",
        options["peephole"],
        options["proj"] or 0,
        _BIASES.get(options["bias"], spec.bias),
    )
    found = (spec.num_layers, spec.bidirectional, spec.peepholes, spec.proj_size, spec.bias)
    if declared != found:
        raise Inexpressible(
            f"layers, bidirectional, peepholes, projection and bias are {found} by shape, but {declared} by option"
        )
    return LSTMWeights(spec, weights.layers, weights.dtype)


def _inputs(data: Mapping[str, Any]) -> tuple[Array, Array | None]:
    """x (batch, steps, input) after a preceding layer, and an embedding's mask."""
    pre, mask = data.get("pre"), data["options"]["mask"]
    if pre is not None and pre["type"] not in ("embedding", "dense"):
        raise Inexpressible(f"{pre['type']} before the LSTM: the tests have embedding and dense")
    if pre is not None and pre["type"] == "embedding":
        ids = _array(pre["ids"]).astype(int)
        return _array(pre["table"])[ids], ids != 0 if pre["mask_zero"] else None
    if "x" not in data["inputs"]:
        raise Inexpressible("no input x")
    x = to_axes(data["inputs"]["x"], "BTI")
    return dense(pre, x) if pre is not None else x, None if mask is None else np.array(mask)


def to_axes(value: Mapping[str, Any], axes: str) -> Array:
    """An input in canonical axes; missing ones have size 1."""
    array, given = _array(value), value["axes"]
    if set(given) - set(axes):
        raise Inexpressible(f"axes {given}: a case has {axes}")
    array = array.reshape(*array.shape, *[1] * (len(axes) - len(given)))
    order = given + "".join(axis for axis in axes if axis not in given)
    return np.transpose(array, [order.index(axis) for axis in axes])


def _case(data: Mapping[str, Any], weights: LSTMWeights, x: Array, mask: Array | None) -> tuple[Case, Array]:
    """The case without rows of length 0, which affect no other row, unless there is no other."""
    options = data["options"]
    lengths = options["lengths"]
    rows = np.ones(len(x), bool) if lengths is None else np.array(lengths) > 0
    if not rows.any():
        if "initial_h" in data["inputs"] or "initial_c" in data["inputs"]:
            raise Inexpressible("every row has length 0, and the sources set their states to 0")
        rows[:] = True
    if lengths is not None and options["reverse_lengths"] == "padded-end":
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
    printed = {label: [Decimal(number).normalize() for number in value["data"]] for label, value in expected.items()}
    everywhere = Print.of([number for numbers in printed.values() for number in numbers])
    quantities = []
    for label, value in expected.items():
        print_ = Print.of(printed[label])
        # A handful of short numbers may be exact: then all numbers of the file say how they were printed.
        print_ = print_ if print_.is_evident else everywhere
        quantities.append(Quantity(label, value.get("axes") or "", _array(value), print_))
    return quantities
