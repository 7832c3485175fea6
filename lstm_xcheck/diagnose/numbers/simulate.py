"""Runs many hypotheses with a free number on the same observed steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...oracle.activations import apply
from ...oracle.cell import couple
from ..linearised_cell import DrivenCell
from .families import Family, pre_activation_change

#: A family of mistakes with a value of its number.
Hypothesis = tuple[Family, float]


@dataclass(frozen=True)
class Window:
    """Some steps, rows and units of a driven cell, in processing order.

    Attributes:
        driven: the whole cell.
        parts: W x, U h, the bias and ones, (steps, rows, 4, units) each.
        y: the observed outputs, (steps, rows, units).
        c0: (rows, units).
        valid: (steps, rows).
        rows, units: which of the cell.
    """

    driven: DrivenCell
    parts: dict[str, Array]
    y: Array
    c0: Array
    valid: Array
    rows: Array
    units: Array

    @classmethod
    def of(cls, driven: DrivenCell, steps: int, rows: Array, units: Array) -> Window:
        """The first steps of these rows and units; no projection."""
        weights = driven.cell.weights
        width = weights.W.shape[2]
        inputs = driven.inputs[:steps, rows]
        w, u = (np.asarray(array, np.float64)[:, units] for array in (weights.W, weights.U))
        wx = np.einsum("tbk,guk->tbgu", inputs[..., :width], w)
        uh = np.einsum("tbk,guk->tbgu", inputs[..., width:-1], u)
        bias = np.broadcast_to(driven.cell.bias[:, units], wx.shape)
        parts = {"W": wx, "U": uh, "b": bias, "constant": np.ones_like(wx)}
        y = driven.y[:steps, rows][..., units]
        return cls(driven, parts, y, driven.c0[rows][:, units], driven.valid[:steps, rows], rows, units)


def simulate(window: Window, hypotheses: Sequence[Hypothesis]) -> tuple[Array, Array]:
    """Outputs (hypotheses, steps, rows, units) and final c (hypotheses, rows, units)."""
    cell, spec = window.driven.cell, window.driven.cell.spec
    gate, candidate, output = cell.activations
    honest = window.parts["W"] + window.parts["U"] + window.parts["b"]
    changes = {family: pre_activation_change(family, window.parts) for family, _ in hypotheses}
    number = {kind: _numbers(hypotheses, kind) for kind in ("c", "h", "y")}
    fed_back = 1.0 / number["y"][..., None] - 1.0  # outputs that are scaled, but not fed back, were smaller inside
    clip_c = _clips(hypotheses, "cell_clip", spec.cell_clip)
    clip_z = _clips(hypotheses, "gate_clip", spec.gate_clip)
    peephole = _peepholes(window, hypotheses)
    steps = len(honest)
    c = np.broadcast_to(window.c0, (len(hypotheses), *window.c0.shape))
    y = np.zeros((len(hypotheses), *window.y.shape))
    for t in range(steps):
        z = np.stack([_moved(honest[t], changes[family], t, p) for family, p in hypotheses])
        if t:
            z = z + fed_back * window.parts["U"][t]
        z_i, z_f, z_g, z_o = (z[:, :, k] for k in range(4))
        if peephole is not None:
            z_i, z_f = z_i + peephole[0] * c, z_f + peephole[1] * c
        i, f = (apply(gate, np.clip(part, -clip_z, clip_z)) for part in (z_i, z_f))
        i, f = couple(spec, i, f)
        now = number["c"] * (f * c + i * apply(candidate, np.clip(z_g, -clip_z, clip_z)))
        now = np.clip(now, -clip_c, clip_c)
        if peephole is not None:
            z_o = z_o + peephole[2] * now
        h = number["h"] * number["y"] * apply(gate, np.clip(z_o, -clip_z, clip_z)) * apply(output, now)
        counts = window.valid[t][:, None]
        c = np.where(counts, now, c)
        y[:, t] = np.where(counts, h, 0.0)
    return y, np.asarray(c)


def _moved(honest: Array, change: Array | None, t: int, p: float) -> Array:
    return honest if change is None else honest + p * change[t]


def _numbers(hypotheses: Sequence[Hypothesis], kind: str) -> Array:
    """1 + p of hypotheses of a kind, 1 of others."""
    values = [1.0 + p if family.kind == kind else 1.0 for family, p in hypotheses]
    return np.asarray(values)[:, None, None]


def _clips(hypotheses: Sequence[Hypothesis], kind: str, present: float | None) -> Array:
    """The limit of each hypothesis, (hypotheses, 1, 1)."""
    limit = np.inf if present is None else present
    return np.asarray([abs(p) if family.kind == kind else limit for family, p in hypotheses])[:, None, None]


def _peepholes(window: Window, hypotheses: Sequence[Hypothesis]) -> Array | None:
    """Peepholes of i, f, o, (3, hypotheses, 1, units)."""
    honest = window.driven.cell.peephole
    if honest is None:
        return None
    factors = np.ones((3, len(hypotheses)))
    for k, (family, p) in enumerate(hypotheses):
        if family.kind in ("peephole", "z"):
            factors[family.peepholes, k] += p
    scaled: Array = factors[:, :, None, None] * honest[:, None, None, window.units]
    return scaled
