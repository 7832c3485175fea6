"""`trace`: gates and states, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import ADAPTERS, PATH, spec_options

if TYPE_CHECKING:
    from rich.console import Console

    from ..arrays import Array
    from ..engine.adapter_trace import AdapterTrace
    from ..model import LSTMSpec, LSTMWeights
    from ..oracle.trace import Trace
    from ..report.trace_view import Choice
    from .parsed_options import TraceOptions

#: Units that are printed unless --unit names others.
_DEFAULT_UNITS = 8
_INIT = "probe"


@click.command("trace")
@click.argument("file", required=False, type=PATH)
@click.option("--layer-name", metavar="NAME", help="Which LSTM of FILE, where it holds several.")
@spec_options
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="S", help="Of random weights.  [default: 0]")
@click.option("--init", metavar="NAME", help="How to draw weights: probe, keras, torch, ...  [default: probe]")
@click.option("--input", "input_file", type=PATH, metavar="X.npy", help="(steps, features), or a batch.")
@click.option("--one-hot", metavar="4,7,8,4", help="One-hot steps by their indices; needs --depth.")
@click.option("--depth", type=int, metavar="N", help="Width of a one-hot step.")
@click.option("--values", metavar="1,2,3,4", help="One number per step; 1,2;3,4 is two features in two steps.")
@click.option("--steps", type=click.IntRange(min=1), metavar="T", help="Random input of T steps.  [default: 5]")
@click.option("--row", type=int, default=0, metavar="N", help="Row of the batch to show.  [default: 0]")
@click.option("--layer", type=int, metavar="K", help="Layer to show.  [default: the top one]")
@click.option("--direction", type=click.Choice(["forward", "backward"]), help="Direction to show.  [default: all]")
@click.option("--unit", metavar="0,3", help="Units to show.  [default: the first 8]")
@click.option("--adapter", type=ADAPTERS, metavar="NAME[=TARGET]", help="Run this one, too, and show where it parts.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON: all layers, units and rows.")
def command(**arguments: Any) -> int:
    """Show the gates i, f, g (cell candidate), o and the states c,
    h of every step, in float64.

    The LSTM comes from FILE (a checkpoint) or, with random weights, from --input-size and --hidden-size. The input
    comes from --input, --one-hot or --values. Initial states are zero.

    For example: lstm-xcheck trace --input-size 1 --hidden-size 1 --values 1,2,3,4

    For a checkpoint: lstm-xcheck trace model.pt --one-hot 4,7,8,4 --depth 10

    With --adapter, an installed adapter or an implementation of your own, as verify takes them, runs the same input;
    the exit code is 1 where it is wrong.
    """
    from rich.console import Console

    from ..engine.adapter_trace import trace_adapter
    from ..report.trace_view import print_trace, to_dict
    from ..tracing import trace
    from .output import print_json
    from .parsed_options import TraceOptions

    options = TraceOptions(**arguments)
    lstm, origin = _lstm(options)
    x, indices, content = _input(options)
    given: dict[str, Any] = {"one_hot": indices, "depth": options.depth, "steps": options.steps}
    run = trace(lstm, x, seed=options.seed, init=options.init or _INIT, **given)
    traced = None if options.adapter is None else trace_adapter(options.adapter, run.case)
    code = 0 if traced is None or traced.diagnosis is None else 1
    if options.as_json:
        cells = [cell for cells in run.cells for cell in cells]
        data = {"weights": origin, "input": content, **to_dict(run, cells)}
        print_json({**data, **({} if traced is None else {"adapter": traced.to_dict()})}, allow_nan=False)
        return code
    choice = _choose(run, options)
    console = Console(highlight=False)
    for line in (*_heading(run, origin, content, options.row), *_hints(run.case.spec, options)):
        console.print(line, markup=False, soft_wrap=not console.is_terminal)
    print_trace(run, choice, console)
    if traced is not None:
        _print_adapter(traced, run, choice, console)
    return code


def _print_adapter(traced: AdapterTrace, run: Trace, choice: Choice, console: Console) -> None:
    """The outputs of the top layer beside those of the implementation."""
    from .output import plain_table

    spec, row = run.case.spec, choice.row
    console.print(f"\n{traced.adapter}, top layer: h beside the true one", style="bold", markup=False)
    table = plain_table("t", "direction", "unit", "true h", traced.adapter, "error / bound", right=("t", "unit"))
    for direction, cell in enumerate(run.cells[-1]):
        units = [unit for unit in choice.units if unit < spec.output_size]
        for t, unit in ((t, unit) for t in range(run.case.steps) for unit in units):
            column = direction * spec.output_size + unit
            way = "backward" if spec.is_backward(cell.direction) else "forward"
            numbers = f"{cell.h[row, t, unit]:.6g}", f"{traced.y[row, t, column]:.6g}"
            table.add_row(str(t), way, str(unit), *numbers, f"{traced.score[row, t, column]:.2g}")
    console.print(table)
    console.print(traced.sentence, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _lstm(options: TraceOptions) -> tuple[LSTMWeights | LSTMSpec, str]:
    """The LSTM, and where it comes from in words."""
    from dataclasses import fields

    from ..tracing import load_lstm
    from .parsed_options import SpecOptions

    file, name, init = options.file, options.layer_name, options.init
    if file is None:
        if name is not None:
            raise UserError(f"--layer-name {name} chooses an LSTM of a FILE, but no FILE is given")
        return options.spec(), f"random weights ({init or _INIT}, seed {options.seed})"
    given = [
        field.name for field in fields(SpecOptions) if getattr(options, field.name) not in (field.default, None, 0)
    ]
    if given or init is not None:
        extra = given[0] if given else "init"
        raise UserError(
            f"--{extra.replace('_', '-')} describes random weights, but FILE {file} has its own; leave one out"
        )
    return load_lstm(file, name)


def _input(options: TraceOptions) -> tuple[Path | Array | None, list[int] | None, str]:
    """A file or values, indices of one-hot steps, and a description."""
    chosen = {"--input": options.input_file, "--one-hot": options.one_hot, "--values": options.values}
    names = [name for name, value in {**chosen, "--steps": options.steps}.items() if value is not None]
    if len(names) > 1:
        raise UserError(f"{' and '.join(names)} are both inputs; give one")
    if options.input_file is not None:
        return options.input_file, None, str(options.input_file)
    if options.one_hot is not None:
        indices = _parsed("--one-hot", options.one_hot, int, "whole numbers such as 4,7,8,4")
        return None, indices, f"one-hot {options.one_hot}"
    if options.values is not None:
        return numbers(options.values), None, "the values given"
    return None, None, f"random (seed {options.seed})"


def numbers(text: str) -> Array:
    """Steps of one feature by commas, or of several by semicolons.

    >>> numbers("1,2,3,4").tolist()
    [[1.0], [2.0], [3.0], [4.0]]
    """
    import numpy as np

    wanted = "numbers such as 1,2,3,4, or 1,2;3,4 for two features"
    if ";" not in text:
        text = text.replace(",", ";")
    steps = [_parsed("--values", step, float, wanted) for step in text.split(";")]
    if len({len(step) for step in steps}) != 1:
        raise UserError(
            f"--values: the steps have {', '.join(str(len(step)) for step in steps)} features; make them equal"
        )
    return np.array(steps)


def _parsed(option: str, text: str, kind: Callable[[str], Any], wanted: str) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option}: {text!r} should be {wanted}") from None


def _choose(run: Trace, options: TraceOptions) -> Choice:
    from ..report.trace_view import Choice

    spec, direction = run.case.spec, options.direction
    _check_range("--row", options.row, run.case.batch, "rows")
    layer = spec.num_layers - 1 if options.layer is None else options.layer
    _check_range("--layer", layer, spec.num_layers, "layers")
    cells = run.cells[layer]
    if direction is not None:
        cells = tuple(cell for cell in cells if spec.is_backward(cell.direction) == (direction == "backward"))
    if not cells:
        raise UserError(f"--direction {direction}: the LSTM reads the sequence the other way only")
    return Choice(options.row, cells, _units(options.unit, spec.hidden_size))


def _units(text: str | None, hidden: int) -> tuple[int, ...]:
    if text is None:
        return tuple(range(min(hidden, _DEFAULT_UNITS)))
    try:
        units = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--unit is {text!r}, but should be whole numbers such as 0,3") from None
    for unit in units:
        _check_range("--unit", unit, hidden, "units")
    return units


def _check_range(option: str, value: int, size: int, items: str) -> None:
    if not 0 <= value < size:
        raise UserError(f"{option} is {value}, but should be from 0 to {size - 1}: there are {size} {items}")


def _heading(run: Trace, origin: str, content: str, row: int) -> list[str]:
    spec, case = run.case.spec, run.case
    extras = [f"{spec.num_layers} layers"] if spec.num_layers > 1 else []
    extras += ["bidirectional"] if spec.bidirectional else []
    extras += [f"projection {spec.proj_size}"] if spec.proj_size else []
    shape = ", ".join([f"input {spec.input_size}, hidden {spec.hidden_size}", *extras])
    rows = f", showing row {row}" if case.batch > 1 else ""
    return [
        f"LSTM: {shape}; {_count(spec)}; {origin}",
        f"input: {content}, (batch, steps, features) = {case.x.shape}{rows}",
    ]


def _count(spec: LSTMSpec) -> str:
    if spec.bias == "none":
        return f"{spec.canonical_count:,} parameters"
    second = 4 * spec.hidden_size * spec.num_layers * spec.num_directions
    one, two = spec.canonical_count, spec.canonical_count + second
    return f"{one:,} parameters with one bias (Keras), {two:,} with two (PyTorch)"


def _hints(spec: LSTMSpec, options: TraceOptions) -> list[str]:
    """Options that show the remaining layers and units."""
    hints = []
    if options.layer is None and spec.num_layers > 1:
        hints.append(f"showing the top layer of {spec.num_layers}; --layer 0 shows the lowest")
    if options.unit is None and spec.hidden_size > _DEFAULT_UNITS:
        hints.append(f"showing units 0 to {_DEFAULT_UNITS - 1} of {spec.hidden_size}; --unit 8,9 shows others")
    return hints
