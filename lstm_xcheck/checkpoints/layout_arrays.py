"""Arrays of LSTMs under the names that a framework with trees of parameters gives them."""

from __future__ import annotations

from collections.abc import Mapping

from ..arrays import Array
from ..errors import CheckpointError, SpecError
from ..layouts import to_layout
from ..model import LSTMWeights
from .codecs.limits import escape
from .model import FoundLSTM
from .write import chain_of


def tree_arrays(lstms: Mapping[str, LSTMWeights], layout: str, separator: str = "/") -> dict[str, tuple[Array, str]]:
    """Every array with its precision by `<lstm>/<name in the layout>`; a stack becomes a chain.

    Raises:
        CheckpointError: for what the layout has no place for, and two arrays of one name.
    """
    result: dict[str, tuple[Array, str]] = {}
    for name, weights in chain_of(lstms).items():
        place = separator.join(part for part in name.replace(".", "/").split("/") if part)
        for key, array in layout_arrays(name, weights, layout).items():
            full = separator.join(filter(None, (place, _own_name(layout, place, key).replace("/", separator))))
            if full in result:
                raise CheckpointError(f"two LSTMs would be stored as {escape(full)}; rename one with --rename")
            result[full] = (array, weights.dtype)
    return result


def layout_arrays(name: str, weights: LSTMWeights, layout: str) -> dict[str, Array]:
    """One LSTM's arrays in a layout.

    Raises:
        CheckpointError: for what the layout has no place for.
    """
    try:
        return to_layout(weights, layout, copy=False)
    except SpecError as error:
        raise CheckpointError(f"LSTM {escape(name)} cannot be written: {error}") from error


def like_arrays(template: Mapping[str, FoundLSTM], lstms: Mapping[str, LSTMWeights]) -> dict[str, tuple[Array, str]]:
    """New values by the names under which a file holds these LSTMs now, in the layout that it follows."""
    return {
        place: (array, weights.dtype)
        for name, weights in chain_of(lstms).items()
        for place, array in zip(
            template[name].tensors, layout_arrays(name, weights, template[name].layout).values(), strict=True
        )
    }


def _own_name(layout: str, place: str, key: str) -> str:
    """A Haiku module that is called an LSTM needs no second one in it; Flax's RNN holds a cell."""
    if layout == "haiku" and "lstm" in place.lower() and key.startswith("lstm/"):
        return key.removeprefix("lstm/")
    return key.replace("_rnn/", "_rnn/cell/") if layout.startswith("flax") else key
