"""Leaves clips out of LSTMs, and says where they would act."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..checkpoints import FoundLSTM
from ..errors import UserError
from ..model import Case, LSTMWeights
from ..model.spec import Activation
from ..oracle import forward

#: What `without` may take off an LSTM.
CLIPS = ("gate_clip", "cell_clip", "proj_clip")


def without_clips(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> tuple[FoundLSTM, ...]:
    """The LSTMs without these clips: another function where one acts."""
    unknown = [name for name in clips if name not in CLIPS]
    if unknown:
        raise UserError(f"--without {unknown[0]!r} should be one of {', '.join(CLIPS)}")
    if not clips:
        return lstms
    return tuple(replace(lstm, weights=unclipped(lstm.weights, clips)) for lstm in lstms)


def unclipped(weights: LSTMWeights, clips: Sequence[str]) -> LSTMWeights:
    """The weights of an LSTM without these clips."""
    options: dict[str, Any] = dict.fromkeys(clips)
    return LSTMWeights(replace(weights.spec, **options), weights.layers, weights.dtype)


def left_out_clips(lstms: tuple[FoundLSTM, ...], clips: Sequence[str]) -> list[str]:
    """The clips that were taken off, with their sizes."""
    specs = [(lstm.name, clip, getattr(lstm.weights.spec, clip)) for lstm in lstms for clip in sorted(set(clips))]
    return [f"{clip} {bound} of {name}: beyond it the destination differs" for name, clip, bound in specs if bound]


def where_it_acts(case: Case, clip: str) -> str:
    """What a clip does on a case, and when it cannot act."""
    spec = case.spec
    bound = getattr(spec, clip)
    clipped, free = (forward(one) for one in (case, replace(case, weights=unclipped(case.weights, [clip]))))
    changes = max(float(np.abs(getattr(clipped, name) - getattr(free, name)).max()) for name in ("y", "c_n"))
    acts = f"changes h or c by up to {changes:.2g}" if changes else "does not act"
    text = f"{acts} on the inputs compared"
    kinds = (Activation.parse(spec.gate_activation).kind, Activation.parse(spec.cell_activation).kind)
    # c grows by less than 1 a step where gates are below 1 and candidates within -1 and 1.
    slow = kinds[0] in ("sigmoid", "hard_sigmoid") and kinds[1] in ("tanh", "hard_tanh", "softsign")
    if clip == "cell_clip" and slow and bound >= 1:
        text += f"; from zero states it cannot act within the first {math.floor(bound)} steps"
    return text
