"""Turns LSTMs into chains of layers and into named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..arrays import Array
from ..errors import CheckpointError, SpecError
from ..layouts import from_layout, stored_cell, to_layout
from ..model import CellWeights, LSTMSpec, LSTMWeights
from .codecs.limits import escape

#: What `FoundLSTM.layout` says of files that keep the canonical form itself.
CANONICAL = "canonical"
#: An array and its precision.
Typed = tuple[Array, str]


def chain_of(lstms: Mapping[str, LSTMWeights]) -> dict[str, LSTMWeights]:
    """Each layer as its own LSTM: a stack becomes `name_0`, `name_1`, ...

    A backward stack is refused: its chain is another function in Keras.
    """
    chain: dict[str, LSTMWeights] = {}
    for name, weights in lstms.items():
        layers = weights.spec.num_layers
        if layers > 1 and weights.spec.reverse:
            raise CheckpointError(
                f"{escape(name)} is a stack of {layers} layers that read backward, which a chain of layers cannot say; "
                "choose another format with --to"
            )
        for index in range(layers):
            label = name if layers == 1 else f"{name}_{index}"
            if label in chain:
                raise CheckpointError(f"two layers would be named {escape(label)}; rename one with --rename")
            chain[label] = weights if layers == 1 else weights.layer(index)
    return chain


def keras_name(name: str) -> str:
    """A name that Keras takes: no slash and, with PyTorch, no dot.

    >>> keras_name("decoder.cell/1")
    'decoder_cell_1'
    """
    return name.replace("/", "_").replace(".", "_")


def as_stored(weights: LSTMWeights, layout: str) -> LSTMWeights:
    """Weights after a trip through a layout, which may adapt biases.

    Raises:
        SpecError: when the layout has no place for a parameter.
    """
    if layout == CANONICAL:
        return weights
    back = from_layout(to_layout(weights, layout), layout, dtype=weights.dtype)
    return LSTMWeights(replace(weights.spec, bias=back.spec.bias), back.layers, weights.dtype)


def cell_as_stored(cell: CellWeights, layout: str, dtype: str) -> CellWeights:
    """One cell after one trip through a layout."""
    return cell if layout == CANONICAL else stored_cell(cell, layout, dtype)


def spec_as_stored(weights: LSTMWeights, layout: str) -> LSTMSpec:
    """The spec after a trip through a layout."""
    cell = cell_as_stored(weights.cell(0, 0), layout, weights.dtype)
    return replace(weights.spec, bias="none" if cell.b is None else "single" if cell.b_r is None else "split")


def tree_arrays(lstms: Mapping[str, LSTMWeights], layout: str, separator: str = "/") -> dict[str, Typed]:
    """Arrays by `<lstm>/<name in the layout>`; a stack becomes a chain."""
    result: dict[str, Typed] = {}
    for name, weights in chain_of(lstms).items():
        place = separator.join(part for part in name.replace(".", "/").split("/") if part)
        for key, array in layout_arrays(name, weights, layout).items():
            full = separator.join(filter(None, (place, _own_name(layout, place, key).replace("/", separator))))
            if full in result:
                raise CheckpointError(f"two LSTMs would be stored as {escape(full)}; rename one with --rename")
            result[full] = (array, weights.dtype)
    return result


def layout_arrays(name: str, weights: LSTMWeights, layout: str) -> dict[str, Array]:
    """One LSTM's arrays in a layout."""
    try:
        return to_layout(weights, layout, copy=False)
    except SpecError as error:
        raise CheckpointError(f"LSTM {escape(name)} cannot be written: {error}") from error


def _own_name(layout: str, place: str, key: str) -> str:
    """Drops Haiku's inner `lstm`, adds the cell of Flax's RNN."""
    if layout == "haiku" and "lstm" in place.lower() and key.startswith("lstm/"):
        return key.removeprefix("lstm/")
    return key.replace("_rnn/", "_rnn/cell/") if layout.startswith("flax") else key
