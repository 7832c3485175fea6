"""Sets of vectors, and what honest and mistaken implementations answer to their cases."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.model import LSTMSpec, Result
from lstm_xcheck.vectors import Vector, VectorSet, Wanted, find_vectors
from lstm_xcheck.vectors.expected import OUTPUTS

from ..helpers import ROOT, load_file

#: Honest float32 in several orders of summation, and with the sigmoid by tanh.
float32_lstm = load_file(ROOT / "benchmarks" / "float32_lstm.py")

_SETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one case": ({}, {"lengths": False}),
    "lengths": ({}, {}),
    "bidirectional": ({"bidirectional": True}, {"seeds": 4}),
    "options": ({"peepholes": True, "proj_size": 2, "cell_clip": 2.0, "bias": "single"}, {"seeds": 4}),
    "streaming": ({}, {"lengths": False, "states": False, "one_row": True}),
    "two layers": ({"num_layers": 2}, {"lengths": False}),
    "onnx": ({}, {"uniform": True}),
    "onnx stack": ({"num_layers": 2, "bidirectional": True}, {"uniform": True, "seeds": 1, "lengths": False}),
}

Answer = dict[str, Array]


@cache
def vectors_named(name: str) -> VectorSet:
    """One of the sets, found once."""
    spec, wanted = _SETS[name]
    kind = LSTMSpec(**{"input_size": 1, "hidden_size": spec.get("proj_size", 0) + 1, **spec})
    return find_vectors(Wanted(spec=kind, **wanted), progress=lambda doing: None)


def honest_answers(vector: Vector) -> Iterator[Answer]:
    """The case in float32, in every order, and the exact values."""
    for order in float32_lstm.ORDERS:
        yield _answer(float32_lstm.run(vector.case, order))
    yield {name: vector.expected[name].value for name in OUTPUTS}


def planted_answers(vectors: VectorSet, vector: Vector) -> Iterator[tuple[str, Answer]]:
    """Every claimed kill, planted in float32 arithmetic."""
    orders = float32_lstm.ORDERS
    for number, key in enumerate(sorted(vector.kills)):
        mistake = vectors.mutants[key]
        changed = mistake.change_case(vector.case)
        assert changed is not None
        outputs = observed_quantities(float32_lstm.run(changed, orders[number % len(orders)]))
        if mistake.outputs is not None:
            altered = mistake.outputs(outputs, vector.case)
            assert altered is not None
            outputs = altered
        yield key, {name: _in_memory(outputs[name], vector.expected[name].value) for name in OUTPUTS}


def _in_memory(found: Array, right: Array) -> Array:
    """An answer as it lies where a program expects the right one; what it does not write happens to be right."""
    memory = np.array(right, np.float32).ravel()
    memory[: found.size] = found.ravel()[: memory.size]
    return memory.reshape(right.shape)


def records(vectors: VectorSet) -> tuple[list[str], bytes]:
    """Names, and for programs: number of the case, then y, h_n and c_n, of honest answers and of planted ones."""
    names, data = [], b""
    for number, vector in enumerate(vectors.vectors):
        honest = (("", answer) for answer in honest_answers(vector))
        for key, answer in (*honest, *planted_answers(vectors, vector)):
            names.append(key)
            data += np.int32(number).tobytes() + b"".join(answer[n].astype("<f4").tobytes() for n in OUTPUTS)
    return names, data


def accepted(names: list[str], wrong: list[int]) -> tuple[set[str], int]:
    """The mistakes that a program let pass, and how many honest answers it refused."""
    assert len(names) == len(wrong)
    pairs = list(zip(names, wrong, strict=True))
    return {name for name, count in pairs if name and not count}, sum(count > 0 for name, count in pairs if not name)


def _answer(result: Result) -> Answer:
    outputs = observed_quantities(result)
    return {name: np.asarray(outputs[name], np.float32) for name in OUTPUTS}
