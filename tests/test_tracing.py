"""`lx.trace` takes files, weights, specs and cases, and inputs of every form; `trace` prints the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.cli.trace import command

from .cli.conftest import invoke

SPEC = lx.LSTMSpec(input_size=3, hidden_size=2, num_layers=2)
WEIGHTS = lx.LSTMWeights.random(SPEC, seed=5)
X = np.linspace(-1, 1, 12).reshape(4, 3)


def y(*arguments: Any, **options: Any) -> Any:
    return lx.trace(*arguments, **options).result.y


def test_every_way_to_name_the_lstm_gives_the_same(tmp_path: Path) -> None:
    expected = lx.trace(lx.Case(weights=WEIGHTS, x=X[None])).result.y
    write_checkpoint(tmp_path / "two.npz", {"a": lx.LSTMWeights.random(SPEC), "b": WEIGHTS})
    for lstm in (WEIGHTS, tmp_path / "two.npz", str(tmp_path / "two.npz")):
        named = {} if isinstance(lstm, lx.LSTMWeights) else {"layer_name": "b"}
        np.testing.assert_array_equal(y(lstm, X, **named), expected)
    np.testing.assert_array_equal(y(SPEC, X, seed=5), expected)
    assert (y(SPEC, X, seed=6) != expected).any()
    with pytest.raises(lx.UserError, match="holds 2 LSTMs; choose one by --layer-name: a, b"):
        lx.trace(tmp_path / "two.npz")


def test_every_form_of_an_input_gives_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    for x in (X[None], X.tolist(), tmp_path / "x.npy", str(tmp_path / "x.npy")):
        np.testing.assert_array_equal(y(WEIGHTS, x), y(WEIGHTS, X))
    np.testing.assert_array_equal(y(WEIGHTS, one_hot=[2, 0], depth=3), y(WEIGHTS, np.eye(3)[[2, 0]]))
    one = lx.LSTMSpec(input_size=1, hidden_size=2)
    np.testing.assert_array_equal(y(one, [1, 2]), y(one, [[[1.0], [2.0]]]))
    assert lx.trace(SPEC, steps=7).case.steps == 7


def test_the_command_prints_the_same_numbers() -> None:
    arguments = ("--input-size", 3, "--hidden-size", 2, "--layers", 2, "--seed", 5, "--values", "1,2,3;4,5,6")
    printed = json.loads(invoke(command, *arguments, "--json"))
    np.testing.assert_array_equal(printed["y"], y(SPEC, [[1, 2, 3], [4, 5, 6]], seed=5))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((3,), {}, "got a int, but this should be a file, LSTMWeights, an LSTMSpec or a Case"),
        ((WEIGHTS, X), {"steps": 3}, "an input and --steps are both inputs; give one"),
        ((WEIGHTS, np.ones((4, 2))), {}, "the input has 2 features per step, but the LSTM reads 3"),
        ((WEIGHTS, "missing.npy"), {}, "is missing, but should be a .npy file"),
        ((WEIGHTS, [["a"]]), {}, "and type <U1, but should be numbers"),
        ((lx.Case(weights=WEIGHTS, x=X[None]), X), {}, "a Case has an input of its own"),
        ((WEIGHTS,), {"one_hot": [3], "depth": 3}, "index 3 should be from 0 to 2"),
    ],
    ids=["int", "two", "width", "file", "text", "case", "index"],
)
def test_a_mistake_is_one_sentence(arguments: Any, options: Any, words: str) -> None:
    with pytest.raises(lx.UserError, match=words) as caught:
        lx.trace(*arguments, **options)
    assert "\n" not in str(caught.value)
