"""State dicts, trees of parameters and lists of `get_weights()` as weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..arrays import Array, to_numpy
from ..checkpoints import Checkpoint
from ..checkpoints.detect.layout_names import detect_any_layout
from ..checkpoints.detect.user_layout import detect
from ..checkpoints.options import ReadOptions
from ..checkpoints.tensor_info import TensorInfo
from ..errors import UserError
from ..layouts import from_layout
from ..model import LSTMWeights

_PARTS = ("kernel", "recurrent_kernel", "bias")


def from_named(name: str, arrays: Mapping[str, Any]) -> LSTMWeights:
    """The one LSTM of a state dict or tree, by its names."""
    tensors = [
        TensorInfo(key, tuple(value.shape), str(value.dtype).removeprefix("torch."), partial(to_numpy, value))
        for key, value in _flat(name, arrays, "")
    ]
    place = Path(f"the {name} argument")
    lstms, other = detect(place, tensors, detect_any_layout, ReadOptions())
    checkpoint = Checkpoint(place, "state dict", lstms, other)
    found = checkpoint.require_lstms()
    if checkpoint.unread:
        raise UserError(f"{checkpoint.listed_unread}; pass the arrays of one LSTM alone")
    if len(found) > 1:
        raise UserError(
            f"{place} holds {len(found)} LSTMs: {', '.join(lstm.name for lstm in found)}; pass the arrays of one"
        )
    return found[0].weights


def is_list_of_arrays(thing: object) -> bool:
    """Whether this may come from `get_weights()`."""
    return isinstance(thing, (list, tuple)) and bool(thing) and all(hasattr(part, "shape") for part in thing)


def from_list(name: str, given: Sequence[Any]) -> LSTMWeights:
    """What Keras' `get_weights()` returns, of a layer or of several.

    The shapes say which arrays are both directions of one layer, and which are layers of a stack.
    """
    arrays = [to_numpy(array) for array in given]
    cells = list(_cells(name, arrays))
    sizes = [(kernel.shape[0], recurrent.shape[0]) for kernel, recurrent, *_ in cells]
    fitting = [ways for ways in (1, 2) if _inputs(sizes, ways) == [inputs for inputs, _ in sizes]]
    if len(fitting) != 1:
        why = "two layers or two directions" if fitting else "no LSTM of Keras"
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UserError(
            f"the {name} argument holds arrays of shapes {shapes}, which may be {why}; pass the layer itself, or "
            "lx.LSTMWeights.from_layout(arrays by name, 'keras')"
        )
    ways, layers = fitting[0], len(cells) // fitting[0]
    named = {}
    for index, cell in enumerate(cells):
        layer = f"lstm_{index // ways}/" if layers > 1 else ""
        direction = ("forward_layer/", "backward_layer/")[index % ways] if ways == 2 else ""
        named.update({f"{layer}{direction}{part}": array for part, array in zip(_PARTS, cell, strict=False)})
    return from_layout(named, "keras")


def _inputs(sizes: Sequence[tuple[int, int]], ways: int) -> list[int]:
    """The widths that cells must read, if each layer has so many directions."""
    whole = range(len(sizes) // ways * ways)
    return [sizes[0][0] if index < ways else ways * sizes[index - ways][1] for index in whole]


def _cells(name: str, arrays: Sequence[Array]) -> Iterator[list[Array]]:
    """Kernel, recurrent kernel and, where there is one, bias of each cell."""
    left = list(arrays)
    while left:
        size = 3 if len(left) > 2 and left[2].ndim == 1 else 2
        cell, left = left[:size], left[size:]
        shapes = [array.shape for array in cell]
        columns = 4 * shapes[1][0] if [len(shape) for shape in shapes[:2]] == [2, 2] else 0
        if not columns or shapes[0][1] != columns or shapes[1][1] != columns or shapes[2:] not in ([], [(columns,)]):
            listed = ", ".join(str(array.shape) for array in arrays)
            raise UserError(
                f"the {name} argument holds arrays of shapes {listed}, but should hold what get_weights() of a Keras "
                "LSTM returns: kernel (input, 4 hidden), recurrent kernel (hidden, 4 hidden) and bias (4 hidden,); a "
                "GRU has 3 hidden columns and a SimpleRNN 1"
            )
        yield cell


def _flat(name: str, tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every array of a tree by its path."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(name, value, f"{prefix}{key}/")
        elif hasattr(value, "dtype"):
            yield f"{prefix}{key}", value
        else:
            raise UserError(
                f"the {name} argument holds a {type(value).__name__} as {prefix + str(key)!r}, but should hold arrays"
            )
