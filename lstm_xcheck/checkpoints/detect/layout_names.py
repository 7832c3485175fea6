"""Detects LSTMs by the tensor names of layout rows.

The rows themselves say which names to look for, so that a framework's names are written down once. Names nominate,
shapes decide: a GRU with the same names has 3 blocks instead of 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ...layouts.naming import tensor_names
from ...layouts.table import Layout, Tensor, layout_named
from ..codecs.limits import MAX_LSTMS, escape, refuse_many
from ..model import FoundLSTM, Reason, UnreadLSTM
from ..options import ReadOptions
from ..tensor_info import TensorInfo
from .assemble import Detected, build, others, unique_names, why_unreadable
from .torch_names import detect_torch_names

#: The rows whose names say enough. Those of Keras and Sonnet are last, because they are the least particular.
NAMED = ("flax-linen", "flax-nnx", "flax-nnx-optimized", "haiku", "mlx", "burn", "keras", "sonnet")

#: Rows with names so plain that what holds them must be called an LSTM.
_ONLY_NAMED = ("haiku", "tf1")

#: Containers that are no part of an LSTM's own name.
_CONTAINERS = ("params/", "model/", "~/")
#: What `flax.nnx.RNN` and `flax.linen.RNN` call the cell in them, and TensorFlow and Keras theirs.
_CELLS = ("cell", "lstm_cell", "basic_lstm_cell")

_UNSAID = "the file says nothing of activations; sigmoid and tanh are taken"
_SHIFTED = "1 is added to the stored forget bias, as its framework does when it runs; that sum is rounded once"


@dataclass
class _Group:
    """Tensors of one cell: their row, prefix, and tensors by row names."""

    row: Layout
    prefix: str
    tensors: dict[str, TensorInfo] = field(default_factory=dict)

    def of(self, part: str) -> list[TensorInfo]:
        """The tensors of a canonical array, in gate order."""
        tensor = self.row.tensor_for(part)
        names = own_names(self.row, tensor) if tensor else []
        return [self.tensors[name] for name in names if name in self.tensors]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [self.tensors[name].shape for name in sorted(self.tensors)]


def detect_layout_names(
    path: Path, tensors: Sequence[TensorInfo], options: ReadOptions, *, rows: Sequence[str] = NAMED
) -> Detected:
    """Detects LSTMs whose tensors have the names of these rows."""
    groups, reasons = _groups(tensors, rows)
    refuse_many(path, len(groups), "LSTMs", MAX_LSTMS)
    found = [_found(path, pair) for pair in _paired(groups)]
    lstms = unique_names(path, found)
    used = {name for lstm in lstms for name in lstm.tensors}
    return lstms, others((tensor for tensor in tensors if used.isdisjoint(tensor.file_names)), reasons, options)


def detect_any_layout(path: Path, tensors: Sequence[TensorInfo], options: ReadOptions) -> Detected:
    """Detects LSTMs with PyTorch's names or those of any row."""
    lstms, other = detect_torch_names(path, tensors, options)
    left = {tensor.name for tensor in other if not tensor.note}
    if not lstms or left:
        named, rest = detect_layout_names(path, [tensor for tensor in tensors if tensor.name in left], ReadOptions())
        used = {name for lstm in named for name in lstm.tensors}
        notes = {tensor.name: (tensor.note, tensor.unread) for tensor in rest if tensor.note}
        lstms += named
        other = tuple(
            replace(tensor, note=note, unread=unread)
            for tensor in other
            if tensor.name not in used
            for note, unread in [notes.get(tensor.name, (tensor.note, tensor.unread))]
        )
    return lstms, other


def _groups(tensors: Sequence[TensorInfo], rows: Sequence[str]) -> tuple[list[_Group], dict[str, Reason]]:
    """The cells, and why what looks like one is none."""
    groups: dict[tuple[str, str], _Group] = {}
    for tensor in tensors:
        for row, prefix, key in _nominations(tensor.name, rows):
            groups.setdefault((row.name, prefix), _Group(row, prefix)).tensors.setdefault(key, tensor)
    cells: list[_Group] = []
    reasons: dict[str, Reason] = {}
    taken: set[str] = set()
    for group in sorted(groups.values(), key=lambda group: rows.index(group.row.name)):
        names = {tensor.name for tensor in group.tensors.values()}
        weights = [weight for part in "WU" if (weight := group.row.tensor_for(part))]
        complete = all(name in group.tensors for weight in weights for name in own_names(group.row, weight))
        if names & taken or not complete:
            continue
        reason = _why_no_lstm(group)
        if reason:
            reasons.update(dict.fromkeys(names, reason))
        else:
            cells.append(group)
            taken |= names
    first = {tensor.name: position for position, tensor in enumerate(tensors)}
    cells.sort(key=lambda group: min(first[tensor.name] for tensor in group.tensors.values()))
    return cells, reasons


def own_names(row: Layout, tensor: Tensor) -> list[str]:
    """A tensor's names in one cell; Haiku's module name is the user's."""
    return [name.removeprefix("lstm/") for name in tensor_names(row, tensor, 0, 0, 1, 1)]


def _nominations(name: str, rows: Sequence[str]) -> Iterator[tuple[Layout, str, str]]:
    """(row, prefix, name) for each row that a name fits."""
    plain = "/" + re.sub("[.:]", "/", name).removesuffix("/value").removesuffix("/raw_value")
    for row, key, ending in _keys(tuple(rows)):
        if plain.endswith(ending):
            prefix = plain.removesuffix(ending)
            if row.name not in _ONLY_NAMED or "lstm" in prefix.rpartition("/")[2].lower():
                yield row, prefix.lstrip("/"), key


