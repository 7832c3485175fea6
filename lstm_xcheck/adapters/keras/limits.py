"""What no version of Keras has. Loads no framework."""

from __future__ import annotations

from ...model import Case


def unsupported_by_keras(case: Case) -> str | None:
    """Why `keras.layers.LSTM` cannot run a case, or None: it has neither projection, peepholes, clips nor coupling."""
    spec = case.spec
    missing = {
        "projection": spec.proj_size,
        "peepholes": spec.peepholes,
        "gate clip": spec.gate_clip,
        "cell clip": spec.cell_clip,
        "projection clip": spec.proj_clip,
        "coupled gates": spec.coupling,
    }
    for what, given in missing.items():
        if given:
            return f"{what}: keras.layers.LSTM has none"
    if spec.cell_activation != spec.output_activation:
        return (
            f"activations: keras.layers.LSTM applies one `activation` to the candidate and to the cell, not "
            f"{spec.cell_activation} and {spec.output_activation}"
        )
    if case.returns == "last" and case.h0 is not None and not case.valid.any(axis=1).all():
        return "mask: LSTM(return_sequences=False) has no last output for a row without a valid step"
    return None
