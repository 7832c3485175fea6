"""From every writable format to every other and back: what is kept, what is lost and said so, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck import CheckpointError, LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import Checkpoint, FoundLSTM, read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.formats import Format
from lstm_xcheck.checkpoints.layout_arrays import chain_of
from lstm_xcheck.checkpoints.read_back import matched
from lstm_xcheck.layouts import adapt_bias
from lstm_xcheck.porting.certificate import Ported, joined, losses

from ..helpers import WRITABLE, usable

pytestmark = pytest.mark.framework

PAIRS = list(permutations(WRITABLE, 2))


def thirds(spec: LSTMSpec, seed: int, dtype: str = "float32") -> LSTMWeights:
    """Numbers that need every bit of their precision: whatever a format rounds shows."""
    drawn = LSTMWeights.random(spec, seed, "torch", "float64")
    return LSTMWeights(spec, tuple(tuple(c.map(lambda a: a / 3) for c in row) for row in drawn.layers), dtype)


CASES = {
    "split": thirds(LSTMSpec(3, 4), 1),
    "single": thirds(LSTMSpec(3, 4, bias="single"), 2),
    "none": thirds(LSTMSpec(3, 4, bias="none"), 3),
    "both": thirds(LSTMSpec(3, 2, bidirectional=True), 4),
    "stack": thirds(LSTMSpec(3, 2, num_layers=2, bias="single"), 5),
    "stack_both": thirds(LSTMSpec(3, 2, num_layers=2, bidirectional=True, bias="single"), 6),
    "float16": thirds(LSTMSpec(3, 4), 7, "float16"),
    "float64": thirds(LSTMSpec(3, 4), 8, "float64"),
    "bfloat16": thirds(LSTMSpec(3, 4), 9, "bfloat16"),
}

#: What a format cannot hold, and how it says so.
REFUSED = {
    "equinox": {"none": "no bias", "both": "directions", "stack_both": "directions"},
    "keras-h5": {"bfloat16": "bfloat16"},
}  # fmt: skip

#: Formats of a framework that adds 1 to the forget gate itself: what is stored is rounded once.
SHIFTS_FORGET = {"haiku"}

SUMMED = "two biases summed into one"
SHIFTED = "1 taken off the forget bias, which the framework adds itself"

REFUSING = [(first, second) for first, second in PAIRS if second in REFUSED]

Holder = Callable[[str, tuple[str, ...]], dict[str, FoundLSTM]]


def weights_of(lstms: Mapping[str, FoundLSTM]) -> dict[str, LSTMWeights]:
    return {name: found.weights for name, found in lstms.items()}


def written(path: Path, lstms: Mapping[str, LSTMWeights], format: Format) -> dict[str, FoundLSTM]:
    """What the file holds, by our names; one entry for each layer where the format has no stacks."""
    return by_name(path, write_checkpoint(path, lstms, format.id), lstms, format)


def by_name(path: Path, file: Checkpoint, lstms: Mapping[str, LSTMWeights], format: Format) -> dict[str, FoundLSTM]:
    return matched(path, file, dict(lstms) if format.stacks else chain_of(lstms))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Holder:
    """`held(format, names of cases)` is what a file with those LSTMs is read as; each file is written once."""
    kept: dict[tuple[str, tuple[str, ...]], dict[str, FoundLSTM]] = {}

    def hold(name: str, cases: tuple[str, ...]) -> dict[str, FoundLSTM]:
        format, key = WRITABLE[name], (name, cases)
        if key not in kept:
            path = tmp_path_factory.mktemp(name) / f"m{format.suffixes[0]}"
            lstms = {case: CASES[case] for case in cases}
            write_checkpoint(path, lstms, format.id)
            kept[key] = by_name(path, read_checkpoint(path), lstms, format)
        return kept[key]

    return hold


def ported(before: Mapping[str, FoundLSTM], after: Mapping[str, FoundLSTM]) -> dict[str, Ported]:
    """Each LSTM of one file with what the other holds for it."""
    pairs = {}
    for name, found in before.items():
        chain = [f"{name}_{index}" for index in range(found.weights.spec.num_layers)]
        names = (name,) if name in after else tuple(chain)
        mine = [after[key] for key in names]
        stack = joined([part.weights for part in mine]) if len(mine) > 1 else mine[0].weights
        pairs[name] = Ported(name, found.weights, found.layout, names, stack, mine[0].layout)
    return pairs


def biases(weights: LSTMWeights) -> list[Any]:
    """The one vector of every cell, shape (4, hidden): the sum of two, zeros where there is none."""
    return [cell.total_bias for _, _, cell in adapt_bias(weights, "single").cells()]


def matrices(weights: LSTMWeights) -> list[bytes]:
    return [np.asarray(array).tobytes() for _, _, cell in weights.cells() for array in (cell.W, cell.U)]


def check_step(step: Ported, target: str) -> bool:
    """Nothing changed from one file to the next but what the port reports; whether a number was rounded."""
    assert matrices(step.written) == matrices(step.weights)
    assert step.written.dtype == step.weights.dtype
    reported = {loss["what"]: loss for loss in losses(step)}
    assert len(reported) == len(losses(step))
    summed, shifted = (reported.pop(what, None) for what in (SUMMED, SHIFTED))
    assert reported == {}
    assert (summed is not None) == (step.weights.spec.bias == "split" and step.written.spec.bias == "single")
    if summed is not None:
        exact = [Fraction(float(b)) + Fraction(float(b_r)) for b, b_r in _two_biases(step.weights)]
        ours = np.concatenate([np.ravel(bias) for bias in biases(step.weights)])
        check_size(summed, [abs(Fraction(float(one)) - wanted) for one, wanted in zip(ours, exact, strict=True)])
    moved = [np.abs(new - old) for new, old in zip(biases(step.written), biases(step.weights), strict=True)]
    assert (shifted is not None) == any(error.any() for error in moved)
    if shifted is not None:
        assert target in SHIFTS_FORGET
        assert not any(error[[0, 2, 3]].any() for error in moved)
        check_size(shifted, [Fraction(float(error)) for cell in moved for error in cell[1]])
    return any(loss["rounded"] for loss in losses(step))


def _two_biases(weights: LSTMWeights) -> list[Any]:
    split = [[np.ravel(np.asarray(bias)) for bias in (cell.b, cell.b_r)] for _, _, cell in weights.cells()]
    return [pair for b, b_r in split for pair in zip(b, b_r, strict=True)]


def check_size(loss: Mapping[str, Any], errors: list[Fraction]) -> None:
    assert (loss["numbers"], loss["rounded"]) == (len(errors), sum(error != 0 for error in errors))
    assert loss["max_abs"] == float(max(errors))


def check_trip(there: Ported, back: Ported, target: str, source: str) -> None:
    """Where no rounding is reported, the first file's bits are back."""
    rounded = check_step(there, target)
    assert not check_step(back, source), "what a format has held once, it loses nothing of"
    if there.weights.spec.bias != "split":
        assert not rounded or target in SHIFTS_FORGET
    if rounded:
        return
    if there.written.spec.bias == there.weights.spec.bias:
        assert back.written == there.weights
    assert [bias.tobytes() for bias in biases(back.written)] == [bias.tobytes() for bias in biases(there.weights)]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{first}-to-{second}" for first, second in PAIRS])
