"""Arbitrary LSTMs under arbitrary names survive every writable format, bit for bit but for what the format declares.

Declared losses: two biases become one rounded sum where the format has one vector, one bias gets a second vector of
zeros where it has two, and where the framework adds 1 to the forget gate itself, 1 is taken off and added again. A
stack is a chain of layers where the format has no stacks. Whatever else a file cannot express is refused with a
CheckpointError, and nothing is left behind.
"""

from __future__ import annotations

import string
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_xcheck as lx
from lstm_xcheck.arrays import round_to
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.formats import Format
from lstm_xcheck.layouts import TABLE

from ..helpers import WRITABLE, usable

pytestmark = pytest.mark.framework

#: Formats whose own library writes each file in some tenths of a second, with the examples that they get.
SLOW = {"orbax": 6, "tensorflow": 10}
#: Formats that have no names, or spell those of modules that are not called an LSTM in their own way.
OWN_NAMES = {"equinox", "haiku"}
#: Layouts whose framework adds 1 to the forget bias.
SHIFTS_FORGET = {row.name for row in TABLE if row.forget_bias}
DTYPES = ("float32", "float64", "float16", "bfloat16")
INITS = ("torch", "normal", "saturated")

PLAIN_NAMES = st.builds(
    str.__add__, st.sampled_from(string.ascii_letters), st.text(string.ascii_letters + string.digits, max_size=6)
)
#: Others are a known fault, see below.
HDF5_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
#: No specs that only some frameworks have, but every size, stack, direction and bias.
PLAIN_SPECS = lx.strategies.lstm_specs(max_hidden=4, max_input=4).map(lambda spec: replace(spec, proj_size=0))


def ordinary(spec: lx.LSTMSpec) -> lx.LSTMSpec:
    """What every format has: one direction and one bias."""
    return replace(spec, bidirectional=False, bias="single")


LSTMS = Mapping[str, lx.LSTMWeights]


def lstms_of(
    names: st.SearchStrategy[str], specs: st.SearchStrategy[lx.LSTMSpec], most: int = 2
) -> st.SearchStrategy[dict[str, lx.LSTMWeights]]:
    """One or two LSTMs of one precision, by name."""
    return st.sampled_from(DTYPES).flatmap(
        lambda dtype: st.dictionaries(
            names, lx.strategies.lstm_weights(specs, inits=INITS, dtypes=[dtype]), min_size=1, max_size=most
        )
    )


def examples(format: Format) -> settings:
    """Half the profile's number of examples, since each writes files; fewer of a slow format."""
    half = settings().max_examples // 2
    return settings(max_examples=min(half, SLOW.get(format.id, half)))


def is_declared(format: Format, weights: lx.LSTMWeights) -> bool:
    """Whether the format refuses such plain weights by its documentation."""
    spec = weights.spec
    if format.id == "equinox":
        return spec.bidirectional or spec.bias == "none"
    return format.id == "keras-h5" and weights.dtype == "bfloat16"


def assert_same_but_for_biases(written: lx.LSTMWeights, read: lx.LSTMWeights, layout: str) -> None:
    """Every bit but the declared losses."""
    assert read.dtype == written.dtype
    assert replace(read.spec, bias=written.spec.bias) == written.spec
    for layer, direction, ours in written.cells():
        theirs = read.cell(layer, direction)
        for part in ("W", "U", "peephole", "projection"):
            np.testing.assert_array_equal(getattr(theirs, part), getattr(ours, part))
        shifted = layout in SHIFTS_FORGET
        if (read.spec.bias, shifted) == (written.spec.bias, False):
            np.testing.assert_array_equal(theirs.b, ours.b)
            np.testing.assert_array_equal(theirs.b_r, ours.b_r)
            continue
        assert read.spec.bias == ("single" if shifted or written.spec.bias == "split" else "split")
        one = round_to(ours.total_bias, written.dtype)
        gates = [0, 2, 3] if shifted else [0, 1, 2, 3]
        np.testing.assert_array_equal(theirs.total_bias[gates], one[gates])
        step = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[written.dtype]
        np.testing.assert_allclose(theirs.total_bias[1], one[1], rtol=step, atol=step)


