"""The LSTM of a checkpoint that an option chooses."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..model import LSTMWeights


def load_lstm(file: Path, name: str | None) -> tuple[LSTMWeights, str]:
    """The LSTM of this name, or the only one, and where it comes from in words."""
    from ..checkpoints.codecs.limits import escape, shortlist
    from ..checkpoints.formats import load

    found = load(file)
    names = shortlist([escape(key) for key in found])
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise UserError(f"{file} holds {len(found)} LSTMs; choose one by --layer-name: {names}")
    if name not in found:
        raise UserError(f"{file} has no LSTM named {name!r}; it has {names}")
    return found[name], f"{escape(name) or 'the LSTM'} of {file}"
