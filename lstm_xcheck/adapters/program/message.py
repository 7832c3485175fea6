"""Messages between this package and a program; docs/explanation/protocol.md has every byte."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...arrays import Array
from ...errors import SpecError, Unsupported, WorkerCrashed
from ...layouts import gradients_from_layout, layout_named, to_layout
from ...model import Case, Result, cotangents
from ...model.loss import DATA
from ...model.spec import Activation
from ..case_arrays import explicit_states

#: Magic, version, kind or status, bytes of a number, number of the request, bytes that follow, 1.0 as a number.
HEADER = struct.Struct("<4sHBBQQ8s")
#: Flags, layers, batch, steps, input, hidden, projection, numbers of weights, clips of gates, cell and projection,
#: activations of gates, candidate and output, slope and offset of the gates' hard sigmoid.
SIZES = struct.Struct("<IIQQQQQQdddBBB5xdd")
REQUEST, ANSWER, VERSION = b"LXRQ", b"LXAN", 1
HELLO, RUN = 0, 1
ANSWERED, UNSUPPORTED, FAILED = 0, 1, 2

#: Bits of the flags of a request.
FLAGS = {
    name: 1 << bit
    for bit, name in enumerate(
        ("bidirectional", "reverse", "states", "lengths", "bias", "second bias", "peepholes", "gradients",
         "f=1-i", "i=1-f")
    )
}  # fmt: skip
#: Bits of the flags of an answer: what follows y, h_n and c_n.
LOWER, GRADIENTS = 1, 2
#: Activations by their numbers.
ACTIVATIONS = ("sigmoid", "tanh", "relu", "linear", "softsign", "hard_tanh", "tanh_pade", "hard_sigmoid")
_WIDTHS = {"float32": 4, "float64": 8}
#: The longest text of an answer, bytes.
MAX_TEXT = 65536


class Question(NamedTuple):
    """A case in a program's own layout.

    Attributes:
        stored: the weights by their names in the layout.
        data: x, and where the case has them h0, c0 and the cotangents of y, h_n and c_n.
    """

    case: Case
    layout: str
    width: int
    stored: dict[str, Array]
    data: tuple[Array, ...]

    @property
    def dtype(self) -> str:
        """The number type, little-endian."""
        return f"<f{self.width}"

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of y, h_n and c_n."""
        case, spec = self.case, self.case.spec
        rows = spec.num_layers * spec.num_directions
        return {
            "y": (case.batch, case.steps, spec.num_directions * spec.output_size),
            "h_n": (rows, case.batch, spec.output_size),
            "c_n": (rows, case.batch, spec.hidden_size),
        }

    @property
    def gradients(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the gradients that are asked for: weights as stored, x, states."""
        states = dict(zip(DATA, (self.case.x.shape, self.outputs["h_n"], self.outputs["c_n"]), strict=True))
        shapes = {**{name: array.shape for name, array in self.stored.items()}, **states}
        return shapes if self.case.gradients else {}

    @property
    def most_bytes(self) -> int:
        """The largest body of an answer."""
        lower = (self.case.spec.num_layers - 1) * _count([self.outputs["y"]])
        return 8 + self.width * (_count(self.outputs.values()) + lower + _count(self.gradients.values()))


def _count(shapes: Iterable[tuple[int, ...]]) -> int:
    """How many numbers arrays of these shapes have."""
    return sum(math.prod(shape) for shape in shapes)


def refusal(case: Case) -> str | None:
    """Why no program can be asked for this case, or None."""
    spec = case.spec
    if case.precision not in _WIDTHS:
        return f"precision: a program gets float32 or float64, not {case.precision}"
    if case.mask is not None:
        return "mask: a program gets lengths alone"
    kinds = [Activation.parse(name).kind for name in (spec.cell_activation, spec.output_activation)]
    return "activations: a program gets one hard sigmoid, that of the gates" if "hard_sigmoid" in kinds else None


def question(case: Case, layout: str) -> Question:
    """The case in a layout.

    Raises:
        Unsupported: when the layout has no place for a parameter.
    """
    width = _WIDTHS[case.precision]
    try:
        stored = to_layout(case.weights, layout, copy=False)
    except SpecError as error:
        raise Unsupported(str(error)) from error
    states = explicit_states(case) if case.h0 is not None or case.c0 is not None else ()
    loss = cotangents(case) if case.gradients else ()
    return Question(case, layout, width, stored, (case.x, *states, *loss))


def sizes(asked: Question) -> bytes:
    """The first part of a request that runs a case."""
    case, spec = asked.case, asked.case.spec
    row = layout_named(asked.layout)
    bias = spec.bias != "none" or row.forget_bias != 0.0
    present = {
        "bidirectional": spec.bidirectional,
        "reverse": spec.reverse,
        "states": case.h0 is not None or case.c0 is not None,
        "lengths": case.lengths is not None,
        "bias": bias,
        "second bias": bias and row.bias == "split",
        "peepholes": spec.peepholes,
        "gradients": case.gradients,
        str(spec.coupling): spec.coupling is not None,
    }
    names = (spec.gate_activation, spec.cell_activation, spec.output_activation)
    kinds = [ACTIVATIONS.index(Activation.parse(name).kind) for name in names]
    gate = Activation.parse(spec.gate_activation)
    return SIZES.pack(
        sum(FLAGS[name] for name, here in present.items() if here), spec.num_layers,
        case.batch, case.steps, spec.input_size, spec.hidden_size, spec.proj_size,
        _count(array.shape for array in asked.stored.values()),
        spec.gate_clip or 0.0, spec.cell_clip or 0.0, spec.proj_clip or 0.0, *kinds, gate.alpha, gate.beta,
    )  # fmt: skip


def body(asked: Question) -> list[memoryview]:
    """The parts of a request that runs a case; large arrays are not copied."""
    lengths = [] if asked.case.lengths is None else [np.asarray(asked.case.lengths, "<u8")]
    numbers = [np.ascontiguousarray(array, asked.dtype) for array in (*asked.stored.values(), *asked.data)]
    arrays = [array.reshape(-1).view(np.uint8).data for array in (*lengths, *numbers)]
    return [memoryview(sizes(asked)), *arrays]


def request(kind: int, number: int, width: int, parts: Sequence[memoryview]) -> list[memoryview]:
    """A request with its header."""
    size = sum(part.nbytes for part in parts)
    return [memoryview(HEADER.pack(REQUEST, VERSION, kind, width, number, size, one(width))), *parts]


def one(width: int) -> bytes:
    """1.0 in a number type, by which another byte order shows."""
    return struct.pack("<f4x" if width == 4 else "<d", 1.0)


def result(answer: bytes | bytearray, asked: Question) -> Result:
    """The result of an answer.

    Raises:
        WorkerCrashed: when its size is not that of the outputs.
    """
    flags = int.from_bytes(answer[:8], "little")
    shapes = [*asked.outputs.values()]
    shapes += [asked.outputs["y"]] * (asked.case.spec.num_layers - 1) if flags & LOWER else []
    shapes += asked.gradients.values() if flags & GRADIENTS else []
    wanted = 8 + asked.width * _count(shapes)
    if flags & ~(LOWER | GRADIENTS) or len(answer) != wanted:
        sized = ", ".join(f"{name} {shape}" for name, shape in asked.outputs.items())
        raise WorkerCrashed(
            f"the answer has {len(answer)} bytes and flags {flags}, but {sized} in float{8 * asked.width} with these "
            f"flags take {wanted}"
        )
    arrays = _split(np.frombuffer(answer, asked.dtype, offset=8), shapes)
    lower = arrays[3 : 3 + asked.case.spec.num_layers - 1] if flags & LOWER else []
    gradients = dict(zip(asked.gradients, arrays[3 + len(lower) :], strict=False)) if flags & GRADIENTS else {}
    if asked.case.gradients and not gradients:
        raise Unsupported("gradients: the program gives none")
    return Result(
        y=arrays[0], h_n=arrays[1], c_n=arrays[2], layer_outputs=tuple(lower), gradients=_canonical(gradients, asked)
    )


def _split(numbers: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    ends = np.cumsum([_count([shape]) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(numbers, ends[:-1]), shapes, strict=True)]


def _canonical(gradients: dict[str, Array], asked: Question) -> dict[str, Array]:
    """Gradients by canonical name; a bias that the layout adds has none."""
    if not gradients:
        return {}
    weights = gradients_from_layout({name: gradients[name] for name in asked.stored}, asked.layout)
    if asked.case.spec.bias == "none":
        weights = {name: array for name, array in weights.items() if name.rpartition(".")[2] not in ("b", "b_r")}
    return {**weights, **{name: gradients[name] for name in DATA}}