def test_there_and_back(tmp_path: Path, checkpoint: Holder, first: str, second: str) -> None:
    source, target = usable(first), usable(second)
    both = tuple(case for case in CASES if case not in {**REFUSED.get(first, {}), **REFUSED.get(second, {})})
    before = checkpoint(first, both)
    there = written(tmp_path / f"there{target.suffixes[0]}", weights_of(before), target)
    back = written(tmp_path / f"back{source.suffixes[0]}", weights_of(there), source)
    steps, returns = ported(before, there), ported(there, back)
    for name, step in steps.items():
        rest = [returns[key] for key in step.names]
        stack = joined([part.written for part in rest]) if len(rest) > 1 else rest[0].written
        again = Ported(name, step.written, step.written_layout, rest[0].names, stack, rest[0].written_layout)
        check_trip(step, again, second, first)


@pytest.mark.parametrize(("first", "second"), REFUSING, ids=[f"{first}-to-{second}" for first, second in REFUSING])
def test_what_the_second_cannot_hold_is_refused(tmp_path: Path, checkpoint: Holder, first: str, second: str) -> None:
    usable(first)
    usable(second)
    refused = {case: why for case, why in REFUSED[second].items() if case not in REFUSED.get(first, {})}
    if first in SHIFTS_FORGET:
        refused.pop("none", None)  # there it has become a bias that cancels the constant
    for case, why in refused.items():
        path = tmp_path / f"m{WRITABLE[second].suffixes[0]}"
        with pytest.raises(CheckpointError, match=why):
            write_checkpoint(path, weights_of(checkpoint(first, (case,))), second)
        assert list(tmp_path.iterdir()) == []
