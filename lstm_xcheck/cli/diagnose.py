"""`diagnose`: which mistake explains these outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import LAYOUT, PATH, keras_options
from .output import say

if TYPE_CHECKING:
    from ..arrays import Array
    from ..diagnose import Diagnosis
    from ..model import Case, LSTMWeights, Result

_DATA = ("x", "h0", "c0", "lengths", "mask")
_CANONICAL = "canonical"
_OUTPUTS = ("y", "h_n", "c_n", "last")


@click.command("diagnose")
@click.argument("weights", type=PATH)
@click.argument("observed", type=PATH, required=False)
@click.option(
    "--run", "target", metavar="TARGET", help="Run MODULE:FUNCTION, cmd:PROGRAM or lib:PATH:SYMBOL instead of OBSERVED."
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=30.0, metavar="S", help="Seconds for one case of --run."
)
@click.option("--layer-name", metavar="NAME", help="Which LSTM of WEIGHTS, where it holds several.")
@click.option("--no-pairs", is_flag=True, help="Do not look for two mistakes at once.")
@click.option(
    "--for-arrays",
    "arrays_layout",
    metavar="LAYOUT",
    help="Print the fix for a function that gets arrays of this layout; canonical for W, U and b in LSTMWeights.",
)
@click.option("--layout", metavar="NAME", type=LAYOUT, help="The layout of WEIGHTS, where its names do not say it.")
@keras_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    weights: Path,
    observed: Path | None,
    target: str | None,
    timeout: float,
    layer_name: str | None,
    no_pairs: bool,
    arrays_layout: str | None,
    layout: str | None,
    as_json: bool,
    **keras: Any,
) -> int:
    """Name the mistake that explains OBSERVED, given the checkpoint WEIGHTS.

    With --run there is no OBSERVED: an implementation of your own is run on cases with these weights, and on probes.

    OBSERVED is an .npz or .safetensors file with x (batch, steps, input) and y (batch, steps, output), and where you
    have them h0, c0, h_n, c_n (layers * directions, batch, width), lengths (batch), and layer0.y, layer1.y ... for the
    outputs of lower layers. Exit code 0 when nothing is wrong, 1 when something is, explained or not.
    """
    from ..checkpoints.formats import load
    from ..layouts import layout_named
    from .output import print_json

    if arrays_layout not in (None, _CANONICAL):
        layout_named(str(arrays_layout))
    chosen = choose(load(weights, layout, **keras), layer_name, weights)
    if (observed is None) == (target is None):
        given = "both are" if observed else "neither is"
        raise UserError(f"give either OBSERVED, a file of outputs, or --run TARGET; {given} given")
    if observed is None:
        from ..engine.diagnose_run import diagnose_run

        found, agrees = diagnose_run(str(target), chosen, timeout, pairs=not no_pairs)
    else:
        found, agrees = _diagnose_file(observed, chosen, pairs=not no_pairs)
    if as_json:
        print_json({"agrees": agrees, **found.to_dict()})
    else:
        _print(found, agrees, arrays_layout)
    return 0 if agrees else 1


def _diagnose_file(observed: Path, weights: LSTMWeights, *, pairs: bool) -> tuple[Diagnosis, bool]:
    """The diagnosis of observed outputs, and whether nothing is wrong."""
    from ..compare import judge
    from ..diagnose import diagnose

    case, result = read_observed(observed, weights)
    found = diagnose(result, case, pairs=pairs)
    return found, found.nothing_wrong or judge(result, case).verdict == "match"


def choose(lstms: dict[str, LSTMWeights], name: str | None, path: Path) -> LSTMWeights:
    """The LSTM of that name, or the only one."""
    if name is None and len(lstms) == 1:
        return next(iter(lstms.values()))
    if name not in lstms:
        content = f"holds no LSTM {name!r}" if name else f"holds {len(lstms)} LSTMs"
        raise UserError(f"{path} {content}; give --layer-name with one of {', '.join(lstms)}")
    return lstms[name]


def read_observed(path: Path, weights: LSTMWeights) -> tuple[Case, Result]:
    """The case and the observed outputs."""
    from ..checkpoints.plain_arrays import read_arrays
    from ..diagnose.observations import check_observed
    from ..model import Case, Result

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
    """Refuse arrays of anything but real numbers, except masks and lengths."""
    for name, array in arrays.items():
        if array.dtype.kind in "cbSUOMm" and name not in ("mask", "lengths"):
            raise UserError(f"{path} holds {name} as {array.dtype}, but should hold real numbers")


def _floats(array: Array) -> Array:
    return array if array.dtype.kind == "f" else array.astype("float64")


def _print(found: Diagnosis, agrees: bool, layout: str | None) -> None:
    from ..diagnose.remedy import function_remedy, remedy, why_no_code
    from ..layouts.layer_code import LAYER_CODE

    if agrees or found.cause is None:
        say(found.explanation)
        for other in found.within_reach:
            say(f"within reach, not proven: {other['cause']} ({other['reason']})")
        return
    say(f"cause: {found.cause}")
    say(f"why:   {found.explanation}")
    say(f"fix:   {found.fix}")
    evidence = found.evidence
    before = evidence["residual_before"]
    as_it_is = (
        "the outputs are impossible as they are" if before is None else f"error is {before:.3g} x the bound as it is"
    )
    say(f"proof: {as_it_is}, {evidence['residual_after']:.2g} x with this explanation")
    if evidence["first"]:
        first = evidence["first"]
        say(
            f"first: layer {first['layer']}, direction {first['direction']}, step {first['step']}, "
            f"row {first['batch']}, unit {first['unit']}"
        )
    for other in found.alternatives:
        same = "the same thing on this case" if other["same_on_this_case"] else "fits too"
        say(f"or:    {other['cause']} ({same})")
    codes = {f"in {name}": remedy(found, name) for name in LAYER_CODE if layout is None}
    if not any(codes.values()):
        codes = {"for a function of your own": function_remedy(found, layout if layout != _CANONICAL else None)}
    for where, code in codes.items():
        if code:
            click.echo(f"\n# {where}\n{code}")
    if why_no_code(found):
        say(f"\n{why_no_code(found)}")
