"""`params`: how many parameters each convention counts, and why the numbers differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import spec_options

if TYPE_CHECKING:
    from rich.table import Table

    from ..model import LSTMSpec

#: Bias scheme -> its best known user, and the scheme in words.
_LABELS = {
    "single": ("Keras", "one bias vector"),
    "split": ("PyTorch", "two bias vectors"),
    "none": ("every", "no bias vector"),
}


@dataclass(frozen=True)
class Convention:
    """What the frameworks of one bias scheme count.

    Attributes:
        scheme: `single`, `split` or `none`.
        layouts: the frameworks that count so.
        by_tensor: numbers by canonical array.
        lstm: their sum.
        head: parameters of the Dense layer behind it.
    """

    scheme: str
    layouts: tuple[str, ...]
    by_tensor: dict[str, int]
    lstm: int
    head: int

    @property
    def total(self) -> int:
        """LSTM and head."""
        return self.lstm + self.head


@click.command("params")
@spec_options
@click.option("--head", type=int, default=0, metavar="N", help="Add a Dense layer of N units on the last output.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(head: int, as_json: bool, **options: Any) -> None:
    """Count the parameters of an LSTM in each convention, with the formula and the sizes of W, U and b.

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
    """One entry for each bias scheme among the layouts, the frameworks that cannot store this LSTM left out."""
    from ..layouts import TABLE, count_parameters

    groups: dict[str, list[str]] = {}
    for row in TABLE:
        if _obstacle(spec, row.name) is None:
            groups.setdefault("none" if spec.bias == "none" else row.bias, []).append(row.name)
    result = []
    for scheme in sorted(groups, key=list(_LABELS).index):
        count = count_parameters(spec, layout=groups[scheme][0])
        size = head_count(spec, head)
        result.append(Convention(scheme, tuple(groups[scheme]), count.by_tensor, count.total, size))
    return result


def head_count(spec: LSTMSpec, head: int) -> int:
    """Weights and biases of a Dense layer on the last output of both directions."""
    return (spec.num_directions * spec.output_size + 1) * head


def _obstacle(spec: LSTMSpec, layout: str) -> str | None:
    """Why a framework cannot store this LSTM, if so."""
    from ..layouts import layout_named

    row = layout_named(layout)
    if spec.proj_size and row.tensor_for("projection") is None:
        return "no place for a projection"
    if spec.bias == "none" and row.forget_bias:
        return "a bias all the same, to undo its run-time forget bias"
    return None


def _obstacles(spec: LSTMSpec) -> dict[str, str]:
    from ..layouts import TABLE

    reasons = {row.name: _obstacle(spec, row.name) for row in TABLE}
    return {name: reason for name, reason in reasons.items() if reason}


def _to_dict(spec: LSTMSpec, head: int, found: list[Convention]) -> dict[str, Any]:
    from ..layouts.counts import explain_count, formula

    return {
        "spec": {
            name: getattr(spec, name)
            for name in ("input_size", "hidden_size", "num_layers", "bidirectional", "proj_size")
        },
        "formula": formula(spec),
        "canonical": spec.canonical_count,
        "head": {"units": head, "parameters": head_count(spec, head)},
        "conventions": {
            one.scheme: {
                "layouts": list(one.layouts),
                "by_tensor": one.by_tensor,
                "lstm": one.lstm,
                "head": one.head,
                "total": one.total,
                "explanation": explain_count(spec, one.lstm),
            }
            for one in found
        },
        "left_out": _obstacles(spec),
    }


def _print(spec: LSTMSpec, head: int, found: list[Convention], given: str | None) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    lines = [*_formula_lines(spec), *_head_lines(spec, head)]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print()
    console.print(_table(found))
    console.print()
    for one in found:
        console.print(_sentence(spec, one, given), markup=False, soft_wrap=True)
    reasons = _obstacles(spec)
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name in reasons if reasons[name] == reason)
        console.print(f"Left out: {names}: {reason}.", markup=False, soft_wrap=True)


def _formula_lines(spec: LSTMSpec) -> list[str]:
    """The formula with its values: for the first layer, and once for all layers above, which are alike."""
    lines = [_layer_line(spec, 0, "one layer" if spec.num_layers == 1 else "layer 0")]
    if spec.num_layers > 1:
        above = spec.num_layers - 1
        lines.append(_layer_line(spec, 1, "layer 1" if above == 1 else f"layers 1 to {above}, each"))
        lines.append(f"all {spec.num_layers} layers: {spec.canonical_count:,}")
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


def _head_lines(spec: LSTMSpec, head: int) -> list[str]:
    if not head:
        return []
    width = spec.num_directions * spec.output_size
    count = head_count(spec, head)
    return [f"head: Dense on the last output = {width:,} * {head:,} + {head:,} = {count:,}"]


def _table(found: list[Convention]) -> Table:
    from .output import plain_table

    tensors = list(dict.fromkeys(name for one in found for name in one.by_tensor))
    counts = (*tensors, "LSTM", "head", "total")
    table = plain_table("convention", *counts, right=counts)
    for one in found:
        sizes = [f"{one.by_tensor[name]:,}" if name in one.by_tensor else "" for name in tensors]
        head = f"{one.head:,}" if one.head else ""
        table.add_row(_LABELS[one.scheme][0], *sizes, f"{one.lstm:,}", head, f"{one.total:,}")
    return table


def _sentence(spec: LSTMSpec, one: Convention, given: str | None) -> str:
    """The total of a convention and its reason."""
    name, vectors = _LABELS[one.scheme]
    total = f"{one.lstm:,} + {one.head:,} = {one.total:,}" if one.head else f"{one.lstm:,}"
    text = f"{name} convention ({', '.join(one.layouts)}): {total}, {vectors} per layer and direction."
    second = one.by_tensor.get("b_r", 0)
    if second:
        cells = spec.num_layers * spec.num_directions
        each = f"4h = {4 * spec.hidden_size:,}"
        times = f" for each of {cells} layers and directions" if cells > 1 else ""
        text += f" {name} reports {one.lstm:,} = {spec.canonical_count:,} + {second:,}: a second bias of {each}{times}."
        text += " The two vectors are only ever added, so the function is the same."
    return text + _conversion(given, one.scheme)


def _conversion(given: str | None, scheme: str) -> str:
    """What becomes of the bias of the LSTM at hand."""
    if given == "single" and scheme == "split":
        return " Yours has one: it is stored beside a vector of zeros."
    if given == "split" and scheme == "single":
        return " Yours has two: their sum is stored."
    return ""