@lru_cache
def _keys(rows: tuple[str, ...]) -> list[tuple[Layout, str, str]]:
    """Each name of each row, and how a place with it ends."""
    known = [layout_named(name) for name in rows]
    names = [(row, key) for row in known for tensor in row.tensors for key in own_names(row, tensor)]
    return [(row, key, "/" + key.replace(".", "/")) for row, key in names]


def _why_no_lstm(group: _Group) -> Reason:
    """Why shapes and types make no LSTM; empty if they do."""
    unsupported = why_unreadable(group.tensors.values())
    unread = UnreadLSTM(_name_at(_place(group, both=False)), unsupported) if unsupported else ""
    if group.row.direction_axis or any(tensor.reshaped for tensor in group.row.tensors):
        return unread  # only those who say so get here; building them shows the rest
    joint = group.row.tensor_for("W") == group.row.tensor_for("U")
    kernels = [_transposed(group.row, "W", tensor.shape) for tensor in group.of("W")]
    recurrent = [_transposed(group.row, "U", tensor.shape) for tensor in group.of("U")]
    shapes = f"input weights {list(group.of('W')[0].shape)} and recurrent weights {list(group.of('U')[0].shape)}"
    stored = group.of("U")[0].shape
    if len(stored) > 2 and stored[-1] == 4 * stored[-2]:
        return UnreadLSTM(_name_at(_place(group, both=False)), f"not an LSTM of vectors: {shapes}")
    if any(len(shape) != 2 or 0 in shape for shape in [*kernels, *recurrent]):
        return f"not an LSTM: {shapes}, expected two axes each"
    rows, units = sum(shape[0] for shape in kernels), recurrent[0][1]
    if joint:
        projection = group.of("projection")
        width = _transposed(group.row, "projection", projection[0].shape)[0] if projection else rows // 4
        if projection and width >= rows // 4:
            return f"not an LSTM: its projection has {width} numbers, but should have fewer than its {rows // 4} units"
        return (
            unread
            if rows % 4 == 0 and units > width
            else f"not an LSTM: {shapes}, expected 4 columns per unit and a row for each unit and input"
        )
    if rows != 4 * units or sum(shape[0] for shape in recurrent) != rows:
        kind = {3: "a GRU, ", 1: "an RNN, "}.get(rows // units) if rows % units == 0 else ""
        return f"{kind or ''}not an LSTM: {shapes}, expected 4 times as many as there are units"
    return unread


def _transposed(row: Layout, part: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    tensor = row.tensor_for(part)
    return shape[::-1] if tensor and tensor.transposed else shape


def _paired(groups: Sequence[_Group]) -> Iterator[tuple[_Group, ...]]:
    """Each LSTM's cells: one, or forward and backward."""
    by_place = {(group.row.name, group.prefix): group for group in groups}
    backward: set[int] = set()
    pairs: dict[int, _Group] = {}
    for group in groups:
        _, ahead, back = (name.strip("./") for name in group.row.directions)
        parts = group.prefix.split("/")
        if ahead and ahead in parts:
            partner = by_place.get((group.row.name, "/".join(back if part == ahead else part for part in parts)))
            if partner and partner.shapes == group.shapes:
                pairs[id(group)] = partner
                backward.add(id(partner))
    for group in groups:
        if id(group) not in backward:
            yield (group, pairs[id(group)]) if id(group) in pairs else (group,)


def _found(path: Path, pair: tuple[_Group, ...]) -> tuple[FoundLSTM, str]:
    first = pair[0]
    place = _place(first, both=len(pair) == 2)
    name = _name_at(place)
    arrays = _under_row_names(pair)
    weights = build(path, name, first.row, arrays)
    u = first.of("U")[0]
    found = FoundLSTM(
        name=name,
        weights=weights,
        layout=first.row.name,
        why=(
            f"{escape(u.name)} and its neighbours have the names of layout {first.row.name}, "
            f"and their shapes make an LSTM of {weights.spec.hidden_size} units"
        ),
        native_count=sum(_size(tensor.shape) for tensor in arrays.values()),
        source_dtype=weights.dtype,
        tensors=tuple(tensor.name for tensor in arrays.values()),
        notes=(_UNSAID, _SHIFTED) if first.row.forget_bias else (_UNSAID,),
        arrays={key: tensor.name for key, tensor in arrays.items()},
    )
    return found, place


def _name_at(place: str) -> str:
    """The user's name of the layer at a place."""
    last = place.rpartition("/")[2]
    # A number, as in `layers.0`, is no name by itself.
    return escape((place if last.isdecimal() else last) or "lstm", 200)


def _place(group: _Group, *, both: bool) -> str:
    """The LSTM's place in the model, without containers, cells and directions."""
    place = group.prefix.replace("~/", "")
    for container in _CONTAINERS:
        place = place.removeprefix(container)
    if both:
        ahead = group.row.directions[1].strip("./")
        parts = place.split("/")
        return "/".join(parts[: parts.index(ahead)])
    parent, _, last = place.rpartition("/")
    return parent if last in _CELLS and parent else place


def _under_row_names(pair: tuple[_Group, ...]) -> Mapping[str, TensorInfo]:
    row = pair[0].row
    arrays = {}
    for direction, group in enumerate(pair):
        for tensor in row.tensors:
            full = tensor_names(row, tensor, 0, direction, 1, len(pair))
            for key, name in zip(own_names(row, tensor), full, strict=True):
                if key in group.tensors:
                    arrays[name] = group.tensors[key]
    return arrays


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
