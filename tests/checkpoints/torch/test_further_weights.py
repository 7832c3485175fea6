"""LSTMs of PyTorch whose modules have more weights than an LSTM: another cell, or an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.porting.recheck import recheck

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.framework

CELL, LSTM = torch.nn.LSTMCell(6, 4).state_dict(), torch.nn.LSTM(6, 4).state_dict()
NO_BIAS = torch.nn.LSTMCell(6, 4, bias=False).state_dict()
NORM = {f"layernorm_{of}.{name}": torch.ones(4 if of == "c" else 16) for of in "ihc" for name in ("weight", "bias")}
OTHER_CELLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "layer-norm": (NO_BIAS, NORM),
    "peephole": (CELL, {f"weight_c{gate}": torch.ones(4) for gate in "ifo"}),
    "peephole-in-one": (CELL, {"weight_ch": torch.ones(12)}),
    "multiplicative": (CELL, {"weight_mih": torch.ones(4, 6), "weight_mhh": torch.ones(4, 4)}),
    "low-rank": (LSTM, {"weight_hh_l0_lora_A": torch.ones(2, 4), "weight_hh_l0_lora_B": torch.ones(16, 2)}),
    "second-bias": (CELL, {"bias": torch.ones(16)}),
}
BELOW = {
    "low-rank-below": {"lora_A.weight_hh_l0": torch.ones(2, 4), "lora_B.weight_hh_l0": torch.ones(16, 2)},
    "norm-below": {"norm.weight": torch.ones(4)},
}


def save(path: Path, state: dict[str, Any], prefix: str = "") -> Path:
    torch.save({prefix + name: value for name, value in state.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "enc.", "model.enc."])
@pytest.mark.parametrize("cell", [name for name in OTHER_CELLS if name != "second-bias"])
@pytest.mark.parametrize("layout", [None, "torch"])
def test_another_cell_is_not_read(tmp_path: Path, cell: str, prefix: str, layout: str | None) -> None:
    own, further = OTHER_CELLS[cell]
    path = save(tmp_path / "m.pt", {**own, **further}, prefix)
    if layout:
        with pytest.raises(CheckpointError, match="holds no LSTM"):
            read_checkpoint(path, layout)
        return
    checkpoint = read_checkpoint(path)
    assert checkpoint.lstms == ()
    (unread,) = checkpoint.unread
    assert next(iter(further)) in unread.why
    assert {tensor.name for tensor in checkpoint.other if tensor.unread} == {prefix + name for name in (*own, *further)}


@pytest.mark.parametrize("kind", [*BELOW, "second-bias"])
def test_further_weights_below_an_lstm_are_named(tmp_path: Path, kind: str) -> None:
    own, further = OTHER_CELLS.get(kind) or (LSTM, BELOW[kind])
    (unread,) = read_checkpoint(save(tmp_path / "m.pt", {**own, **further}, "enc.")).unread
    assert unread.name == "enc"
    assert "its module has further weights" in unread.why
    assert "which may change what it computes" in unread.why


def test_an_adapter_around_an_lstm_is_seen(tmp_path: Path) -> None:
    state = {f"base_layer.{name}": value for name, value in LSTM.items()}
    state["lora_A.default.weight"] = torch.ones(2, 4)
    assert len(read_checkpoint(save(tmp_path / "m.pt", state, "enc.")).unread) == 1


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("place", ["", "enc.", "layers.0."])
def test_other_layers_of_a_model_change_no_lstm(tmp_path: Path, wrapper: str, place: str) -> None:
    """The mutant: the same tensors one module deeper make it another cell."""
    own = {place + name: value for name, value in LSTM.items()}
    others = {"fc.weight": torch.ones(2, 4), "norm.weight": torch.ones(4), "h0": torch.ones(1, 1, 4)}
    path = save(tmp_path / "m.pt", {**own, **others}, wrapper)
    torch.save({"state_dict": torch.load(path), "epoch": 3}, tmp_path / "n.pt")
    for file in (path, tmp_path / "n.pt"):
        checkpoint = read_checkpoint(file)
        assert len(checkpoint.lstms) == 1
        assert checkpoint.unread == ()
    deeper = {**LSTM, **others}
    assert read_checkpoint(save(tmp_path / "o.pt", deeper, wrapper + "deep.")).unread


def test_numbers_that_are_no_floats_change_no_lstm(tmp_path: Path) -> None:
    state = {**LSTM, "calls": torch.tensor(3)}
    assert read_checkpoint(save(tmp_path / "m.pt", state, "enc.")).unread == ()


def test_a_bias_without_input_weights_is_no_lstm(tmp_path: Path) -> None:
    path = save(tmp_path / "m.pt", {"weight_hh": torch.ones(16, 4), "bias": torch.ones(16)}, "enc.")
    with pytest.raises(CheckpointError, match="weight_ih is missing"):
        read_checkpoint(path).require_lstms()


@pytest.mark.parametrize("kind", ["low-rank", "norm-below"])
@pytest.mark.parametrize("by", ["names", "module"])
def test_further_weights_are_left_out_by_name(tmp_path: Path, kind: str, by: str) -> None:
    """What is ported is the LSTM without them, and the certificate says so; one of two is not enough."""
    further = OTHER_CELLS[kind][1] if kind in OTHER_CELLS else BELOW[kind]
    path, target = save(tmp_path / "m.pt", {**LSTM, **further}, "enc."), tmp_path / "n.pt"
    names = [f"enc.{name}" for name in further]
    if by == "module" and kind == "norm-below":
        names = ["enc.norm"]
    with pytest.raises(CheckpointError, match="to port it without them, name each with --leave-out"):
        lx.port(path, target, leave_out=names[1:])
    certificate = lx.port(path, target, leave_out=names)
    assert certificate["verdict"] == "agree"
    assert certificate["left_out"] == [f"enc.{name} float32{list(value.shape)}" for name, value in further.items()]
    assert "read without further weights of its module, which are left out: enc." in certificate["notes"]["enc"][0]
    torch.nn.LSTM(6, 4).load_state_dict({k.removeprefix("enc."): v for k, v in torch.load(target).items()})
    assert "still agree" in recheck(tmp_path / "n.pt.xcheck.json")


def test_an_lstm_that_is_left_out_takes_its_further_weights_along(tmp_path: Path) -> None:
    other = {f"dec.{name}": value for name, value in torch.nn.LSTM(3, 2).state_dict().items()}
    own = {f"enc.{name}": value for name, value in {**LSTM, **BELOW["norm-below"]}.items()}
    lx.port(save(tmp_path / "m.pt", own | other), tmp_path / "n.pt", leave_out=["enc"])
    assert set(torch.load(tmp_path / "n.pt")) == set(other)
