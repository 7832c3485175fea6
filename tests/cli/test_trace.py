"""`trace` against a plain loop, against PyTorch, and on bad input."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.cli.trace import command
from lstm_xcheck.errors import UserError
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.oracle.trace import trace
from lstm_xcheck.report.trace_view import Choice, plot, sparkline

from .conftest import invoke

ROOT = Path(__file__).parents[2]
ONE = ("--input-size", 1, "--hidden-size", 1)
BOTH = ("--input-size", 3, "--hidden-size", 2, "--layers", 2, "--bidirectional")


def show(*arguments: object) -> str:
    return invoke(command, *arguments)


def as_json(*arguments: object) -> Any:
    return json.loads(show(*arguments, "--json"))


def loop(weights: LSTMWeights, values: list[float]) -> list[dict[str, float]]:
    """One unit, one feature, in plain Python."""
    cell = weights.layers[0][0]
    w, u = (np.asarray(array, np.float64)[:, 0, 0].tolist() for array in (cell.W, cell.U))
    b = cell.total_bias[:, 0].tolist()
    h = c = 0.0
    steps = []
    for x in values:
        z = [w[k] * x + u[k] * h + b[k] for k in range(4)]
        i, f, o = (1 / (1 + math.exp(-z[k])) for k in (0, 1, 3))
        g = math.tanh(z[2])
        c = f * c + i * g
        h = o * math.tanh(c)
        steps.append({"i": i, "f": f, "g": g, "o": o, "c": c, "h": h})
    return steps


def test_four_steps_of_one_unit() -> None:
    found = as_json(*ONE, "--values", "1,2,3,4")
    expected = loop(LSTMWeights.random(LSTMSpec(input_size=1, hidden_size=1)), [1.0, 2.0, 3.0, 4.0])
    (cell,) = found["cells"]
    for name in ("i", "f", "g", "o", "c", "h"):
        assert np.shape(cell[name]) == (1, 4, 1)
        assert np.ravel(cell[name]) == pytest.approx([step[name] for step in expected], rel=1e-13, abs=0)
    assert found["x"] == [[[1.0], [2.0], [3.0], [4.0]]]
    assert found["y"] == cell["h"]
    assert found["last"] == [cell["h"][0][-1]]
    assert cell["last_step"] == [3]


def test_the_table_holds_the_same_numbers() -> None:
    lines = [line.split() for line in show(*ONE, "--values", "1,2,3,4").splitlines()]
    expected = loop(LSTMWeights.random(LSTMSpec(input_size=1, hidden_size=1)), [1.0, 2.0, 3.0, 4.0])
    for t, step in enumerate(expected):
        (row,) = [line for line in lines if line[:3] == [str(t), str(t + 1), "0"]]
        assert row[3:9] == [f"{step[name]:.4f}" for name in ("i", "f", "g", "o", "c", "h")]
        assert row[9:] == (["last"] if t == 3 else [])


def test_five_steps_of_the_smallest_lstm_by_default() -> None:
    text = show(*ONE)
    assert "12 parameters with one bias (Keras), 16 with two (PyTorch)" in text
    assert "(batch, steps, features) = (1, 5, 1)" in text
    assert "whole sequence (1, 5, 1)" in text
    assert "last output    (1, 1)" in text


def test_one_hot_steps() -> None:
    found = as_json("--input-size", 10, "--hidden-size", 1, "--one-hot", "4,7,8,4", "--depth", 10)
    assert np.argmax(found["x"], axis=2).tolist() == [[4, 7, 8, 4]]
    assert np.sum(found["x"], axis=2).tolist() == [[1.0, 1.0, 1.0, 1.0]]
    text = show("--input-size", 10, "--hidden-size", 1, "--one-hot", "4,7,8,4", "--depth", 10)
    assert [line.split()[1:3] for line in text.splitlines() if "one-hot" in line][1:] == [
        ["one-hot", step] for step in "4784"
    ]


def test_two_features_in_two_steps() -> None:
    assert as_json("--input-size", 2, "--hidden-size", 1, "--values", "1,2;3,4")["x"] == [[[1.0, 2.0], [3.0, 4.0]]]


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)], ids=["one-sequence", "batch"])
def test_an_input_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "x.npy", x)
    found = as_json("--input-size", 3, "--hidden-size", 2, "--input", tmp_path / "x.npy")
    np.testing.assert_array_equal(np.array(found["x"], dtype=np.float32), x.reshape(-1, 4, 3))


def test_a_row_of_a_batch_is_chosen(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2, 1))
    text = show(*ONE, "--input", tmp_path / "x.npy", "--row", 2)
    assert "showing row 2" in text
    assert [line.split()[:2] for line in text.splitlines() if line[:2] in ("0 ", "1 ")] == [["0", "4"], ["1", "5"]]


def test_layers_and_directions_are_chosen() -> None:
    assert "layer 1, forward" in show(*BOTH)
    assert "layer 1, backward" in show(*BOTH)
    lower = show(*BOTH, "--layer", 0, "--direction", "backward")
    assert "layer 0, backward" in lower
    assert "forward" not in lower
    assert "layer 1" not in lower
    assert "  final\n" in lower


def test_the_last_output_of_the_backward_direction_is_at_the_first_step() -> None:
    found = as_json(*BOTH, "--steps", 4)
    forward, backward = found["cells"][2:]
    assert (forward["last_step"], backward["last_step"]) == ([3], [0])
    assert found["last"][0] == [*forward["h"][0][3], *backward["h"][0][0]]
    assert "h at t = 3 and t = 0" in show(*BOTH, "--steps", 4)


def test_units_are_chosen() -> None:
    sizes = ("--input-size", 1, "--hidden-size", 20, "--steps", 2)
    text = show(*sizes)
    assert "showing units 0 to 7 of 20" in text
    assert sum(line.startswith("unit") for line in text.splitlines()) == 8 * 6
    chosen = show(*sizes, "--unit", "19,3")
    assert {line.split()[1] for line in chosen.splitlines() if line.startswith("unit")} == {"19", "3"}
    assert len(as_json(*sizes)["cells"][0]["i"][0][0]) == 20


def test_padding_is_no_number() -> None:
    spec = LSTMSpec(input_size=2, hidden_size=3, bidirectional=True)
    case = Case.random(spec, steps=5, batch=3, ragged=True, seed=3)
    run = trace(case)
    forward, backward = run.cells[0]
    for cell in (forward, backward):
        for name in ("i", "f", "g", "o", "c", "h"):
            array = getattr(cell, name)
            assert np.isfinite(array[case.valid]).all()
            assert np.isnan(array[~case.valid]).all()
    assert forward.last.tolist() == (np.asarray(case.lengths) - 1).tolist()
    assert backward.last.tolist() == [0, 0, 0]
    assert (~case.valid).any()


@pytest.mark.framework
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
def test_pytorch_gives_the_same_sequence(bidirectional: bool) -> None:
    torch = pytest.importorskip("torch")
    spec = LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=bidirectional)
    case = Case.random(spec, steps=6, batch=2, states=False, precision="float64")
    run = trace(case)
    lstm = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=bidirectional, batch_first=True, dtype=torch.float64)
    lstm.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in case.weights.to_layout("torch").items()})
    with torch.no_grad():
        y, (_, c_n) = lstm(torch.from_numpy(case.x.copy()))
    top = run.cells[-1]
    np.testing.assert_allclose(np.concatenate([cell.h for cell in top], axis=2), y.numpy(), rtol=1e-12)
    last = [cell.c[np.arange(2), cell.last] for cells in run.cells for cell in cells]
    np.testing.assert_allclose(np.stack(last), c_n.numpy(), rtol=1e-12)


@pytest.mark.framework
@pytest.mark.parametrize("prefix", [("",), ("first.", "second.")], ids=["one", "two"])
def test_a_checkpoint(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    torch = pytest.importorskip("torch")
    lstm = torch.nn.LSTM(10, 3)
    state = {start + name: tensor for start in prefix for name, tensor in lstm.state_dict().items()}
    torch.save(state, tmp_path / "model.pt")
    arguments = (tmp_path / "model.pt", "--one-hot", "4,7,8,4", "--depth", 10)
    if len(prefix) > 1:
        with pytest.raises(UserError, match="holds 2 LSTMs; choose one by --layer-name: first, second"):
            show(*arguments)
        with pytest.raises(UserError, match="has no LSTM named 'third'; it has first, second"):
            show(*arguments, "--layer-name", "third")
        arguments = (*arguments, "--layer-name", "second")
    found = as_json(*arguments)
    weights = LSTMWeights.from_layout({name: tensor.numpy() for name, tensor in lstm.state_dict().items()}, "torch")
    expected = trace(Case(weights=weights, x=np.eye(10)[None, [4, 7, 8, 4]]))
    np.testing.assert_array_equal(found["y"], expected.result.y)
    np.testing.assert_array_equal(found["cells"][0]["f"], expected.cells[0][0].f)


def test_a_text_file_named_pt(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("not a model", encoding="utf-8")
    with pytest.raises(UserError, match=r"model\.pt"):
        show(tmp_path / "model.pt")


NPY = {
    "missing": (None, "is missing, but should be a .npy file"),
    "text": (b"1 2 3", "is no .npy file; write it with numpy.save"),
    "truncated": (np.ones((4, 1)), "is damaged"),
    "pickle": (np.array([[{}]], dtype=object), "is damaged or holds Python objects"),
    "one-axis": (np.ones(4), r"has shape \(4,\) and type float64"),
    "words": (np.array([["a"]]), "and type <U1, but should be numbers"),
    "nan": (np.array([[np.nan]]), "x holds NaN"),
    "features": (np.ones((4, 2)), "the input has 2 features per step, but the LSTM reads 1"),
}


@pytest.mark.parametrize("name", NPY)
def test_a_bad_input_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    content, sentence = NPY[name]
    file = tmp_path / "x.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        np.save(file, content)
    if name == "truncated":
        file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(UserError, match=sentence) as caught:
        show(*ONE, "--input", file)
    assert "\n" not in str(caught.value)


HOT = ("--input-size", 10, "--hidden-size", 1, "--one-hot")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*HOT, "4,10", "--depth", 10), "index 10 should be from 0 to 9, since --depth is 10"),
        ((*HOT, "-1", "--depth", 10), "index -1 should be from 0 to 9"),
        ((*HOT, "4,x", "--depth", 10), "'4,x' should be whole numbers"),
        ((*HOT, "4"), "needs --depth"),
        ((*HOT, "4", "--depth", 0), "--depth is 0"),
        ((*HOT, "4", "--depth", 5), "5 features per step, but the LSTM reads 10"),
        ((*ONE, "--depth", 5), "--depth 5 belongs to --one-hot"),
        ((*ONE, "--values", "1,b"), "'b' should be numbers"),
        ((*ONE, "--values", "1;2,3"), "the steps have 1, 2 features"),
        ((*ONE, "--values", "inf"), "x holds NaN, infinity"),
        ((*ONE, "--values", "1", "--steps", 2), "--values and --steps are both inputs"),
        ((*ONE, "--row", 1), "--row is 1, but should be from 0 to 0"),
        ((*ONE, "--layer", 1), "--layer is 1, but should be from 0 to 0"),
        ((*ONE, "--unit", 1), "--unit is 1, but should be from 0 to 0"),
        ((*ONE, "--unit", "a"), "--unit is 'a'"),
        ((*ONE, "--direction", "backward"), "the other way only"),
        ((*ONE, "--init", "nope"), "unknown init 'nope'"),
        ((*ONE, "--layer-name", "a"), "no FILE is given"),
        (("model.pt", *ONE), "--input-size describes random weights, but FILE model.pt"),
        (("model.pt", "--init", "keras"), "--init describes random weights"),
        (("missing.pt",), "missing.pt does not exist"),
        (("--input-size", 10**6, "--hidden-size", 10**6), "trace one of 100,000,000 or fewer"),
        (("--input-size", 1, "--hidden-size", 0), "hidden_size is 0"),
        ((), "--input-size is missing"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        show(*arguments)
    assert "\n" not in str(caught.value)


def test_a_sparkline_runs_from_low_to_high() -> None:
    assert sparkline([0.0, 0.49, 0.51, 1.0, 2.0, float("nan")], 0.0, 1.0, "ab") == "aabbb "


def test_a_long_sequence_fits_the_line() -> None:
    lines = [line for line in show(*ONE, "--steps", 500).splitlines() if line.startswith("unit 0")]
    assert len(lines) == 6
    assert max(map(len, lines)) < 90


def test_the_example_of_one_unit(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "one_unit_lstm.py"), run_name="__main__")
    text = capsys.readouterr().out
    assert "12 parameters: W 4, U 4, b 4" in text
    assert "whole sequence (1, 5, 1), last output (1, 1)" in text
    assert text.rstrip().endswith("verdict: match")


def test_a_terminal_without_block_characters_gets_plain_ones() -> None:
    run = trace(Case.random(LSTMSpec(input_size=1, hidden_size=1), steps=3, batch=1))
    choice = Choice(row=0, cells=run.cells[0], units=(0,))
    assert all(line.isascii() for line in plot(run.cells[0][0], choice, "cp1252"))
    assert not all(line.isascii() for line in plot(run.cells[0][0], choice, "utf-8"))
