"""The work of `trace`: find the LSTM, read the input, choose what is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ..errors import UserError
from ..model import Case, LSTMSpec, LSTMWeights
from ..oracle.trace import Trace, trace
from ..report.trace_view import Choice, print_trace, to_dict
from .spec_options import build_spec
from .trace_input import read_input

_SHOWN_UNITS = 8
#: Random weights beyond this would fill the memory to show numbers that nobody reads.
_MOST_PARAMETERS = 100_000_000
_SPEC_OPTIONS = ("input_size", "hidden_size", "layers", "bidirectional", "proj_size", "bias")


def run_trace(*, as_json: bool, row: int, layer: int | None, direction: str | None, **options: Any) -> None:
    """Trace one LSTM and print it.

    Raises:
        UserError: for an option, file or input that does not fit.
    """
    weights, whence = _weights(options)
    x, what = read_input(weights.spec, options)
    run = trace(Case(weights=weights, x=x))
    if as_json:
        cells = [cell for cells in run.cells for cell in cells]
        click.echo(json.dumps({"weights": whence, "input": what, **to_dict(run, cells)}, indent=1, allow_nan=False))
        return
    choice = _choose(run, row, layer, direction, options["unit"])
    console = Console(highlight=False)
    for line in (*_heading(run, whence, what, row), *_hints(run.case.spec, layer, options["unit"])):
        console.print(line, markup=False, soft_wrap=True)
    print_trace(run, choice, console)


def _weights(options: dict[str, Any]) -> tuple[LSTMWeights, str]:
    """The LSTM and where it comes from, in words."""
    file, name, init = options["file"], options["layer_name"], options["init"]
    if file is None:
        if name is not None:
            raise UserError(f"--layer-name {name} chooses an LSTM of a FILE, but no FILE is given")
        spec = build_spec(**{key: options[key] for key in _SPEC_OPTIONS})
        if spec.parameter_count > _MOST_PARAMETERS:
            raise UserError(
                f"this LSTM has {spec.parameter_count:,} parameters; trace one of {_MOST_PARAMETERS:,} or fewer"
            )
        seed, drawn = options["seed"], init or "probe"
        return LSTMWeights.random(spec, seed=seed, init=drawn), f"random weights ({drawn}, seed {seed})"
    given = [
        key for key in _SPEC_OPTIONS if options[key] not in (None, False, 0) and (key, options[key]) != ("layers", 1)
    ]
    if given or init is not None:
        extra = given[0] if given else "init"
        raise UserError(
            f"--{extra.replace('_', '-')} describes random weights, but FILE {file} has its own; leave one out"
        )
    return _load(file, name)


def _load(file: Path, name: str | None) -> tuple[LSTMWeights, str]:
    from ..checkpoints.codecs.limits import escape, shortlist
    from ..checkpoints.formats import load

    found = load(file)
    names = shortlist([escape(key) for key in found])
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise UserError(f"{file} holds {len(found)} LSTMs; choose one by --layer-name: {names}")
    if name not in found:
        raise UserError(f"{file} has no LSTM named {name!r}; it has {names}")
    return found[name], f"{escape(name) or 'the LSTM'} of {file}"


def _choose(run: Trace, row: int, layer: int | None, direction: str | None, units: str | None) -> Choice:
    spec = run.case.spec
    _check_range("--row", row, run.case.batch, "rows")
    layer = spec.num_layers - 1 if layer is None else layer
    _check_range("--layer", layer, spec.num_layers, "layers")
    cells = run.cells[layer]
    if direction is not None:
        cells = tuple(cell for cell in cells if spec.is_backward(cell.direction) == (direction == "backward"))
    if not cells:
        raise UserError(f"--direction {direction}: the LSTM reads the sequence the other way only")
    return Choice(row, cells, _units(units, spec.hidden_size))


def _units(text: str | None, hidden: int) -> tuple[int, ...]:
    if text is None:
        return tuple(range(min(hidden, _SHOWN_UNITS)))
    try:
        units = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--unit is {text!r}, but should be whole numbers such as 0,3") from None
    for unit in units:
        _check_range("--unit", unit, hidden, "units")
    return units


def _check_range(option: str, value: int, size: int, what: str) -> None:
    if not 0 <= value < size:
        raise UserError(f"{option} is {value}, but should be from 0 to {size - 1}: there are {size} {what}")


def _heading(run: Trace, whence: str, what: str, row: int) -> list[str]:
    spec, case = run.case.spec, run.case
    extras = [f"{spec.num_layers} layers"] if spec.num_layers > 1 else []
    extras += ["bidirectional"] if spec.bidirectional else []
    extras += [f"projection {spec.proj_size}"] if spec.proj_size else []
    shape = ", ".join([f"input {spec.input_size}, hidden {spec.hidden_size}", *extras])
    rows = f", showing row {row}" if case.batch > 1 else ""
    return [
        f"LSTM: {shape}; {_count(spec)}; {whence}",
        f"input: {what}, (batch, steps, features) = {case.x.shape}{rows}",
    ]


def _count(spec: LSTMSpec) -> str:
    if spec.bias == "none":
        return f"{spec.canonical_count:,} parameters"
    second = 4 * spec.hidden_size * spec.num_layers * spec.num_directions
    one, two = spec.canonical_count, spec.canonical_count + second
    return f"{one:,} parameters with one bias (Keras), {two:,} with two (PyTorch)"


def _hints(spec: LSTMSpec, layer: int | None, units: str | None) -> list[str]:
    """How to see what is not shown."""
    hints = []
    if layer is None and spec.num_layers > 1:
        hints.append(f"showing the top layer of {spec.num_layers}; --layer 0 shows the lowest")
    if units is None and spec.hidden_size > _SHOWN_UNITS:
        hints.append(f"showing units 0 to {_SHOWN_UNITS - 1} of {spec.hidden_size}; --unit 8,9 shows others")
    return hints
