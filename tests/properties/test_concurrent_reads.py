"""Reads in a pool of threads do not influence each other, with a layout from the user in some and without in others.

The arrays have names of no framework, so that the same file is another LSTM with each layout, and none without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint

#: Layouts of the same shapes, each with its gates in another order, and none.
LAYOUTS = ("keras", "dl4j", None)
FILES = ("one.npz", "other.npz", "one.safetensors", "other.safetensors")
THREADS = 4

Read = tuple[str, str | None]
READS = st.lists(st.tuples(st.sampled_from(FILES), st.sampled_from(LAYOUTS)), min_size=2, max_size=THREADS)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    np.savez(path, **arrays)


def write_safetensors(path: Path, arrays: Mapping[str, Array]) -> None:
    header, end = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two LSTMs as Keras orients them, under names that say nothing, in two formats."""
    made = tmp_path_factory.mktemp("nameless")
    for seed, stem in enumerate(("one", "other")):
        weights = lx.LSTMWeights.random(lx.LSTMSpec(5, 3, bias="single"), seed)
        kernel, recurrent, bias = weights.to_layout("keras").values()
        arrays = {"encoder.W": kernel, "encoder.U": recurrent, "encoder.b": bias}
        write_npz(made / f"{stem}.npz", arrays)
        write_safetensors(made / f"{stem}.safetensors", arrays)
    return made


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def load(folder: Path, read: Read) -> lx.LSTMWeights | str:
    """The LSTM of a file, or why there is none."""
    file, layout = read
    try:
        return lx.load(folder / file, layout=layout)["encoder"]
    except lx.CheckpointError as error:
        return str(error)


def load_later(folder: Path, read: Read) -> lx.LSTMWeights | str:
    """The same with the numbers read when the file has long been described, as lazy weights are."""
    file, layout = read
    try:
        (lstm,) = read_checkpoint(folder / file, layout).require_lstms()
    except lx.CheckpointError as error:
        return str(error)
    return lx.LSTMWeights(lstm.weights.spec, lstm.weights.layers, lstm.weights.dtype)


def at_once(function: Callable[[Read], lx.LSTMWeights | str], reads: list[Read]) -> list[lx.LSTMWeights | str]:
    """One thread for each read, all of them started together."""
    barrier = Barrier(len(reads))

    def waiting(read: Read) -> lx.LSTMWeights | str:
        barrier.wait(timeout=60)
        return function(read)

    with ThreadPoolExecutor(len(reads)) as pool:
        return list(pool.map(waiting, reads))


def test_each_layout_is_another_lstm_and_none_is_refused(folder: Path) -> None:
    """What a leak would change: no two of these answers are the same."""
    results = [load(folder, read) for read in product(FILES[:2], LAYOUTS)]
    for k, first in enumerate(results):
        assert isinstance(first, str) == (k % 3 == 2)
        assert all(first != second for second in results[k + 1 :])
    assert "say it with --layout: dl4j (g f o i), keras (i f g o)" in str(results[2])


@pytest.mark.parametrize("function", [load, load_later])
@given(reads=READS)
def test_threads_read_what_one_thread_reads(
    folder: Path, function: Callable[[Path, Read], lx.LSTMWeights | str], reads: list[Read]
) -> None:
    expected = [load(folder, read) for read in reads]
    assert at_once(partial(function, folder), reads) == expected


def test_a_thread_keeps_nothing_of_the_read_before(folder: Path) -> None:
    """One thread of a pool serves every layout, in any order, while the caller reads the same files."""
    expected = {read: load(folder, read) for read in product(FILES, LAYOUTS)}
    with ThreadPoolExecutor(1) as pool:
        for read in [*expected, *reversed(expected)]:
            future = pool.submit(load, folder, read)
            assert load(folder, read) == future.result() == expected[read]


def test_a_layout_that_threads_share_is_found(folder: Path) -> None:
    """The mutant: a reader whose layout lies where all threads see it gives other answers."""
    both_set, shared = Barrier(2), {}

    def leaky(read: Read) -> lx.LSTMWeights | str:
        shared["layout"] = read[1]
        both_set.wait(timeout=60)
        return load(folder, (read[0], shared["layout"]))

    reads: list[Read] = [("one.npz", "keras"), ("one.npz", "dl4j")]
    assert at_once(leaky, reads) != [load(folder, read) for read in reads]
