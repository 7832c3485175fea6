"""`params` prints the frameworks' own numbers and why they differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lstm_xcheck.cli.params import command
from lstm_xcheck.errors import SpecError, UserError

from .conftest import invoke


def params(*arguments: object) -> str:
    return invoke(command, *arguments)


def as_json(*arguments: object) -> Any:
    return json.loads(params(*arguments, "--json"))


def test_the_classifier_of_2308_features() -> None:
    text = params("--input-size", 2308, "--hidden-size", 32, "--head", 1)
    assert "4((x + h)h + h) = 4((2,308 + 32) * 32 + 32) = 299,648" in text
    assert "head: Dense on the last output = 32 * 1 + 1 = 33" in text
    assert "Keras convention (keras" in text
    assert "299,648 + 33 = 299,681" in text
    assert "299,776 + 33 = 299,809" in text
    assert "PyTorch reports 299,776 = 299,648 + 128: a second bias of 4h = 128" in text


def test_the_smallest_lstm() -> None:
    conventions = as_json("--input-size", 1, "--hidden-size", 1)["conventions"]
    assert conventions["single"]["by_tensor"] == {"W": 4, "U": 4, "b": 4}
    assert conventions["single"]["total"] == 12
    assert conventions["split"]["by_tensor"] == {"W": 4, "U": 4, "b": 4, "b_r": 4}
    assert conventions["split"]["total"] == 16
    assert "keras" in conventions["single"]["layouts"]
    assert "torch" in conventions["split"]["layouts"]


def test_the_table_splits_w_u_and_b() -> None:
    lines = params("--input-size", 2308, "--hidden-size", 32, "--head", 1).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line[:6] in ("Keras ", "PyTorc") and "(" not in line}
    assert rows["Keras"] == ["295,424", "4,096", "128", "299,648", "33", "299,681"]
    assert rows["PyTorch"] == ["295,424", "4,096", "128", "128", "299,776", "33", "299,809"]


def test_every_layout_is_in_one_convention_or_left_out_with_a_reason() -> None:
    from lstm_xcheck.layouts import TABLE

    found = as_json("--input-size", 3, "--hidden-size", 4, "--proj-size", 2)
    named = [name for one in found["conventions"].values() for name in one["layouts"]]
    assert sorted([*named, *found["left_out"]]) == sorted(row.name for row in TABLE)
    assert found["left_out"]["keras"] == "no place for a projection"


@pytest.mark.parametrize(
    ("options", "single", "split", "head"),
    [
        # By hand: 4((5+4)4+4) = 160, doubled; above it 4((8+4)4+4) = 208, doubled; a second bias of 16 for four cells.
        (["--layers", 2, "--bidirectional", "--head", 3], 736, 800, 27),
        # 4((5+2)4+4) + 2*4 = 136, and 16 for the second bias; the head reads the two projected numbers.
        (["--proj-size", 2, "--head", 3], 136, 152, 9),
    ],
    ids=["two-layers-both-directions", "projection"],
)
def test_stacks_directions_and_projections(options: list[object], single: int, split: int, head: int) -> None:
    conventions = as_json("--input-size", 5, "--hidden-size", 4, *options)["conventions"]
    assert (conventions["single"]["lstm"], conventions["split"]["lstm"]) == (single, split)
    assert [one["total"] - one["lstm"] for one in conventions.values()] == [head, head]


def test_the_formula_of_a_stack_adds_up() -> None:
    lines = params("--input-size", 5, "--hidden-size", 4, "--layers", 3, "--bidirectional").splitlines()
    assert lines[0] == "layer 0: 2 * (4((x + h)h + h)) = 2 * (4((5 + 4) * 4 + 4)) = 320"
    assert lines[1] == "layers 1 to 2, each: 2 * (4((x + h)h + h)) = 2 * (4((8 + 4) * 4 + 4)) = 416"
    assert lines[2] == "all 3 layers: 1,152"


def test_without_bias_there_is_one_convention() -> None:
    found = as_json("--input-size", 10, "--hidden-size", 4, "--bias", "none")
    assert list(found["conventions"]) == ["none"]
    assert found["conventions"]["none"]["by_tensor"] == {"W": 160, "U": 64}
    assert found["conventions"]["none"]["total"] == 224


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [("single", "stored beside a vector of zeros"), ("split", "their sum is stored")],
)
def test_the_bias_at_hand_is_related_to_both_conventions(bias: str, sentence: str) -> None:
    sizes = ("--input-size", 3, "--hidden-size", 2)
    assert sentence in params(*sizes, "--bias", bias)
    assert sentence not in params(*sizes)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (["--hidden-size", 0], SpecError, "hidden_size is 0, but should be a positive whole number"),
        (["--hidden-size", 4, "--proj-size", 4], SpecError, "proj_size is 4, but should be smaller"),
        (["--hidden-size", 4, "--layers", 0], SpecError, "num_layers is 0"),
        (["--hidden-size", 4, "--layers", 10**9], UserError, "should be 512 or fewer"),
        (["--hidden-size", 4, "--head", -1], UserError, "--head is -1"),
        ([], UserError, "--hidden-size is missing"),
    ],
    ids=["hidden-0", "projection-too-wide", "layers-0", "too-many-layers", "head-negative", "no-hidden"],
)
def test_an_impossible_lstm_is_one_sentence(options: list[object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence) as caught:
        params("--input-size", 3, *options)
    assert "\n" not in str(caught.value)


@pytest.mark.framework
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
def test_pytorch_reports_the_same_numbers(bidirectional: bool) -> None:
    torch = pytest.importorskip("torch")
    lstm = torch.nn.LSTM(2308, 32, bidirectional=bidirectional)
    linear = torch.nn.Linear(64 if bidirectional else 32, 1)
    options = ["--bidirectional"] if bidirectional else []
    split = as_json("--input-size", 2308, "--hidden-size", 32, "--head", 1, *options)["conventions"]["split"]
    assert split["lstm"] == sum(p.numel() for p in lstm.parameters())
    assert split["total"] == split["lstm"] + sum(p.numel() for p in linear.parameters())
