"""Finds tensors with the shapes of an LSTM, whatever their names.

That is two matrices with 4 blocks, or one matrix of both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from ...layouts.schema import Tensor
from ...layouts.table import TABLE, Layout
from ..codecs.limits import FLOAT_SIZES
from ..tensor_info import TensorInfo

#: Words in names of recurrent weights and of input weights; they settle which of two matrices these are.
_RECURRENT = re.compile(r"u|r|rw|h|hh|h2h|wh|whh|uh|hgates|rec.*|hid.*")
_INPUT = re.compile(r"w|x|ih|xh|i2h|x2h|wx|wi|wih|igates|inp.*")
#: Among more neighbours no two are told to be one cell by their shapes.
_MOST_MATRICES = 256
#: One matrix with a vector is a dense layer as well, unless its name says otherwise.
_NAMED = re.compile(r"lstm|rnn|cell", re.IGNORECASE)
#: What is no LSTM, whatever its shapes: `GRU(48, 64)` has those of an LSTM of 48 units with its matrices exchanged.
_NO_LSTM = re.compile(r"(?:gru|(?:simple|basic|vanilla|elman)_?rnn|simple_?cell)(?!.*lstm)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class ShapeMatch:
    """Neighbouring tensors with the shapes of one LSTM cell."""

    prefix: str  # what their names have in common, with its last separator
    matrices: tuple[TensorInfo, ...]  # input and recurrent weights, or one of both
    vectors: tuple[TensorInfo, ...]  # of 4 numbers per unit; none, one or two
    transposed: bool  # whether a gate is a block of columns, not of rows

    @property
    def name(self) -> str:
        """The prefix without separators and containers."""
        return re.split(r"[./:]", self.prefix.rstrip("./:"))[-1]

    @property
    def recurrent(self) -> TensorInfo:
        """The tensor that holds the recurrent weights."""
        return self.matrices[-1]

    @property
    def hidden(self) -> int:
        """Units."""
        return self.recurrent.shape[1 if self.transposed else 0] // 4

    @property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """All of them."""
        return (*self.matrices, *self.vectors)

    @property
    def listed(self) -> str:
        """Their names and shapes."""
        return ", ".join(f"{t.name[len(self.prefix) :]} {list(t.shape)}" for t in self.tensors)

    def under(self, row: Layout) -> list[tuple[Tensor, TensorInfo]]:
        """Each with its place in a layout that fits."""
        parts = (("W",), ("U",))[2 - len(self.matrices) :]
        pairs = [(row.tensor_for(part[0]), tensor) for part, tensor in zip(parts, self.matrices, strict=True)]
        pairs += [(row.tensor_for(part), tensor) for part, tensor in zip(("b", "b_r"), self.vectors, strict=False)]
        return [(place, tensor) for place, tensor in pairs if place is not None]

    def layouts(self) -> Iterator[Layout]:
        """The rows of the table that store such tensors."""
        return (row for row in TABLE if fits(self, row))


def fits(one: ShapeMatch, row: Layout) -> bool:
    """Whether a layout has matrices and vectors of this kind."""
    w, u = row.tensor_for("W"), row.tensor_for("U")
    if w is None or u is None or row.gates == "names" or row.direction_axis or w.reshaped:
        return False
    biases = [row.tensor_for(part) for part in ("b", "b_r")]
    room = len({tensor.name for tensor in biases if tensor})
    return (1 if w == u else 2) == len(one.matrices) and w.transposed == one.transposed and len(one.vectors) <= room


def shape_matches(tensors: Sequence[TensorInfo], *, joint: bool) -> list[ShapeMatch]:
    """Possible LSTM cells, at most one per prefix.

    Args:
        tensors: of one file.
        joint: whether one matrix is enough where its name does not speak of an LSTM and there is nothing else.
    """
    groups: dict[str, list[TensorInfo]] = {}
    for tensor in tensors:
        match = re.match(r"(.*[./])?", re.sub(":[0-9]+$", "", tensor.name), re.DOTALL)
        prefix = match[0] if match else ""
        if tensor.owner or _NO_LSTM.search(tensor.name):
            continue
        if tensor.dtype in FLOAT_SIZES and len(tensor.shape) in (1, 2) and 0 not in tensor.shape:
            groups.setdefault(prefix, []).append(tensor)
    alone = joint and len(groups) == 1
    within = Counter(_last_two(prefix)[0] for prefix in groups)
    found = (_cell(prefix, tensors, alone or _is_named(prefix, within)) for prefix, tensors in groups.items())
    return [one for one in found if one]


def _last_two(prefix: str) -> tuple[str, str, str]:
    """What a module is in, the last part of that, and its own name."""
    outer, _, last = prefix.rstrip("./").replace("/", ".").rpartition(".")
    return outer, outer.rpartition(".")[2], last


def _is_named(prefix: str, within: Mapping[str, int]) -> bool:
    """Whether a module is called an LSTM, or the only one within what is.

    `lstm/linear/` beside `lstm/out/` is not: a cell of one matrix has no other.
    """
    outer, last_but_one, last = _last_two(prefix)
    return bool(_NAMED.search(last)) or (within[outer] == 1 and bool(_NAMED.search(last_but_one)))


def _cell(prefix: str, tensors: Sequence[TensorInfo], joint: bool) -> ShapeMatch | None:
    matrices = [tensor for tensor in tensors if len(tensor.shape) == 2]
    if len(matrices) > _MOST_MATRICES:
        return None
    pairs = [
        (w, u, transposed)
        for w, u in permutations(matrices, 2)
        for transposed in (True, False)
        if _pair(w, u, transposed) and not _contradicts(w, u, prefix)
    ]
    if len(pairs) > 1:
        pairs = [pair for pair in pairs if _has_word(pair[1], prefix, _RECURRENT)]
    if len(pairs) == 1:
        w, u, transposed = pairs[0]
        return ShapeMatch(prefix, (w, u), _vectors(tensors, u.shape[1 if transposed else 0]), transposed)
    if len(matrices) == 1 and joint:
        rows, columns = matrices[0].shape
        if columns % 4 == 0 and rows > columns // 4:
            return ShapeMatch(prefix, (matrices[0],), _vectors(tensors, columns), transposed=True)
    return None


def _pair(w: TensorInfo, u: TensorInfo, transposed: bool) -> bool:
    """Whether these are input and recurrent weights of 4 gates."""
    (rows, columns), mine = (u.shape[::-1], w.shape[1]) if transposed else (u.shape, w.shape[0])
    return rows == 4 * columns and mine == rows


def _contradicts(w: TensorInfo, u: TensorInfo, prefix: str) -> bool:
    """Whether names give these two the roles of each other."""
    for words, mine, other in ((_RECURRENT, u, w), (_INPUT, w, u)):
        if _has_word(other, prefix, words) and not _has_word(mine, prefix, words):
            return True
    return False


def _has_word(tensor: TensorInfo, prefix: str, words: re.Pattern[str]) -> bool:
    return any(words.fullmatch(word) for word in re.split(r"[\W_]+", tensor.name[len(prefix) :].lower()))


def _vectors(tensors: Sequence[TensorInfo], size: int) -> tuple[TensorInfo, ...]:
    return tuple(tensor for tensor in tensors if tensor.shape == (size,))
