"""What `compare` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..comparison import compare_files


def run_compare(first: Path, second: Path, as_json: bool) -> int:
    """Compare and print; 0 when every LSTM is the same."""
    found = compare_files(first, second)
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(_lines(found)))
    return 0 if found["same"] else 1


def _lines(found: Mapping[str, Any]) -> list[str]:
    lines = [f"A: {found['first']} ({found['formats'][0]})", f"B: {found['second']} ({found['formats'][1]})"]
    for pair in found["lstms"]:
        lines += ["", f"{pair['first']} and {pair['second']}: {'the same LSTM' if pair['same'] else 'NOT the same LSTM'}"]
        lines += [f"  {text}" for text in _details(pair)]
    verdict = "SAME: every LSTM is the same in both files" if found["same"] else "DIFFERENT: the files do not hold the same LSTMs"
    return [*lines, "", verdict]


def _details(pair: Mapping[str, Any]) -> list[str]:
    lines = [f"spec: {text}" for text in pair["spec"]]
    if not pair["spec"]:
        lines += [_tensor(entry) for entry in pair["weights"]] or ["weights: the same, bit for bit, in canonical form"]
    function = pair["function"]
    size = "" if function.get("score") is None else f"; largest error {float(function['score']):.2g} of what rounding allows"
    lines.append(f"function: {function['verdict']}{size}")
    lines += [f"parameters of {side}: {pair['counts'][key]['explanation']}" for side, key in (("A", "first"), ("B", "second"))]
    why = pair["diagnosis"]
    if why is not None:
        lines.append(f"diagnosis: {_cause(why)}")
    return lines


def _tensor(entry: Mapping[str, Any]) -> str:
    worst = entry["worst"]
    gate = f"gate {worst['gate']} " if worst["gate"] else ""
    return (
        f"weights: {entry['tensor']}: {entry['numbers']} of {entry['of']} numbers differ, by up to {entry['max_ulp']:.3g} ulp; "
        f"{gate}{worst['index']} is {worst['first']:.9g} in A and {worst['second']:.9g} in B"
    )


def _cause(why: Mapping[str, Any]) -> str:
    if why["cause"] is None:
        return f"none found; {why['explanation']}"
    how = "B is exactly A with this mistake" if why["certain"] else "this explains B's outputs"
    return f"{why['cause']} ({how}). {why['fix']}"
