"""`compare`: whether two checkpoints hold the same LSTMs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..porting.comparison import SIDES
from .options import PATH, keras_options, layouts_for, layouts_option
from .output import say

if TYPE_CHECKING:
    from ..porting.comparison import ComparedLSTM, Comparison


@click.command("compare")
@click.argument("first", type=PATH, metavar="A")
@click.argument("second", type=PATH, metavar="B")
@layouts_option
@keras_options
@click.option("--without", multiple=True, metavar="CLIP", help="Leave cell_clip, gate_clip or proj_clip out of both.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    first: Path,
    second: Path,
    layouts: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
    **keras: Any,
) -> int:
    """Say whether A and B, checkpoints of any formats, hold the same LSTMs.

    Weights are compared bit for bit in canonical form, the function by the float64 oracle on inputs that show every
    mistake, and the parameter counts are reconciled. Where they differ, the mistake that turns A into B is named.
    """
    from ..porting.compare_files import compare
    from .output import print_json

    found = compare(first, second, layout=layouts_for(layouts, [first, second]), without=without, **keras)
    if as_json:
        print_json(found.to_dict(), allow_nan=False)
    else:
        say("\n".join(_lines(found)))
    return 0 if found.same else 1


def _lines(found: Comparison) -> list[str]:
    lines = [f"A: {found.first} ({found.formats[0]})", f"B: {found.second} ({found.formats[1]})"]
    for pair in found.lstms:
        verdict = "the same LSTM" if pair.same else "NOT the same LSTM"
        lines += ["", f"{pair.first} and {pair.second}: {verdict}"]
        lines += [f"  {text}" for text in _details(pair)]
    lines += ["", f"other layers that differ: {', '.join(found.layers)}"] if found.layers else []
    lines += ["", *(f"without {text}" for text in found.without)] if found.without else []
    lines += [""] if found.unread else []
    lines += [f"{SIDES[lstm['file']]}: {lstm['name']}: not read: {lstm['why']}" for lstm in found.unread]
    return [*lines, "", found.conclusion]


def _details(pair: ComparedLSTM) -> list[str]:
    lines = [f"spec: {text}" for text in pair.spec]
    if pair.comparable:
        summed = ", the two biases of one taken as their sum" if len(set(pair.bias)) > 1 else ""
        same = f"weights: the same, bit for bit, in canonical form{summed}"
        lines += [_tensor(entry) for entry in pair.weights] or [same]
    function = pair.function
    size = "" if pair.score is None else f"; largest error {pair.score:.2g} of what rounding allows"
    both = f", both without {' and '.join(function['without'])}" if function.get("without") else ""
    lines.append(f"function: {function['verdict']}{both}{size}")
    lines += [f"clip: {text}" for text in pair.clips]
    if both and not pair.weights and function["verdict"] == "match":
        again = " ".join(f"--without {clip}" for clip in function["without"])
        lines.append(f"what differs is a clip alone; add {again} to compare all else")
    for key, side in SIDES.items():
        lines.append(f"parameters of {side}: {pair.counts[key]['explanation']}")
    why = pair.diagnosis
    if why is not None:
        lines.append(f"diagnosis: {_cause(why)}")
    return lines


def _tensor(entry: Mapping[str, Any]) -> str:
    worst = entry["worst"]
    layer, direction, name = entry["tensor"].split(".")
    place = f"{name} of layer {layer}{', backward' if direction == '1' else ''}"
    gate = f"gate {worst['gate']} " if worst["gate"] else ""
    return (
        f"weights: {place}: {entry['numbers']} of {entry['of']} numbers differ, "
        f"by up to {entry['max_ulp']:.3g} ulp; "
        f"{gate}{worst['index']} is {worst['first']:.9g} in A and {worst['second']:.9g} in B"
    )


def _cause(why: Mapping[str, Any]) -> str:
    if why["cause"] is None:
        return f"none found; {why['explanation']}"
    how = "B is exactly A with this mistake" if why["certain"] else "this explains B's outputs"
    return f"{why['cause']} ({how}). {why['fix']}"