def survives(format: Format, lstms: LSTMS, *, plain_names: bool = False) -> bool:
    """Write the LSTMs, read the file anew and compare; False where they are refused and nothing is left."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m{format.suffixes[0]}"
        try:
            write_checkpoint(path, lstms, format.id)
        except lx.CheckpointError:
            assert list(Path(folder).iterdir()) == []
            return False
        file = read_checkpoint(path)
        expected = dict(lstms) if format.stacks else chain(lstms)
        found = {lstm.name: lstm for lstm in file.lstms}
        if found.keys() != expected.keys():
            assert not plain_names or format.id in OWN_NAMES
            found = dict(zip(expected, file.lstms, strict=True))
        for name, lstm in found.items():
            assert_same_but_for_biases(expected[name], lstm.weights, lstm.layout)
        return True


def chain(lstms: LSTMS) -> LSTMS:
    """Each layer of a stack under a name of its own."""
    return {
        name if weights.spec.num_layers == 1 else f"{name}_{index}": weights.layer(index)
        for name, weights in lstms.items()
        for index in range(weights.spec.num_layers)
    }


@pytest.mark.parametrize("name", WRITABLE)
def test_plain_lstms_survive(name: str) -> None:
    """Of plain specs and names only what is documented is refused, and the names come back."""
    format, outcomes = usable(name), Counter[str]()

    specs = PLAIN_SPECS | PLAIN_SPECS.map(ordinary)

    @examples(format)
    @given(lstms_of(PLAIN_NAMES, specs))
    def each(lstms: dict[str, lx.LSTMWeights]) -> None:
        declared = any(is_declared(format, weights) for weights in lstms.values())
        assert survives(format, lstms, plain_names=True) == (not declared)
        outcomes.update(kept=not declared, stacks=any(weights.spec.num_layers > 1 for weights in lstms.values()))

    each()
    assert outcomes["kept"] >= 3, outcomes
    assert outcomes["stacks"] > 0


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # of zip members after names with a NUL
@pytest.mark.parametrize("name", WRITABLE)
def test_any_lstm_under_any_name_survives_or_is_refused(name: str) -> None:
    """Unusual specs and any text for a name: a CheckpointError and an empty folder, or the same LSTMs."""
    format, kept = usable(name), Counter[bool]()
    specs = lx.strategies.lstm_specs(max_hidden=4, max_input=4, max_layers=2, plain=False)
    names = HDF5_NAMES if name.startswith("keras") else st.text(max_size=8)

    @examples(format)
    @given(lstms_of(names, specs))
    def each(lstms: dict[str, lx.LSTMWeights]) -> None:
        kept[survives(format, lstms)] += 1

    each()
    assert name != "npz" or kept[True] > 0


@pytest.mark.parametrize(("name", "label"), [("keras-h5", ""), ("keras-weights", "a\0"), ("keras-h5", "a\0")])
def test_a_name_that_hdf5_cannot_store_is_refused(name: str, label: str) -> None:
    assert not survives(usable(name), {label: lx.LSTMWeights.random(lx.LSTMSpec(2, 2, bias="single"))})


def exchanged(weights: lx.LSTMWeights) -> lx.LSTMWeights:
    """The gates f and g in each other's place."""
    layers = tuple(tuple(cell.map(lambda a: a[[0, 2, 1, 3]]) for cell in row) for row in weights.layers)
    return lx.LSTMWeights(weights.spec, layers, weights.dtype)


def one_bit_flipped(weights: lx.LSTMWeights) -> lx.LSTMWeights:
    """The last recurrent weight moved to the next number."""
    cell = weights.cell(0, 0)
    u = np.array(cell.U)
    u[-1, -1, -1] = np.nextafter(u[-1, -1, -1], u.dtype.type(np.inf))
    return lx.LSTMWeights(weights.spec, ((replace(cell, U=u),),), weights.dtype)


@pytest.mark.parametrize("change", [exchanged, one_bit_flipped])
def test_the_comparison_sees_a_mutant(change: Callable[[lx.LSTMWeights], lx.LSTMWeights]) -> None:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 2, bias="single"))
    assert_same_but_for_biases(weights, weights, "keras")
    with pytest.raises(AssertionError):
        assert_same_but_for_biases(weights, change(weights), "keras")
