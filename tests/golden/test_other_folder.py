"""Another folder of the same schema runs: wrong numbers fail, and what no case can say is a skip with its reason."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from .corpus import Print
from .other_folder import File, expressible, inexpressible, write
from .test_switch import run_corpus_tests


def test_what_is_expressible_agrees_and_the_rest_is_skipped_with_its_reason(tmp_path: Path) -> None:
    others = inexpressible()
    write(tmp_path / "corpus", {**expressible(), **{name: content for name, (content, _) in others.items()}})
    done = run_corpus_tests(tmp_path / "corpus", "test_oracle.py", "test_wrong_orders.py", "-vv")
    assert done.returncode == 0, done.stdout
    for name in expressible():
        assert f"test_every_number_agrees[{name}] PASSED" in done.stdout
    for name, (_, reason) in others.items():
        assert f"test_every_number_agrees[{name}] SKIPPED" in done.stdout
        assert reason in done.stdout, name


def off(quantity: str, by: float) -> Callable[[File], None]:
    """Move the first number of a quantity."""

    def change(file: File) -> None:
        file["expected"][quantity]["data"][0] += by

    return change


def exchanged(first: str, second: str) -> Callable[[File], None]:
    """Exchange two arrays of the weights."""

    def change(file: File) -> None:
        arrays = file["weights"]["arrays"]
        arrays[first], arrays[second] = arrays[second], arrays[first]

    return change


WRONG = {
    "a-number": ("pytorch__stack", off("y", 2e-6)),
    "a-rounded-number": ("pytorch__three_decimals", off("h_n", 2e-3)),
    "a-number-of-four-digits": ("pytorch__four_digits", off("c_n", 2e-3)),
    "axon-gates": ("elixir__lstm", exchanged("wii", "wif")),
    "burn-biases": (
        "rust__lstm",
        exchanged("l0.fw.forget_gate.input_transform.bias", "l0.fw.cell_gate.hidden_transform.bias"),
    ),
    "mnn-candidate": ("ali__lstm", exchanged("fw.w_n", "fw.w_f")),
}


@pytest.mark.parametrize(("name", "change"), WRONG.values(), ids=WRONG)
def test_a_wrong_number_fails(tmp_path: Path, name: str, change: Callable[[File], None]) -> None:
    files = deepcopy(expressible())
    change(files[name])
    write(tmp_path / "corpus", files)
    done = run_corpus_tests(tmp_path / "corpus", "test_oracle.py", "-k", name)
    assert done.returncode == 1, done.stdout
    assert f"test_every_number_agrees[{name}]" in done.stdout


@pytest.mark.parametrize(
    ("numbers", "half_units"),
    [
        (["0.995", "0.5", "0.762"], [5e-4] * 3),
        (["12.345", "0.046", "1.5"], [5e-4] * 3),
        (["1.234e-05", "0.4567", "8.9"], [5e-9, 5e-5, 5e-4]),
        (["1.97812", "2.0", "0.978119"], [5e-6, 5e-6, 5e-7]),
        (["1.0", "27.0", "216.0"], [0.0] * 3),
        (["0.5", "0.4"], [0.0] * 2),
    ],
)
def test_the_last_printed_place_is_found(numbers: list[str], half_units: list[float]) -> None:
    printed = Print.of([Decimal(number).normalize() for number in numbers])
    assert np.allclose(printed.half_unit(np.array([float(number) for number in numbers])), half_units, rtol=1e-12)
