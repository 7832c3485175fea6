"""Asserts that two LSTMs are the same: live layers, files, weights or functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np

from ..adapters.function import call_function
from ..arrays import round_to
from ..checkpoints import read_checkpoint
from ..compare import Row, judge
from ..diagnose import full_explanation
from ..diagnose.detection_power import is_small
from ..diagnose.two_weights import (
    PRECISIONS,
    Differing,
    certain_cause,
    differing_arrays,
    differing_fields,
    function_of,
    probe_of,
    why_different,
)
from ..engine.explain import Explainer
from ..errors import DisagreementError, NothingComparedError, Unsupported, UserError
from ..layouts import explain_count
from ..model import Case, LSTMWeights, Result
from ..oracle import forward
from .arrays import from_list, from_named, is_list_of_arrays
from .detect import live_lstm


@dataclass(frozen=True)
class _Side:
    """One of the two.

    `weights` is None for a function, `function` where the oracle runs the weights. `count` is as the framework reports
    it; `ragged`: whether it is known to take rows of different lengths.
    """

    name: str
    label: str
    weights: LSTMWeights | None
    count: int | None = None
    ragged: bool = True
    function: Callable[..., Any] | None = None


def assert_equivalent(first: Any, second: Any, *, case: Case | None = None, precision: str | None = None) -> None:
    """Raise unless the two are the same LSTM.

    Each may be a Keras layer (`LSTM`, `Bidirectional(LSTM)`, a list or `Sequential` of them), a PyTorch `nn.LSTM` or
    `nn.LSTMCell`, a checkpoint file, a state dict or a tree of parameters with one LSTM, the list of `get_weights()`,
    `LSTMWeights`, or a function `(weights, x, h0, c0, lengths) -> y, h, c`, which may also return `y, (h, c)`. Arrays
    without a layer say nothing of activations: they are taken for those of the usual LSTM.

    The weights are compared bit for bit in canonical form. Two biases equal the one bias that is their sum, and a
    missing bias equals zeros. Then every layer, module and function itself is run, with `training=False` semantics,
    and each number it returns must lie within the rounding bound of these weights.

    Args:
        first, second: what to compare.
        case: your own inputs, states and lengths; its weights must be those of both sides, and functions get them.
            By default random data with initial states, of different lengths where both sides are known to take them.
        precision: round both sides' weights to it before they are compared; functions are judged in it.

    Raises:
        DisagreementError: an AssertionError that names what differs: each tensor, its gate, index and size, the worst
            output, its score (error / bound) and the first wrong step, the mistake that explains it, and how the
            parameter counts are related.
        NothingComparedError: when neither side nor `case` has weights, or when the data decide nothing.
        UserError: for what is no LSTM, a file with several or with one that is not read, and an unknown precision.

    >>> from lstm_xcheck.model import LSTMSpec
    >>> weights = LSTMWeights.random(LSTMSpec(input_size=2, hidden_size=3))
    >>> assert_equivalent(weights, weights)
    >>> assert_equivalent(weights, weights.to_layout("torch"))
    """
    __tracebackhide__ = True
    if precision is not None:
        round_to(0.0, precision)  # raises for an unknown name, before anything is read or run
    sides = [_side("first", first), _side("second", second)]
    if case is not None:
        sides.append(_Side("case", f"case {case.id}", case.weights))
    weighted = [side for side in sides if side.weights is not None]
    if not weighted:
        raise NothingComparedError(
            "two functions without weights and no case: there is nothing to compare; pass case=lx.Case.random(spec)"
        )
    complaints = _spec_differences(weighted)
    if not complaints:
        complaints = [text for other in weighted[1:] for text in _weight_differences(weighted[0], other, precision)]
        complaints += _output_differences(
            sides[:2], case, weighted[0], same_weights=not complaints, precision=precision
        )
    if complaints:
        raise DisagreementError(_message(sides[:2], complaints))


def _side(name: str, thing: Any) -> _Side:
    if isinstance(thing, LSTMWeights):
        return _Side(name, "LSTMWeights", thing, thing.parameter_count)
    if isinstance(thing, (str, PathLike)):
        weights = _from_file(Path(thing))
        return _Side(name, f"file {thing}", weights, weights.parameter_count)
    if isinstance(thing, Mapping) or is_list_of_arrays(thing):
        weights = from_named(name, thing) if isinstance(thing, Mapping) else from_list(name, thing)
        return _Side(name, f"{type(thing).__name__} of {len(thing)} arrays", weights, weights.parameter_count)
    live = live_lstm(thing)
    if live is not None:
        run = live.run
        return _Side(
            name, live.label, live.weights, live.parameter_count, live.ragged,
            lambda weights, x, h0, c0, lengths: run(x, h0, c0, lengths),
        )  # fmt: skip
    if callable(thing):
        label = f"function {getattr(thing, '__qualname__', type(thing).__name__)}"
        return _Side(name, label, None, ragged=False, function=thing)
    raise UserError(
        f"the {name} argument is a {type(thing).__name__}, but should be a Keras or PyTorch LSTM, a checkpoint file, "
        "a state dict, what get_weights() returns, LSTMWeights or a function (weights, x, h0, c0, lengths) -> y, h, c"
    )


def _from_file(path: Path) -> LSTMWeights:
    checkpoint = read_checkpoint(path)
    found = checkpoint.require_lstms()
    if len(found) > 1 or checkpoint.unread:
        several = f"{path} holds {len(found)} LSTMs: {', '.join(lstm.name for lstm in found)}"
        raise UserError(
            f"{checkpoint.listed_unread if checkpoint.unread else several}; "
            f"pick one with lx.load({str(path)!r})[{found[0].name!r}]"
        )
    return found[0].weights


def _spec_differences(weighted: Sequence[_Side]) -> list[str]:
    """Differences that no conversion removes: sizes, directions, activations."""
    base = weighted[0]
    return [
        f"{name} is {mine!r} in the {base.name}, but {its!r} in the {other.name}"
        for other in weighted[1:]
        for name, (mine, its) in differing_fields(_weights_of(base), _weights_of(other)).items()
    ]


def _weights_of(side: _Side) -> LSTMWeights:
    if side.weights is None:
        raise NothingComparedError(f"the {side.name} has no weights; pass case=")
    return side.weights


def _weight_differences(base: _Side, other: _Side, precision: str | None) -> list[str]:
    """Every array that differs, and the mistake where neither side can be run."""
    ours, theirs = (_weights_of(side) for side in (base, other))
    if precision:
        ours, theirs = ours.astype(precision), theirs.astype(precision)
    found = [_describe(one, (base, other)) for one in differing_arrays(ours, theirs)]
    if not found or base.function is not None or other.function is not None:
        return found  # what runs is diagnosed by its outputs
    small = is_small(probe_of(ours, theirs))
    why = why_different(ours, theirs, function_of(ours, theirs)["verdict"]) if small else certain_cause(ours, theirs)
    if why is None:
        return found
    if why["cause"] is None:
        return [*found, f"no cause found for the weights of the {other.name}: {why['explanation']}"]
    how = f"they are exactly those of the {base.name} with it" if why["certain"] else "it explains their outputs"
    return [*found, f"best explanation of the weights of the {other.name}: {why['cause']} ({how}). {why['fix']}"]


def _describe(found: Differing, sides: tuple[_Side, _Side]) -> str:
    """The first number of an array that differs, and how many do."""
    a, b = found.first, found.second
    index = tuple(int(i) for i in np.argwhere(found.wrong)[0])
    gate, inner = found.gate_and_index(index)
    direction = f", direction {found.direction}" if len(_weights_of(sides[0]).layers[0]) > 1 else ""
    split = found.name == "b" and "split" in {_weights_of(side).spec.bias for side in sides}
    what = " (the sum of both biases)" if split else ""
    return (
        f"{found.name} of layer {found.layer}{direction}{what}{gate and f', gate {gate}'}: {inner} is {a[index]:.9g} "
        f"in the {sides[0].name}, but {b[index]:.9g} in the {sides[1].name}; {int(found.wrong.sum())} of "
        f"{found.wrong.size} numbers differ, the largest by {np.abs(a - b).max():.3g}"
    )


def _output_differences(
    sides: Sequence[_Side], case: Case | None, base: _Side, *, same_weights: bool, precision: str | None
) -> list[str]:
    """Runs and judges both: by their own weights where equal, else the first's."""
    weights = _weights_of(base)
    question = case or _question(sides, weights, precision)
    complaints: list[str] = []
    undecided: list[str] = []
    for side in sides:
        own_weights = side.weights if same_weights and side.weights is not None else weights
        judged_in = precision if precision and side.weights is None else own_weights.dtype
        own = replace(question, weights=own_weights, precision=judged_in)
        observed = _observe(side, own)
        rows = judge(observed, own, adapter=side.name).rows
        bad = [row for row in rows if row.verdict in ("mismatch", "suspect")]
        complaints += [_explain(side, row) for row in bad]
        complaints += _causes(side, own, observed) if bad else []
        if not any(row.verdict in ("match", "mismatch", "suspect") for row in rows):
            undecided += [f"{side.label}: {row.reason}" for row in rows]
    if undecided and not complaints and same_weights:
        raise NothingComparedError(f"the outputs decide nothing: {'; '.join(undecided)}")
    return complaints


