"""The remedy of a mistake of weights, as code for a user's own program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import indent

from ..layouts import layout_named
from ..layouts.layer_code import LAYER_CODE, LayerCode, function_code
from .catalogue import ENTRIES
from .diagnosis import Diagnosis
from .mistake import Mistake

_IMPORTS = "import dataclasses, numpy as np, lstm_xcheck as lx"
#: The arrays of a cell that code may name, all but the first two absent in some.
_ARRAYS = ("W", "U", "b", "b_r", "peephole", "projection")
_NAMES = re.compile(rf"\b({'|'.join(_ARRAYS)})\b")
_OPTIONAL = re.compile(r"(b|b_r|peephole|projection)\b")
#: Code that scales one of two biases, of which a layout with a single one holds the sum.
_ONE_OF_TWO = re.compile(r"(b|b_r)\[:\]")


def remedy(diagnosis: Diagnosis, layout: str) -> str:
    """Code that repairs the weights of a live layer; empty where there is none."""
    code, mistakes = LAYER_CODE.get(layout), _mistakes(diagnosis)
    if code is None or not mistakes:
        return ""
    if all(mistake.family == "dropout" for mistake in mistakes):
        return code.inference
    if any(mistake.lost or not mistake.changes_weights or not mistake.code for mistake in mistakes):
        return ""
    row = layout_named(layout)
    if row.bias == "single" and any(_ONE_OF_TWO.match(mistake.code) for mistake in mistakes):
        return ""
    if not all(_is_of_stack(mistake) or any(map(row.tensor_for, _changed(mistake))) for mistake in mistakes):
        return ""
    return _program(mistakes, diagnosis, code)


def function_remedy(diagnosis: Diagnosis, layout: str | None = None) -> str:
    """A program for what the user's function must get; empty where there is none.

    `layout`: of the arrays that the user's function gets; by default it gets canonical `LSTMWeights`.
    """
    mistakes = _mistakes(diagnosis)
    if not mistakes or any(not mistake.changes_weights or not mistake.code for mistake in mistakes):
        return ""
    return _program(mistakes, diagnosis, function_code(layout))


def why_no_code(diagnosis: Diagnosis) -> str:
    """Why no code repairs a layer, and what to do; empty otherwise."""
    if not any(mistake.lost for mistake in _mistakes(diagnosis)):
        return ""
    return "No code repairs a layer that has these weights, since numbers were lost: load them again from their source."


def _mistakes(diagnosis: Diagnosis) -> list[Mistake]:
    """The entries of a diagnosis; empty if one is in no catalogue."""
    found = [ENTRIES[id] for id in diagnosis.mistakes if id in ENTRIES]
    return found if len(found) == len(diagnosis.mistakes) else []


def _is_of_stack(mistake: Mistake) -> bool:
    """Whether the code is about all layers, not the arrays of a cell."""
    return mistake.code.startswith("layers = ")


def _changed(mistake: Mistake) -> list[str]:
    """The arrays that the code of a mistake assigns."""
    targets = (re.split(r" [-+*]?= ", line)[0] for line in mistake.code.splitlines())
    return list(dict.fromkeys(name for target in targets for name in _NAMES.findall(target)))


def _program(mistakes: Sequence[Mistake], diagnosis: Diagnosis, code: LayerCode) -> str:
    """All mistakes undone, the last first."""
    edits, steps = [], []
    for mistake in reversed(mistakes):
        if _is_of_stack(mistake):
            steps.append(mistake.code)
            continue
        edits += [line for edit in mistake.code.splitlines() for line in _for_both_biases(edit)]
        steps.append(_on_cells(diagnosis.cells))
    definition = ["", *_definition(edits), ""] if edits else []
    program = [code.read, *dict.fromkeys(steps), code.write]
    body = "\n".join(program) if not code.header else "\n".join([code.header, *(indent(p, "    ") for p in program)])
    return "\n".join(line.rstrip() for line in [_IMPORTS, *definition, *body.splitlines()])


def _definition(edits: Sequence[str]) -> Iterator[str]:
    """A function that undoes the mistake in one layer and direction."""
    used = [name for name in _ARRAYS if any(re.search(rf"\b{name}\b", edit) for edit in edits)]
    yield "def mend(cell):  # W and U (4, hidden, ...), b (4, hidden), gates i, f, g, o"
    yield f"    hidden, names = cell.W.shape[1], {used!r}"
    arrays = "[None if getattr(cell, name) is None else np.array(getattr(cell, name)) for name in names]"
    yield f"    {', '.join(used)}{',' if len(used) == 1 else ''} = {arrays}"
    for edit in edits:
        optional = _OPTIONAL.match(edit)
        yield f"    {f'if {optional[1]} is not None: ' if optional else ''}{edit}"
    yield f"    return dataclasses.replace(cell, {', '.join(f'{name}={name}' for name in used)})"


def _on_cells(cells: Sequence[tuple[int, int]]) -> str:
    """The line that mends all cells, or these alone."""
    if not cells:
        return "layers = tuple(tuple(mend(cell) for cell in row) for row in layers)"
    return (
        f"wrong = {list(cells)}  # layer, direction\n"
        "layers = tuple(tuple(mend(cell) if (k, d) in wrong else cell for d, cell in enumerate(row))"
        " for k, row in enumerate(layers))"
    )


def _for_both_biases(edit: str) -> list[str]:
    """A permutation concerns both bias vectors; a constant, or a sum, only one."""
    both = edit.startswith("b = ") and "b_r" not in edit
    return [edit, re.sub(r"\bb\b", "b_r", edit)] if both else [edit]
