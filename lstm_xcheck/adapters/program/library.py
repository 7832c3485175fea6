"""A function of a shared library as an adapter, in a worker."""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any

import numpy as np

from ...errors import AdapterError, Unsupported
from ...layouts import layout_named
from ...model import Case, Result
from ..without_model import WithoutModel
from . import message
from .entries import LIBRARY

#: What follows the sizes in `lx_case` of examples/programs/c/lstm_xcheck.h: inputs, then outputs.
_INPUTS = ("lengths", "weights", "x", "h0", "c0", "g_y", "g_h", "g_c")
_OUTPUTS = ("y", "h_n", "c_n", "lower", "d_weights", "d_x", "d_h0", "d_c0")


class _LibraryCase(ctypes.Structure):
    """`lx_case`: the sizes as in a request, then what follows from them, then pointers."""

    _fields_ = [
        ("sizes", ctypes.c_uint64 * (message.SIZES.size // 8)),
        *((name, ctypes.c_uint64) for name in ("directions", "width", "number_bytes")),
        *((name, ctypes.c_void_p) for name in (*_INPUTS, *_OUTPUTS)),
        ("answered", ctypes.c_uint64),
    ]


class LibraryAdapter(WithoutModel):
    """Calls `const char *function(lx_case *)`.

    Where the library has `function_layout` and `function_number_bytes`, they say what it wants, else the layout of
    PyTorch and float32.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._path, self._symbol = json.loads(os.environ[LIBRARY])
        try:
            library = ctypes.CDLL(self._path)
            self._function: Any = getattr(library, self._symbol)
        except (OSError, AttributeError) as error:
            raise AdapterError(f"{self._symbol} of {self._path} cannot be loaded: {error}") from error
        self._function.restype = ctypes.c_char_p
        self._layout, self._width = "torch", 4
        if hasattr(library, f"{self._symbol}_number_bytes"):
            self._width = int(getattr(library, f"{self._symbol}_number_bytes")())
        if hasattr(library, f"{self._symbol}_layout"):
            layout = getattr(library, f"{self._symbol}_layout")
            layout.restype = ctypes.c_char_p
            self._layout = layout_named((layout() or b"").decode(errors="replace")).name

    def environment(self) -> dict[str, str]:
        """The library and its function."""
        return {"library": self._path, "function": self._symbol}

    def unsupported(self, case: Case) -> str | None:
        """What the interface lacks; the function itself refuses what it lacks."""
        return message.refusal(case)

    def run(self, model: None, case: Case) -> Result:
        """Call the function."""
        asked = message.question(case, self._layout)
        if asked.width != self._width:
            raise Unsupported(f"precision: the library computes in float{8 * self._width}")
        answer = np.zeros(asked.most_bytes // 8 + 1, np.uint64)
        question, kept = _question(asked, answer.ctypes.data + 8)
        reason = self._function(ctypes.byref(question))
        del kept
        if reason is not None:
            raise Unsupported(reason.decode(errors="replace"))
        return message.result(_compact(answer.tobytes(), asked, question.answered), asked)


def _question(asked: message.Question, start: int) -> tuple[_LibraryCase, list[Any]]:
    """The struct with its pointers, and the arrays that must live as long."""
    numbers = [np.ascontiguousarray(array, asked.dtype).reshape(-1) for array in asked.data]
    weights = np.concatenate([np.ravel(array) for array in asked.stored.values()]).astype(asked.dtype)
    lengths = None if asked.case.lengths is None else np.ascontiguousarray(asked.case.lengths, "<u8")
    states = [None, None] if len(numbers) in (1, 4) else []
    inputs = [lengths, weights, numbers[0], *states, *numbers[1:]]
    spec = asked.case.spec
    question = _LibraryCase(
        (ctypes.c_uint64 * (message.SIZES.size // 8)).from_buffer_copy(message.sizes(asked)),
        spec.num_directions, spec.output_size, asked.width,
    )  # fmt: skip
    for name, array in zip(_INPUTS, inputs, strict=False):
        setattr(question, name, None if array is None else array.ctypes.data)
    for name, size in _places(asked).items():
        setattr(question, name, start if size else None)
        start += size * asked.width
    return question, inputs


def _places(asked: message.Question) -> dict[str, int]:
    """Numbers of each output, in the order of an answer."""
    y, h_n, c_n = (int(np.prod(shape)) for shape in asked.outputs.values())
    gradients = [int(np.prod(shape)) for shape in asked.gradients.values()]
    weights = [sum(gradients[:-3]), *gradients[-3:]] if gradients else [0] * 4
    return dict(zip(_OUTPUTS, (y, h_n, c_n, y * (asked.case.spec.num_layers - 1), *weights), strict=True))


def _compact(answer: bytes, asked: message.Question, answered: int) -> bytes:
    """The answer without what the function did not fill."""
    places = list(_places(asked).values())
    first, lower, rest = (asked.width * sum(part) for part in (places[:3], places[3:4], places[4:]))
    parts = [answer[8 : 8 + first]]
    parts += [answer[8 + first : 8 + first + lower]] if answered & message.LOWER else []
    parts += [answer[8 + first + lower : 8 + first + lower + rest]] if answered & message.GRADIENTS else []
    return b"".join([int(answered).to_bytes(8, "little"), *parts])