def _question(sides: Sequence[_Side], weights: LSTMWeights, precision: str | None) -> Case:
    """A random case, exact in the precision of either side."""
    given = [side.weights.dtype for side in sides if side.weights is not None]
    lower = max([*given, *([precision] if precision else [])], key=PRECISIONS.index)
    ragged = all(side.ragged for side in sides)
    return Case.random(weights.spec, weights=weights, ragged=ragged, precision=lower, id="equivalence")


def _observe(side: _Side, case: Case) -> Result:
    if side.function is None:
        return forward(case)
    try:
        return call_function(side.function, case)
    except Unsupported as reason:
        raise NothingComparedError(f"{side.label} cannot run case {case.id}: {reason}") from reason


def _causes(side: _Side, case: Case, observed: Result) -> list[str]:
    """The mistake that explains the wrong outputs, and its remedy."""
    ask = None if side.weights is not None and not is_small(case) else partial(_ask, side, case)
    found = Explainer().explain(observed, case, side.name, ask, of_function=side.weights is None)
    return [
        f"best explanation of the outputs of the {side.name}: {why['cause']}. {why['fix']}{_program(why)}"
        if why["cause"]
        else f"no cause found for the outputs of the {side.name}: {full_explanation(why)}"
        for why in found
    ]


def _program(why: dict[str, Any]) -> str:
    """The program of a remedy, indented, on lines of its own."""
    return f"\n{indent(why['program'], '    ')}" if why.get("program") else ""


def _ask(side: _Side, asked: Case, case: Case) -> Result:
    """Runs another case on the same side."""
    if side.weights is not None and case.weights is not asked.weights:
        raise Unsupported(f"{side.label} runs its own weights alone")
    return _observe(side, case)


def _explain(side: _Side, row: Row) -> str:
    score = f" (score {row.score:.3g})" if row.score is not None else ""
    return f"outputs of the {side.name}, {row.quantity}: {row.verdict}{score}: {row.reason}"


def _message(sides: Sequence[_Side], complaints: Sequence[str]) -> str:
    lines = ["the two are not the same LSTM"]
    lines += [f"  {side.name}: {side.label}" for side in sides]
    lines += [f"  - {complaint}" for complaint in complaints]
    for side in sides:
        if side.count is not None and side.weights is not None:
            lines.append(f"  parameters of the {side.name}: {explain_count(side.weights.spec, side.count)}")
    return "\n".join(lines)
