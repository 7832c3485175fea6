"""A location in one to three plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...model import Case

#: Units, rows or exchanges that are listed.
_LISTED = 6


def describe_location(found: dict[str, Any], case: Case) -> str:
    """The sentences, each with a space before it."""
    parts = [_which(found, case), _by_c_n(found), _explained(found, case), _too_few(found), *_not_observed(found)]
    return "".join(f" {part}" for part in parts if part)


def _which(found: dict[str, Any], case: Case) -> str:
    if found.get("padding"):
        wanted = "be 0" if case.padding == "zero" else "repeat the last valid one"
        return f"Only outputs at padding are wrong; they should {wanted}."
    if "units" not in found:
        return ""
    if found.get("outputs_alone"):
        units = _counted("unit", found["units"], case.spec.output_size)
        rows = _counted("row", found["rows"], case.batch)
        right = "h_n and c_n are those of a run of the oracle's own, so every state was right"
        return f"{right}: y alone is wrong, in {units}, in {rows}, first at step {found['step']}."
    units = _counted("unit", found["units"], case.spec.hidden_size)
    rows = _counted("row", found["rows"], case.batch)
    others = found.get("other_directions")
    more = f"; direction {others[0]} of this layer is wrong too" if others else ""
    return f"Wrong there: {units}, in {rows}{more}."


def _counted(noun: str, which: Sequence[int], total: int) -> str:
    if len(which) == total:
        return f"every {noun}"
    return f"{noun}{'s' if len(which) > 1 else ''} {_listed(which)} (of {total})"


def _by_c_n(found: dict[str, Any]) -> str:
    gates = found.get("gates_by_c_n")
    if not gates:
        return ""
    if gates == ["o"]:
        return "c_n is right, but the last h is not o tanh(c_n): gate o, the activation of c or h after it is wrong."
    return "The last h is o tanh(c_n), but c_n is wrong: gate i, f or g or c itself is wrong, not gate o."


def _explained(found: dict[str, Any], case: Case) -> str:
    by = found.get("explained_by")
    if not by:
        return ""
    if by.get("array") == "c0":
        return f"Another c0 of row{'s' if len(by['rows']) > 1 else ''} {_listed(by['rows'])} alone explains all of it."
    numbers, whose, alone = by.get("numbers", []), _name(by, case), _alone(found)
    if "change" in by:
        return f"{whose} {_change(by)} {alone}."
    if numbers and by["numbers_changed"] == 1:
        return f"One number {alone}: {_number(numbers[0], case)}."
    if numbers:
        rest = by["numbers_changed"] - 1
        return f"{whose} {alone}: {_number(numbers[0], case)}, and {rest} other number{'s' if rest > 1 else ''}."
    return f"{whose} {alone}."


def _alone(found: dict[str, Any]) -> str:
    units = found["explained_by"]["units"]
    where = "" if units == found["units"] else f" of unit{'s' if len(units) > 1 else ''} {_listed(units)}"
    return f"alone explains all that can be seen{where}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_LISTED])) + (" ..." if len(numbers) > _LISTED else "")


def _name(by: dict[str, Any], case: Case) -> str:
    gates = by["gates"]
    which = "every gate" if len(gates) == 4 else f"gate{'s' if len(gates) > 1 else ''} {' and '.join(gates)}"
    which += " (or of every gate)" if by.get("or_every_gate") else ""
    if "array" not in by:
        return f"What {which} reads (W, U and b)"
    scaled = len(gates) == 4 and by.get("change", {}).get("kind") == "scaled"
    read = {"W": " (or x)", "U": " (or h)"}.get(by["array"], "") if scaled else ""
    return f"{_array(by['array'], case)} of {which}{read}"


def _array(name: str, case: Case) -> str:
    """The array; two biases are one sum to the outputs."""
    return "b + b_r" if name == "b" and case.spec.bias == "split" else name


def _number(number: dict[str, Any], case: Case) -> str:
    column = f", column {number['column']}" if "column" in number else ""
    return (
        f"{_array(number['array'], case)} of gate {number['gate']}, unit {number['unit']}{column} is "
        f"{number['used']:.6g} +/- {number['error']:.1g} where {number['given']:.6g} was given"
    )


def _change(by: dict[str, Any]) -> str:
    change = by["change"]
    if change["kind"] == "scaled":
        zeroed = abs(change["factor"]) <= 8.0 * change["error"]
        return "taken as 0" if zeroed else f"times {change['factor']:.6g} +/- {change['error']:.1g}"
    if change["kind"] == "added":
        return (
            f"{'plus' if change['constant'] > 0 else 'minus'} {abs(change['constant']):.6g} +/- {change['error']:.1g}"
        )
    moved = by["unit_map"].items()
    listed = ", ".join(f"{unit} has those of {source}" for unit, source in list(moved)[:_LISTED])
    what = "rows" if change["kind"] == "rows permuted" else "columns"
    return f"with {what} exchanged ({listed}{' ...' if len(moved) > _LISTED else ''})"


def _too_few(found: dict[str, Any]) -> str:
    if "equations_needed" not in found:
        return ""
    return (
        f"Which gate or array it is cannot be told: a unit has {found['equations']} outputs (steps times rows); give "
        f"{found['equations_needed']}."
    )


def _not_observed(found: dict[str, Any]) -> list[str]:
    layers = found.get("unobserved", [])
    if not layers:
        return []
    named = f"layer{'s' if len(layers) > 1 else ''} {' and '.join(map(str, layers))}"
    lower = any(layer <= found.get("layer", max(layers)) for layer in layers)
    return [
        f"The outputs of {named} were not observed: {'the error may be there' if lower else 'nothing is known of it'}."
    ]
