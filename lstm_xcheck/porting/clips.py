"""Leaves clips out of LSTMs where the destination cannot say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..checkpoints import FoundLSTM
from ..errors import UserError
from ..model import LSTMWeights

#: What `without` may take off an LSTM.
CLIPS = ("gate_clip", "cell_clip", "proj_clip")


def without_clips(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> tuple[FoundLSTM, ...]:
    """The LSTMs without these clips: another function where one acts."""
    unknown = [name for name in clips if name not in CLIPS]
    if unknown:
        raise UserError(f"--without {unknown[0]!r} should be one of {', '.join(CLIPS)}")
    if not clips:
        return lstms
    return tuple(replace(lstm, weights=_unclipped(lstm.weights, clips)) for lstm in lstms)


def _unclipped(weights: LSTMWeights, clips: Sequence[str]) -> LSTMWeights:
    options: dict[str, Any] = dict.fromkeys(clips)
    return LSTMWeights(replace(weights.spec, **options), weights.layers, weights.dtype)


def left_out_clips(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> list[str]:
    """The clips that were taken off, with their sizes."""
    specs = [(lstm.name, clip, getattr(lstm.weights.spec, clip)) for lstm in lstms for clip in sorted(set(clips))]
    return [f"{clip} {bound} of {name}: beyond it the destination differs" for name, clip, bound in specs if bound]
