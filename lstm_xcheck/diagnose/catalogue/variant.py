"""Layers exchanged, and variants of the LSTM confused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ...arrays import Array
from ...model import Case, CellWeights, LSTMWeights
from ..mistake import CellChange, Mistake, Outputs, WeightsChange, output_name, with_arrays, with_spec


def _layer_order(order: Callable[[int], Sequence[int]]) -> WeightsChange:
    """Take layers in another order; None if impossible or unchanged."""

    def change(weights: LSTMWeights) -> LSTMWeights | None:
        count = weights.spec.num_layers
        chosen = list(order(count))
        rows = [weights.layers[k] for k in chosen]
        same_shape = all(a[0].W.shape == b[0].W.shape for a, b in zip(rows, weights.layers, strict=True))
        if chosen == list(range(count)) or not same_shape:
            return None
        return LSTMWeights(weights.spec, tuple(rows), weights.dtype)

    return change


def _top_layer_missing(outputs: Outputs, case: Case) -> Outputs | None:
    below = output_name(case.spec, case.spec.num_layers - 2)
    if case.spec.num_layers < 2 or below not in outputs:
        return None
    return {**outputs, "y": outputs[below]}


def _y_is_below(outputs: Outputs, case: Case) -> Outputs | None:
    if case.spec.num_layers < 2 or "y" not in outputs:
        return None
    kept = {name: array for name, array in outputs.items() if name != "y"}
    return {**kept, output_name(case.spec, case.spec.num_layers - 2): outputs["y"]}


def _peepholes(change: Callable[[Array], Array]) -> CellChange:
    def cell_change(cell: CellWeights) -> CellWeights | None:
        return None if cell.peephole is None else with_arrays(cell, peephole=change(np.asarray(cell.peephole)))

    return cell_change


def _projection_reshaped(cell: CellWeights) -> CellWeights | None:
    if cell.projection is None or min(cell.projection.shape) == 1:
        return None
    stored = np.asarray(cell.projection)
    return with_arrays(cell, projection=stored.T.reshape(stored.shape))


def _projection_reshaped_to_columns(cell: CellWeights) -> CellWeights | None:
    if cell.projection is None or min(cell.projection.shape) == 1:
        return None
    stored = np.asarray(cell.projection)
    return with_arrays(cell, projection=stored.reshape(stored.shape[::-1]).T)


def _gate_open(gate: int) -> CellChange:
    """A gate that is always 1, as if left out."""

    def change(cell: CellWeights) -> CellWeights | None:
        if cell.b is None:
            return None
        arrays = {name: np.array(getattr(cell, name)) for name in ("W", "U", "b")}
        arrays["W"][gate], arrays["U"][gate], arrays["b"][gate] = 0, 0, 100
        return with_arrays(cell, **arrays)

    return change


def _omitted(**changes: object) -> WeightsChange:
    """Options of the spec that the implementation lacks."""
    return lambda weights: (
        None if all(getattr(weights.spec, k) is None for k in changes) else with_spec(weights, **changes)
    )


def _clip(kind: str, bound: float) -> WeightsChange:
    return lambda weights: None if getattr(weights.spec, kind) is not None else with_spec(weights, **{kind: bound})


_entry = partial(Mistake, family="variant")
_layers_entry = partial(Mistake, family="layers")
_PEEPHOLE_SWAPS = {"i-f": [1, 0, 2], "f-o": [0, 2, 1], "i-o": [2, 1, 0]}
#: The order in which peepholes are read as i, f, o -> where each of those then stands.
_PEEPHOLE_ROTATIONS = {"foi": ([1, 2, 0], [2, 0, 1]), "oif": ([2, 0, 1], [1, 2, 0])}

MISTAKES = (
    _layers_entry("layers-reversed", "layers in reverse order", "The stack was loaded from the top.", "Load layer 0 first.",
           "layers = layers[::-1]", weights=_layer_order(lambda n: range(n - 1, -1, -1))),
    _layers_entry("layers-upper-exchanged", "two upper layers exchanged", "Layers 1 and 2 changed places.",
           "Exchange layers 1 and 2.", "layers = (layers[0], layers[2], layers[1], *layers[3:])", weights=_layer_order(lambda n: [0, 2, 1, *range(3, n)] if n > 2 else range(n))),
    _layers_entry("layer-first-reused", "first layer's weights used in every layer", "Only layer 0 was ever loaded.",
           "Load each layer's own weights.", weights=_layer_order(lambda n: [0] * n), lost=True),
    _layers_entry("layer-last-reused", "last layer's weights used in every layer", "The loop over layers kept only the last one.",
           "Load each layer's own weights.", weights=_layer_order(lambda n: [n - 1] * n), lost=True),
    _layers_entry("layer-second-reused", "second layer's weights used in all upper layers", "Only two layers were loaded.",
           "Load each layer's own weights.", weights=_layer_order(lambda n: [0] + [1] * (n - 1) if n > 2 else range(n)), lost=True),
    _layers_entry("layer-top-missing", "top layer missing", "y is the output of the layer below the top.", "Run the top layer.",
           outputs=_top_layer_missing, undo=_y_is_below),
    _entry("peepholes-dropped", "peepholes dropped", "The implementation has no peepholes.",
           "Use an implementation with peepholes.", cell=_peepholes(np.zeros_like)),
    *(
        _entry(f"peepholes-{name}", f"peepholes of {name.replace('-', ' and ')} exchanged",
               "ONNX orders its peepholes i, o, f; most others i, f, o.", "Reorder the peepholes.",
               f"peephole = peephole[{order}]", cell=_peepholes(lambda p, order=order: p[order]))  # type: ignore[misc]
        for name, order in _PEEPHOLE_SWAPS.items()
    ),
    *(
        _entry(f"peepholes-{order}", f"peepholes of {', '.join(order)} read as those of i, f, o",
               "The peepholes stand in another order than i, f, o, each one place on.", "Reorder the peepholes.",
               f"peephole = peephole[{back}]", cell=_peepholes(lambda p, index=index: p[index]))  # type: ignore[misc]
        for order, (index, back) in _PEEPHOLE_ROTATIONS.items()
    ),
    _entry("projection-reshaped", "projection reshaped instead of transposed",
           "PyTorch stores the projection as (proj, hidden), TensorFlow and Paddle as (hidden, proj).",
           "Transpose the projection.", "projection = projection.reshape(projection.shape[::-1]).T", cell=_projection_reshaped),
    _entry("projection-reshaped-to-columns", "projection reshaped to (hidden, proj) instead of transposed",
           "PyTorch stores the projection as (proj, hidden); it was poured into the other shape row by row.",
           "Transpose the projection.", "projection = projection.T.reshape(projection.shape)",
           cell=_projection_reshaped_to_columns),
    *(
        _entry(f"cell-clip-{bound:g}", f"cell state clipped to +/-{bound:g}", origin, "Remove the cell clip.",
               "cell_clip=0", weights=_clip("cell_clip", bound))
        for bound, origin in (
            (1.0, "A clip of 1 bounds the cell state."),
            (3.0, "tf.raw_ops.BlockLSTM clips the cell state to 3 unless told not to."),
            (10.0, "LiteRT's fused LSTM carries a hidden cell clip of 10."),
        )
    ),
    *(
        _entry(f"gate-clip-{bound:g}", f"pre-activations clipped to +/-{bound:g}",
               "ONNX's clip attribute bounds the inputs of the activations.", "Remove the clip attribute.",
               weights=_clip("gate_clip", bound))
        for bound in (1.0, 3.0, 5.0)
    ),
    _entry("cell-clip-omitted", "cell clip omitted", "The implementation does not clip the cell state.",
           "Clip the cell state as the source does.", weights=_omitted(cell_clip=None)),
    _entry("gate-clip-omitted", "clip of the pre-activations omitted", "The implementation does not clip.",
           "Clip the pre-activations as the source does.", weights=_omitted(gate_clip=None)),
    _entry("clips-exchanged", "pre-activations clipped instead of the cell",
           "The bound meant for the cell was applied to the pre-activations.", "Clip the cell state.",
           weights=lambda w: None if w.spec.cell_clip is None or w.spec.gate_clip is not None
           else with_spec(w, cell_clip=None, gate_clip=w.spec.cell_clip)),
    _entry("coupled-f", "forget gate computed as 1 - i", "ONNX input_forget=1 couples the gates.", "Set input_forget=0.",
           "input_forget=0", weights=partial(with_spec, coupling="f=1-i")),
    _entry("coupled-i", "input gate computed as 1 - f", "TensorFlow Lite's CIFG variant couples the gates.",
           "Use the variant with four gates.", weights=partial(with_spec, coupling="i=1-f")),
    _entry("coupling-omitted", "gates not coupled", "The source couples the input and forget gates.",
           "Couple them as the source does.", weights=_omitted(coupling=None)),
    _entry("no-forget-gate", "no forget gate", "The implementation is the LSTM of 1997: f is always 1.",
           "Use an LSTM with a forget gate.", cell=_gate_open(1), mixes_gates=True),
    _entry("no-output-gate", "no output gate", "h = tanh(c): the output gate was left out.", "Multiply by the output gate.",
           cell=_gate_open(3), mixes_gates=True),
    _entry("no-input-gate", "no input gate", "c = f c + g: the input gate was left out.", "Multiply g by the input gate.",
           cell=_gate_open(0), mixes_gates=True),
)  # fmt: skip
