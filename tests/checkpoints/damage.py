"""What reading a damaged file may do: succeed, or refuse in one sentence, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError


def every_number(path: Path) -> None:
    """Read a file, and the weights of its LSTMs, which are lazy, as well."""
    for lstm in read_checkpoint(path).lstms:
        list(lstm.weights.cells())


def refusal(path: Path) -> str:
    """Read a bad file, insist on exactly a CheckpointError of one sentence about that file, and return it."""
    with pytest.raises(CheckpointError) as caught:
        every_number(path)
    assert caught.type is CheckpointError
    message = str(caught.value)
    assert message.startswith(str(path))
    sentence = message[len(str(path)) :]
    assert "\n" not in sentence
    assert len(sentence) < 700
    assert not sentence.endswith(".")
    return sentence


def outcome(path: Path) -> str:
    """The refusal of a file, or `read`; any other exception goes through."""
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        return str(error)
    return "read"


def outcomes_of_alterations(path: Path, data: bytes, count: int, each: int = 3, within: int | None = None) -> set[str]:
    """What `path` gives with the data, `each` bytes among the first `within` of them altered, `count` times."""
    rng = np.random.default_rng(3)
    outcomes = set()
    for _ in range(count):
        altered = bytearray(data)
        for position in rng.integers(0, within or len(data), each):
            altered[position] = rng.integers(256)
        path.write_bytes(altered)
        outcomes.add(outcome(path))
    assert not any("\n" in each for each in outcomes)
    return outcomes


@contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """Insist that no more bytes are allocated at any moment."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit
