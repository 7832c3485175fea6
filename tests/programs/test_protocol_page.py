"""The page on the protocol shows the bytes that are sent today, and its tables are those of the code."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.program import message
from lstm_xcheck.model import CellWeights

from ..helpers import ROOT

PAGE = ROOT / "docs" / "explanation" / "protocol.md"
BLOCK = re.compile(r"(<!-- hex dump -->\n```text\n)(.*?)(```)", re.DOTALL)

HEADER = {
    "magic": 4, "version": 2, "kind or status": 1, "bytes of a number": 1, "number of the request": 8,
    "bytes that follow": 8, "1.0 and zeros": 8,
}  # fmt: skip
SIZES = {
    "flags": 4, "layers": 4, "rows": 8, "steps": 8, "inputs": 8, "hidden units": 8, "projection": 8,
    "numbers of the weights": 8, "bound on gates": 8, "bound on cells": 8, "bound on the projection": 8,
    "activations": 3, "zeros": 5, "slope": 8, "offset": 8,
}  # fmt: skip


def case() -> lx.Case:
    """One unit, with numbers that are short in binary."""
    spec = lx.LSTMSpec(input_size=1, hidden_size=1)
    numbers = np.arange(1.0, 17.0).reshape(4, 4, 1) / 16.0
    cell = CellWeights(W=numbers[0][..., None], U=numbers[1][..., None], b=numbers[2], b_r=numbers[3])  # type: ignore[arg-type]
    weights = lx.LSTMWeights(spec, ((cell,),), "float32")
    return lx.Case(weights=weights, x=np.array([[[0.5], [0.25]]]), lengths=np.array([1]))


def messages() -> Iterator[tuple[str, bytes, dict[str, int]]]:
    """Each message of the example: a title, its bytes, and the sizes of its fields after the header."""
    asked = message.question(case(), "torch")
    yield "request: hello", b"".join(message.request(message.HELLO, 1, 4, [])), {}
    text = b"layout torch"
    yield "answer", answer(1, text), {"text": len(text)}
    fields = {**SIZES, "lengths": 8, "W": 16, "U": 16, "bias": 16, "second bias": 16, "x": 8}
    yield "request: a case", b"".join(message.request(message.RUN, 2, 4, message.body(asked))), fields
    outputs = np.array([0.25, 0.0, 0.25, 0.5], "<f4").tobytes()
    body = bytes(8) + outputs
    assert message.result(body, asked).c_n.tolist() == [[[0.5]]]  # type: ignore[union-attr]
    yield "answer (made up: y, h_n, c_n)", answer(2, body), {"flags": 8, "y": 8, "h_n": 4, "c_n": 4}


def answer(number: int, body: bytes) -> bytes:
    return message.HEADER.pack(message.ANSWER, 1, 0, 4, number, len(body), message.one(4)) + body


def dump() -> str:
    """All messages as offset, bytes and meaning."""
    lines = []
    for title, data, fields in messages():
        lines.append(title)
        at = 0
        for name, size in {**HEADER, **fields}.items():
            for start in range(at, at + size, 8):
                part = data[start : min(start + 8, at + size)]
                lines.append(f"  {start:4d}  {part.hex(' '):23s}  {name if start == at else ''}".rstrip())
            at += size
        assert at == len(data)
    return "".join(f"{line}\n" for line in lines)


def test_the_hex_dump_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = BLOCK.search(page)
    assert found is not None
    fresh = BLOCK.sub(lambda block: block[1] + dump() + block[3], page)
    assert page == fresh, f"the page is stale; its block should be:\n{dump()}"


def test_the_tables_have_the_numbers_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    flags = {int(bit) for bit in re.findall(r"\| (\d+) \| [a-z]", page.partition("| flag | meaning |")[2])}
    assert flags >= set(message.FLAGS.values())
    named = re.findall(r"(\d) ([a-z ]+)", page.partition("Activations: ")[2].partition("\n")[0].replace(".", ""))
    assert [int(number) for number, _ in named] == list(range(len(message.ACTIVATIONS)))
    assert named[0][1] == message.ACTIVATIONS[0] and named[7][1].replace(" ", "_") == message.ACTIVATIONS[7]
    assert (message.HEADER.size, message.SIZES.size) == (32, 104)


@pytest.mark.parametrize("width", [4, 8])
def test_the_canary_shows_another_byte_order(width: int) -> None:
    swapped = struct.pack(">f4x" if width == 4 else ">d", 1.0)
    assert message.one(width) != swapped
    assert len(message.one(width)) == 8
