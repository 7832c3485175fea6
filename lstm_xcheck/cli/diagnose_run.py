"""What `diagnose` does once its options are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..arrays import Array
from ..checkpoints.formats import load
from ..checkpoints.plain_arrays import read_arrays
from ..compare import judge
from ..diagnose import Diagnosis, diagnose
from ..diagnose.remedy import remedy
from ..diagnose.search import check_observed
from ..errors import UserError
from ..layouts.layer_code import LAYER_CODE
from ..model import Case, LSTMWeights, Result

_DATA = ("x", "h0", "c0", "lengths", "mask")
_OUTPUTS = ("y", "h_n", "c_n", "last")


def run_diagnose(weights: Path, observed: Path, layer_name: str | None, pairs: bool, as_json: bool) -> int:
    """Read, diagnose, print; 0 when nothing is wrong."""
    chosen = choose(load(weights), layer_name, weights)
    case, result = read_observed(observed, chosen)
    found = diagnose(result, case, pairs=pairs)
    agrees = judge(result, case).verdict == "match"
    if as_json:
        click.echo(json.dumps({"agrees": agrees, **found.to_dict()}, indent=1))
    else:
        _print(found, agrees)
    return 0 if agrees else 1


def choose(lstms: dict[str, LSTMWeights], name: str | None, path: Path) -> LSTMWeights:
    """The LSTM meant.

    Raises:
        UserError: when the name is unknown, or none is given and there are several.
    """
    if name is None and len(lstms) == 1:
        return next(iter(lstms.values()))
    if name not in lstms:
        what = f"holds no LSTM {name!r}" if name else f"holds {len(lstms)} LSTMs"
        raise UserError(f"{path} {what}; give --layer-name with one of {', '.join(lstms)}")
    return lstms[name]


def read_observed(path: Path, weights: LSTMWeights) -> tuple[Case, Result]:
    """The case and what was observed of it.

    Raises:
        UserError: when x or all outputs are missing, or an array has a name or shape that means nothing here.
    """
    arrays = read_arrays(path)
    layers = [f"layer{k}.y" for k in range(weights.spec.num_layers - 1)]
    unknown = sorted(set(arrays) - {*_DATA, *_OUTPUTS, *layers})
    if unknown:
        raise UserError(f"{path} holds {unknown[0]!r}; expected names are {', '.join([*_DATA, *_OUTPUTS, *layers])}")
    if "x" not in arrays or not set(arrays) & set(_OUTPUTS):
        raise UserError(f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}, but should hold x and y at least")
    _refuse_other_types(path, arrays)
    data: dict[str, Any] = {name: arrays[name] for name in _DATA if name in arrays}
    case = Case(weights=weights, **data)
    outputs: dict[str, Any] = {name: _floats(arrays[name]) for name in _OUTPUTS if name in arrays}
    present = [name for name in layers if name in arrays]
    if present and present != layers:
        raise UserError(f"{path} holds {', '.join(present)}, but should hold those of all lower layers or none")
    check_observed({**outputs, **{name: _floats(arrays[name]) for name in present}}, case)
    return case, Result(**outputs, layer_outputs=tuple(_floats(arrays[name]) for name in present))


def _refuse_other_types(path: Path, arrays: dict[str, Array]) -> None:
    """Only masks may be anything but real numbers.

    Raises:
        UserError: for text, dates, complex numbers or truth values.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "cbSUOMm" and name not in ("mask", "lengths"):
            raise UserError(f"{path} holds {name} as {array.dtype}, but should hold real numbers")


def _floats(array: Array) -> Array:
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _print(found: Diagnosis, agrees: bool) -> None:
    if agrees or found.cause is None:
        click.echo(found.explanation)
        return
    click.echo(f"cause: {found.cause}")
    click.echo(f"why:   {found.explanation}")
    click.echo(f"fix:   {found.fix}")
    evidence = found.evidence
    click.echo(
        f"proof: error is {evidence['residual_before']:.3g} x the bound as it is, "
        f"{evidence['residual_after']:.2g} x with this explanation"
    )
    if evidence["first"]:
        first = evidence["first"]
        click.echo(
            f"first: layer {first['layer']}, direction {first['direction']}, step {first['step']}, "
            f"row {first['batch']}, unit {first['unit']}"
        )
    for other in found.alternatives:
        same = "the same thing on this case" if other["same_on_this_case"] else "fits too"
        click.echo(f"or:    {other['cause']} ({same})")
    for layout in LAYER_CODE:
        code = remedy(found, layout)
        if code:
            click.echo(f"\n# in {layout}\n{code}")
