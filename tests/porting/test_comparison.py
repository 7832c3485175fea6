"""Two files, one LSTM? And if not, which mistake turns one into the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.model import CellWeights
from lstm_xcheck.porting.clips import where_it_acts
from lstm_xcheck.porting.compare_files import compare

SPEC = lx.LSTMSpec(3, 4, num_layers=2)
WEIGHTS = lx.LSTMWeights.random(SPEC, seed=4)


def saved(folder: Path, name: str, **lstms: lx.LSTMWeights) -> Path:
    write_checkpoint(folder / name, lstms)
    return folder / name


def changed(array: str, value: float) -> lx.LSTMWeights:
    """The weights with one number of layer 1 moved to the next float."""
    cell = WEIGHTS.layers[1][0]
    arrays = {name: np.array(tensor) for name, tensor in cell.items()}
    arrays[array][2, 1, 0] = np.nextafter(arrays[array][2, 1, 0], np.float32(value))
    return replace(WEIGHTS, layers=(WEIGHTS.layers[0], (CellWeights(**arrays),)))


@pytest.mark.framework("h5py")
def test_the_same_in_another_format(tmp_path: Path) -> None:
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.weights.h5", enc=WEIGHTS))
    assert found.same
    assert [pair.weights for pair in found.lstms] == [[], []]


def test_a_stack_and_layers_of_other_names_are_the_same(tmp_path: Path) -> None:
    layers = {"first": WEIGHTS.layer(0), "second": WEIGHTS.layer(1)}
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", **layers))
    assert found.same
    assert [pair.second for pair in found.lstms] == ["first + second"]


def test_counts_are_reconciled(tmp_path: Path) -> None:
    single = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, bias="single"))
    found = compare(saved(tmp_path, "a.npz", enc=single), saved(tmp_path, "b.safetensors", enc=single))
    counts = found.lstms[0].counts
    assert found.same
    assert (counts["first"]["native"], counts["second"]["native"]) == (128, 144)
    assert "a second bias of 4h = 16" in counts["second"]["explanation"]


def test_one_bit_is_found_and_measured(tmp_path: Path) -> None:
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", enc=changed("U", 9.0)))
    (pair,) = found.lstms
    (tensor,) = pair.weights
    assert not found.same
    assert (tensor["tensor"], tensor["numbers"], tensor["max_ulp"]) == ("1.0.U", 1, 1.0)
    assert (tensor["worst"]["gate"], tensor["worst"]["index"][0]) == ("g", 1)
    assert pair.diagnosis["cause"] is None


@pytest.mark.parametrize("name", ["gates-igfo", "bias-hh-dropped", "u-transposed"])
def test_a_mistake_is_named(tmp_path: Path, name: str) -> None:
    mistake = mistake_named(name)
    wrong = mistake.change_case(lx.Case.random(SPEC, weights=WEIGHTS))
    assert wrong is not None
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", enc=wrong.weights))
    (pair,) = found.lstms
    assert not found.same
    assert pair.function["verdict"] == "mismatch"
    assert (pair.diagnosis["cause"], pair.diagnosis["certain"]) == (mistake.title, True)


def test_a_mistake_in_one_layer_is_named_with_the_layer(tmp_path: Path) -> None:
    wrong = mistake_named("bias-hh-dropped").change_cell(WEIGHTS, 1, 0)
    assert wrong is not None
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", enc=wrong))
    assert found.lstms[0].diagnosis["cause"].endswith("dropped, in layer 1 forward alone")


def test_a_rounded_copy_is_named(tmp_path: Path) -> None:
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", enc=WEIGHTS.astype("float16")))
    assert not found.same
    assert found.lstms[0].diagnosis["cause"] == "rounded from float32 to float16"


def test_another_size_is_a_difference(tmp_path: Path) -> None:
    other = lx.LSTMWeights.random(lx.LSTMSpec(3, 5, num_layers=2))
    found = compare(saved(tmp_path, "a.npz", enc=WEIGHTS), saved(tmp_path, "b.npz", enc=other))
    assert not found.same
    (pair,) = found.lstms
    assert pair.spec == ["hidden_size is 4 in A, but 5 in B"]
    assert (pair.comparable, pair.function["verdict"]) == (False, "not compared")


def clipped(bound: float | None) -> lx.LSTMWeights:
    return lx.LSTMWeights.random(lx.LSTMSpec(3, 4, bias="single", cell_clip=bound), seed=4)


def test_weights_and_function_are_compared_beyond_a_clip(tmp_path: Path) -> None:
    paths = saved(tmp_path, "a.npz", enc=clipped(None)), saved(tmp_path, "b.npz", enc=clipped(100.0))
    found = compare(*paths)
    (pair,) = found.lstms
    assert not found.same
    assert (pair.spec, pair.weights) == (["cell_clip is None in A, but 100.0 in B"], [])
    assert (pair.function["verdict"], pair.function["without"]) == ("match", ["cell_clip"])
    assert pair.clips == [
        "cell_clip 100.0 of B does not act on the inputs compared; from zero states it cannot act within the first 100 "
        "steps"
    ]
    found = compare(*paths, without=["cell_clip"])
    assert (found.same, found.without) == (True, ["cell_clip 100.0 of enc"])
    with pytest.raises(lx.UserError, match="--without 'clip' should be one of gate_clip, cell_clip, proj_clip"):
        compare(*paths, without=["clip"])


def test_a_clip_that_acts_is_measured(tmp_path: Path) -> None:
    free, tight = clipped(None), clipped(0.25)
    found = compare(saved(tmp_path, "a.npz", enc=free), saved(tmp_path, "b.npz", enc=tight))
    (text,) = found.lstms[0].clips
    assert text.startswith("cell_clip 0.25 of B changes h or c by up to ")
    assert "from zero states" not in text


def test_a_clip_of_ten_acts_from_the_eleventh_step_on() -> None:
    """Cells that grow by nearly 1 a step."""
    cell = CellWeights(W=np.zeros((4, 1, 1)), U=np.zeros((4, 1, 1)), b=np.full((4, 1), 30.0))
    weights = lx.LSTMWeights(lx.LSTMSpec(1, 1, bias="single", cell_clip=10.0), ((cell,),))
    texts = [where_it_acts(lx.Case(weights=weights, x=np.zeros((1, steps, 1))), "cell_clip") for steps in (10, 11)]
    limit = "; from zero states it cannot act within the first 10 steps"
    assert texts == [
        f"does not act on the inputs compared{limit}",
        f"changes h or c by up to 1 on the inputs compared{limit}",
    ]


@pytest.mark.parametrize("without", [(), ("cell_clip",)])
def test_a_clip_hides_no_other_difference(tmp_path: Path, without: tuple[str, ...]) -> None:
    wrong = mistake_named("gates-igfo").change_cell(clipped(10.0), 0, 0)
    assert wrong is not None
    found = compare(saved(tmp_path, "a.npz", enc=clipped(None)), saved(tmp_path, "b.npz", enc=wrong), without=without)
    (pair,) = found.lstms
    assert not found.same
    assert {entry["tensor"] for entry in pair.weights} == {"0.0.W", "0.0.U", "0.0.b"}
    assert pair.function["verdict"] == "mismatch"
    assert pair.diagnosis["mistakes"] == ["gates-igfo"]


@pytest.mark.parametrize(
    "options", [{"reverse": True}, {"cell_activation": "relu"}, {"gate_activation": "hard_sigmoid:0.2,0.5"}]
)
def test_weights_are_compared_where_functions_differ(tmp_path: Path, options: dict[str, Any]) -> None:
    weights = clipped(None)
    other = lx.LSTMWeights(replace(weights.spec, **options), weights.layers, weights.dtype)
    found = compare(saved(tmp_path, "a.npz", enc=weights), saved(tmp_path, "b.npz", enc=other))
    (pair,) = found.lstms
    assert (found.same, pair.comparable, pair.weights) == (False, True, [])
    assert pair.function["verdict"] == "mismatch"
    assert pair.diagnosis is None


def test_several_lstms_are_matched_by_name(tmp_path: Path) -> None:
    one, other = (lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed) for seed in (1, 2))
    found = compare(saved(tmp_path, "a.npz", x=one, y=other), saved(tmp_path, "b.npz", y=other, x=one))
    assert found.same


def test_what_cannot_be_distinguished_is_refused(tmp_path: Path) -> None:
    one, other = (lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed) for seed in (1, 2))
    paths = saved(tmp_path, "a.npz", x=one, y=other), saved(tmp_path, "b.npz", p=other, q=one)
    with pytest.raises(lx.UserError, match="not clear which LSTM to compare with which"):
        compare(*paths)


@pytest.mark.framework
def test_other_layers_that_differ_are_named(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 4)})
    torch.save(model.state_dict(), tmp_path / "a.pt")
    assert compare(tmp_path / "a.pt", tmp_path / "a.pt").layers == []
    with torch.no_grad():
        model["head"].weight.copy_(model["head"].weight.T.clone())
    torch.save(model.state_dict(), tmp_path / "b.pt")
    found = compare(tmp_path / "a.pt", tmp_path / "b.pt")
    assert (found.same, found.layers) == (True, ["head (kernel)"])
