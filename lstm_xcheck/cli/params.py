"""`params`: parameters by convention, and why the numbers differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import spec_options

if TYPE_CHECKING:
    from rich.table import Table

    from ..layouts.counts import ParameterCount
    from ..model import LSTMSpec

#: Bias scheme -> its best known user, and the scheme in words.
_LABELS = {
    "single": ("Keras", "one bias vector"),
    "split": ("PyTorch", "two bias vectors"),
    "none": ("every", "no bias vector"),
}


@dataclass(frozen=True)
class Convention:
    """The count of the layouts with one bias scheme; `head`: a Dense layer's."""

    scheme: str
    layouts: tuple[str, ...]
    count: ParameterCount
    head: int

    @property
    def total(self) -> int:
        """LSTM and head."""
        return self.count.total + self.head


@click.command("params")
@spec_options
@click.option("--head", type=int, default=0, metavar="N", help="Add a Dense layer of N units on the last output.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(head: int, as_json: bool, **options: Any) -> None:
    """Count the parameters of an LSTM in each convention,
    with the formula and the sizes of W, U and b.

    For example: lstm-xcheck params --input-size 2308 --hidden-size 32 --head 1
    """
    from .output import print_json
    from .parsed_options import SpecOptions

    spec = SpecOptions(**options).spec()
    if head < 0:
        raise UserError(f"--head is {head}, but should be the number of units of the Dense layer, 1 or more")
    found = conventions(spec, head)
    if as_json:
        print_json(_to_dict(spec, head, found))
    else:
        _print(spec, head, found, options["bias"])


def conventions(spec: LSTMSpec, head: int) -> list[Convention]:
    """The counts by bias scheme, of layouts that can store this LSTM."""
    from ..layouts import TABLE, count_parameters

    without, size = left_out(spec), head_count(spec, head)
    groups: dict[str, list[str]] = {}
    for row in TABLE:
        if row.name not in without:
            groups.setdefault("none" if spec.bias == "none" else row.bias, []).append(row.name)
    return [
        Convention(scheme, tuple(groups[scheme]), count_parameters(spec, layout=groups[scheme][0]), size)
        for scheme in _LABELS
        if scheme in groups
    ]


def head_count(spec: LSTMSpec, head: int) -> int:
    """Parameters of a Dense layer on the last output of all directions."""
    return (spec.num_directions * spec.output_size + 1) * head


def left_out(spec: LSTMSpec) -> dict[str, str]:
    """The layouts that cannot store this LSTM, with the reasons."""
    from ..layouts import TABLE

    reasons = {}
    for row in TABLE:
        if spec.proj_size and row.tensor_for("projection") is None:
            reasons[row.name] = "no place for a projection"
        elif spec.bias == "none" and row.forget_bias:
            reasons[row.name] = "a bias all the same, to undo its run-time forget bias"
    return reasons


def _to_dict(spec: LSTMSpec, head: int, found: list[Convention]) -> dict[str, Any]:
    from ..layouts.counts import formula

    fields = ("input_size", "hidden_size", "num_layers", "bidirectional", "proj_size")
    return {
        "spec": {name: getattr(spec, name) for name in fields},
        "formula": formula(spec),
        "canonical": spec.canonical_count,
        "head": {"units": head, "parameters": head_count(spec, head)},
        "conventions": {
            one.scheme: {
                "layouts": list(one.layouts),
                "by_tensor": one.count.by_tensor,
                "lstm": one.count.total,
                "head": one.head,
                "total": one.total,
                "explanation": one.count.explanation,
            }
            for one in found
        },
        "left_out": left_out(spec),
    }


def _print(spec: LSTMSpec, head: int, found: list[Convention], given: str | None) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print("\n".join(_formula_lines(spec, head)), markup=False, soft_wrap=not console.is_terminal)
    console.print()
    console.print(_table(found))
    console.print()
    for one in found:
        console.print(_sentence(spec, one, given), markup=False, soft_wrap=not console.is_terminal)
    reasons = left_out(spec)
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name in reasons if reasons[name] == reason)
        console.print(f"Left out: {names}: {reason}.", markup=False, soft_wrap=not console.is_terminal)


def _formula_lines(spec: LSTMSpec, head: int) -> list[str]:
    """The formula with its values, by layer, and that of the head."""
    lines = [_layer_line(spec, 0, "one layer" if spec.num_layers == 1 else "layer 0")]
    if spec.num_layers > 1:
        above = spec.num_layers - 1
        lines.append(_layer_line(spec, 1, "layer 1" if above == 1 else f"layers 1 to {above}, each"))
        lines.append(f"all {spec.num_layers} layers: {spec.canonical_count:,}")
    if head:
        width, count = spec.num_directions * spec.output_size, head_count(spec, head)
        lines.append(f"head: Dense on the last output = {width:,} * {head:,} + {head:,} = {count:,}")
    return lines


def _layer_line(spec: LSTMSpec, layer: int, label: str) -> str:
    x, h, r = spec.layer_input_size(layer), spec.hidden_size, spec.output_size
    width, bias = ("r", " + r*h") if spec.proj_size else ("h", "")
    symbols = f"4((x + {width})h{'' if spec.bias == 'none' else ' + h'}){bias}"
    values = f"4(({x:,} + {r:,}) * {h:,}{'' if spec.bias == 'none' else f' + {h:,}'})"
    values += f" + {r:,} * {h:,}" if spec.proj_size else ""
    if spec.bidirectional:
        symbols, values = f"2 * ({symbols})", f"2 * ({values})"
    count = spec.layer(layer).canonical_count
    return f"{label}: {symbols} = {values} = {count:,}"


def _table(found: list[Convention]) -> Table:
    from .output import plain_table

    tensors = list(dict.fromkeys(name for one in found for name in one.count.by_tensor))
    counts = (*tensors, "LSTM", "head", "total")
    table = plain_table("convention", *counts, right=counts)
    for one in found:
        sizes = [f"{one.count.by_tensor[name]:,}" if name in one.count.by_tensor else "" for name in tensors]
        head = f"{one.head:,}" if one.head else ""
        table.add_row(_LABELS[one.scheme][0], *sizes, f"{one.count.total:,}", head, f"{one.total:,}")
    return table


def _sentence(spec: LSTMSpec, one: Convention, given: str | None) -> str:
    """The total of a convention, explained."""
    name, vectors = _LABELS[one.scheme]
    total = f"{one.count.total:,} + {one.head:,} = {one.total:,}" if one.head else f"{one.count.total:,}"
    text = f"{name} convention ({', '.join(one.layouts)}): {total}, {vectors} per layer and direction."
    second, lstm = one.count.by_tensor.get("b_r", 0), one.count.total
    if second:
        cells = spec.num_layers * spec.num_directions
        each = f"4h = {4 * spec.hidden_size:,}"
        times = f" for each of {cells} layers and directions" if cells > 1 else ""
        text += f" {name} reports {lstm:,} = {spec.canonical_count:,} + {second:,}: a second bias of {each}{times}."
        text += " The two vectors are only ever added, so the function is the same."
    return text + _conversion(given, one.scheme)


def _conversion(given: str | None, scheme: str) -> str:
    """How a convention stores the bias that --bias describes."""
    if given == "single" and scheme == "split":
        return " Yours has one: it is stored beside a vector of zeros."
    if given == "split" and scheme == "single":
        return " Yours has two: their sum is stored."
    return ""
