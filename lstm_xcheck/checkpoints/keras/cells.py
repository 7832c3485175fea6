"""The cells of a Keras weights file, by their shapes alone.

An LSTM cell is `kernel (x, 4h)`, `recurrent_kernel (h, 4h)` and perhaps `bias (4h)`; a GRU has 3 h columns, a
SimpleRNN 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...layouts.table import Layout, layout_named
from ..codecs.limits import escape
from ..detect.assemble import why_unsupported
from ..model import Reason, UnreadLSTM
from ..tensor_info import TensorInfo

_KERAS, CUDNN = layout_named("keras"), layout_named("cudnn-keras")
_KERNELS = ("kernel", "recurrent_kernel", "bias")


@dataclass(frozen=True)
class Variables:
    """A group of variables: the owner's place and name, tensors by number."""

    place: str
    name: str
    tensors: dict[str, TensorInfo]


@dataclass(frozen=True)
class Cell:
    """One LSTM cell: its place, its layer's, and its config."""

    place: str
    layer: str
    tensors: dict[str, TensorInfo]
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    backward: bool = False
    notes: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()  # what the user's options say of it

    @property
    def units(self) -> int:
        """How many it has."""
        return self.tensors["recurrent_kernel"].shape[0]

    @property
    def input_size(self) -> int:
        """Features per step."""
        return self.tensors["kernel"].shape[0]

    @property
    def layout(self) -> Layout:
        """The layout row; CuDNNLSTM has two biases in one vector."""
        bias = self.tensors.get("bias")
        return CUDNN if bias and bias.shape == (8 * self.units,) else _KERAS

    @property
    def shared(self) -> tuple[object, ...]:
        """What both directions of one LSTM must share."""
        return (self.units, self.input_size, len(self.tensors), self.layout, self.activation, self.recurrent_activation)


def inner_variables(groups: Sequence[Variables]) -> dict[str, str]:
    """Places with variables below them, those of random generators apart."""
    places = {group.place for group in groups}
    found: dict[str, str] = {}
    for group in groups:
        if group.tensors and "seed_generator" not in group.place.split("/"):
            found.update({place: group.place[len(place) + 1 :] for place in ancestors(group.place) if place in places})
    return found


def ancestors(place: str) -> Iterator[str]:
    """The places that a place lies in, the nearest first."""
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


def _is_lstm(group: Variables) -> bool:
    """Whether the recurrent kernel has four columns per unit, whatever else there is."""
    shapes = [group.tensors[key].shape for key in "01" if key in group.tensors]
    if len(shapes) < 2 or min(map(len, shapes)) < 2:
        return False
    kernel, recurrent = shapes
    return recurrent[-1] == kernel[-1] == 4 * recurrent[-2]


def cell_of(group: Variables, inner: str, name: str) -> Cell | Reason:
    """The group as a cell, or why it is none; empty for others."""
    parent, _, last = group.place.rpartition("/")
    # A cell of a stack may have any name.
    stacked = "/cell/cells/" in group.place and _is_lstm(group)
    if last != "cell" and "lstm" not in last and "lstm" not in group.name and not stacked:
        return ""
    count = len(group.tensors)
    if count not in (2, 3) or set(group.tensors) != set("012"[:count]):
        why = f"it has {count} variables, an LSTM cell has 2 or 3"
        if any(key.endswith("_U_f") for key in group.tensors):
            return UnreadLSTM(name, "Keras 1 stores its gates apart; load it with Keras 2 and save it again")
        return UnreadLSTM(name, why) if _is_lstm(group) else f"not an LSTM: {why}"
    tensors = {kind: group.tensors[str(k)] for k, kind in enumerate(_KERNELS[:count])}
    reason = _why_no_lstm(tensors)
    if reason:
        return UnreadLSTM(name, reason) if _is_lstm(group) else reason
    own = f"its cell has variables of its own beside kernel and bias ({escape(inner)})" if inner else ""
    why = why_unsupported(tensor.dtype for tensor in tensors.values()) or own
    return UnreadLSTM(name, why) if why else Cell(group.place, parent if last == "cell" else group.place, tensors)


def _why_no_lstm(tensors: Mapping[str, TensorInfo]) -> str:
    """Why shapes make no LSTM; empty if they do."""
    kernel, recurrent = tensors["kernel"].shape, tensors["recurrent_kernel"].shape
    if len(recurrent) != 2 or len(kernel) != 2 or not recurrent[0] or not kernel[0]:
        return f"not an LSTM of vectors: kernel is {list(kernel)} and recurrent kernel {list(recurrent)}"
    units, columns = recurrent
    if columns != 4 * units:
        family = next((f"a {name}, " for name, n in (("GRU", 3), ("SimpleRNN", 1)) if columns == n * units), "")
        return f"{family}not an LSTM: the recurrent kernel is {units} x {columns}, but an LSTM's has 4 columns per row"
    bias = tensors["bias"].shape if "bias" in tensors else (columns,)
    if kernel[1] != columns or bias not in ((columns,), (2 * columns,)):
        return f"not an LSTM: kernel {list(kernel)} and bias {list(bias)} beside recurrent kernel {list(recurrent)}"
    return ""
