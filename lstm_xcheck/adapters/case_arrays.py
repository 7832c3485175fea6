"""Arrays that several adapters derive from a case, or from a framework's answer."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..model import Case, LSTMSpec


def padding_mask(case: Case) -> Array | None:
    """The valid steps, shape (batch, steps); None for a case without lengths or mask."""
    return case.valid if case.lengths is not None or case.mask is not None else None


def explicit_states(case: Case) -> tuple[Array, Array]:
    """h0 and c0 of a case; an absent one is zeros of its shape."""
    spec = case.spec
    shape = (spec.num_layers * spec.num_directions, case.batch)
    h0 = np.zeros((*shape, spec.output_size), case.x.dtype) if case.h0 is None else case.h0
    c0 = np.zeros((*shape, spec.hidden_size), case.x.dtype) if case.c0 is None else case.c0
    return h0, c0


def last_output(h_n: Array, spec: LSTMSpec) -> Array:
    """The last output: final hidden states of the top layer, directions concatenated."""
    return np.concatenate(list(h_n[-spec.num_directions :]), axis=-1)
