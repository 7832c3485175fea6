"""Names of a state dict for LSTMs, as `torch.nn.Module.state_dict` spells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ...arrays import Array
from ...errors import CheckpointError, SpecError
from ...layouts import to_layout
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..other_layers.model import OtherLayers, plain_name
from ..other_layers.store import stored_arrays


def state_names(
    lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers | None = None
) -> dict[str, tuple[Array, str]]:
    """Every array with its precision, by `<lstm>.weight_ih_l0`; an LSTM without a name lies at the top.

    Layers beside them stand before, between and after them as in their chain, or else after them.

    Raises:
        CheckpointError: for what nn.LSTM has no place for, and two arrays of one name.
    """
    state: dict[str, tuple[Array, str]] = {}
    for name, weights in lstms.items():
        prefix = name.replace("/", ".").strip(".")
        try:
            arrays = to_layout(weights, "torch", prefix=f"{prefix}." if prefix else "", copy=False)
        except SpecError as error:
            raise CheckpointError(f"LSTM {escape(name)} cannot be written for PyTorch: {error}") from error
        for key, array in arrays.items():
            if key in state:
                raise CheckpointError(f"two LSTMs would be stored as {escape(key)}; rename one with --rename")
            state[key] = (array, weights.dtype)
    if other_layers is None:
        return state
    state.update(stored_arrays(other_layers.layers, "torch", list(state)))
    order = [plain_name(step.name) for step in other_layers.chain]
    rank = {name: position for position, name in enumerate(order)}
    places = {key: rank.get(key.rpartition(".")[0], len(order)) for key in state}
    return {key: state[key] for key in sorted(state, key=lambda key: places[key])}


def like_names(path: Path, held: Iterable[str], arrays: Mapping[str, Array]) -> dict[str, str]:
    """The name in a file of each array of a layout: `encoder.weight_ih_l0` for `weight_ih_l0`.

    Raises:
        CheckpointError: when the file stores the LSTM under other names.
    """
    names = list(held)
    found: dict[str, str] = {}
    for key in arrays:
        cell = key.removesuffix("_l0")
        places = [name for name in names if name.replace("/", ".").rpartition(".")[2] in (key, cell)]
        if len(places) != 1:
            raise CheckpointError(f"--like {path} stores no {escape(key)} beside {escape(names[0])}; leave --like out")
        found[key] = places[0]
    return found
