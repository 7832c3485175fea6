"""Names of a state dict for LSTMs, as `torch.nn.Module.state_dict` spells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...errors import CheckpointError, SpecError, UserError
from ...layouts import to_layout
from ...model import LSTMWeights
from ..codecs.limits import escape
from ..layout_arrays import Typed
from ..other_layers.copied import copied_arrays
from ..other_layers.model import OtherLayers, plain_name
from ..other_layers.store import stored_arrays


def refuse_odd_names(family: str, names: Iterable[str]) -> None:
    """Refuse new names that no module of PyTorch can have.

    Raises:
        UserError: for a name with an empty part.
    """
    for name in names if family == "torch" else ():
        parts = re.split(r"[./]", name)
        if name and "" in parts:
            better = ".".join(filter(None, parts)) or "lstm"
            raise UserError(
                f"--rename: {name!r} has an empty part, which no module of PyTorch can have; write for example {better}"
            )


def state_names(lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> dict[str, Typed]:
    """Every array by `<lstm>.weight_ih_l0`; a nameless LSTM lies at the top.

    Layers beside them stand before, between and after them as in their chain, or else after them.
    """
    state: dict[str, Typed] = {}
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
    state.update(stored_arrays(other_layers.layers, "torch", list(state)))
    state.update(copied_arrays(other_layers, state))
    order = [plain_name(step.name) for step in other_layers.chain]
    rank = {name: position for position, name in enumerate(order)}
    places = {key: rank.get(key.rpartition(".")[0], len(order)) for key in state}
    return {key: state[key] for key in sorted(state, key=lambda key: places[key])}
