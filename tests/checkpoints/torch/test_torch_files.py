"""PyTorch files, written by PyTorch and read without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import load, read_checkpoint
from lstm_xcheck.errors import CheckpointError
from lstm_xcheck.model import LSTMSpec, LSTMWeights

from ...helpers import run_python
from ..damage import refusal

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.framework


def lstm(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return torch.nn.LSTM(5, 4, **options)


def assert_same_bits(weights: LSTMWeights, state: Mapping[str, Any], prefix: str = "") -> None:
    """Against the framework's own rows: gates i, f, g, o are the four blocks of h rows of every matrix and bias."""
    h = weights.spec.hidden_size
    for layer, direction, cell in weights.cells():
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        for kind, ours in (("weight_ih", cell.W), ("weight_hh", cell.U), ("bias_ih", cell.b), ("bias_hh", cell.b_r)):
            theirs = state.get(prefix + kind + suffix)
            assert (ours is None) == (theirs is None)
            for block, gate in enumerate("ifgo" if ours is not None else ""):
                expected = theirs[block * h : (block + 1) * h].detach().numpy()
                np.testing.assert_array_equal(ours[gate], expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 3}, {"bidirectional": True, "num_layers": 2}, {"bias": False}, {"proj_size": 2}],
    ids=["plain", "stacked", "bidirectional", "no-bias", "projected"],
)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_state_dict_is_read_bit_for_bit(tmp_path: Path, options: dict[str, object], legacy: bool) -> None:
    module = lstm(**options)
    path = tmp_path / "model.pt"
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    weights = load(path)["lstm"]
    assert_same_bits(weights, module.state_dict())
    assert weights.parameter_count == sum(p.numel() for p in module.parameters())
    if "proj_size" in options:
        np.testing.assert_array_equal(weights.layers[0][0].projection, module.weight_hr_l0.detach().numpy())


def test_forget_gate_is_the_second_block(tmp_path: Path) -> None:
    module = lstm()
    with torch.no_grad():
        module.weight_ih_l0.zero_()[4:8] = 7.0
    torch.save(module.state_dict(), tmp_path / "m.pt")
    cell = load(tmp_path / "m.pt")["lstm"].layers[0][0]
    assert cell.W["f"].tolist() == [[7.0] * 5] * 4
    assert not cell.W["i"].any()
    assert not cell.W["g"].any()
    assert not cell.W["o"].any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_precision_is_kept_exactly(tmp_path: Path, dtype: str) -> None:
    module = lstm().to(getattr(torch, dtype))
    torch.save(module.state_dict(), tmp_path / "m.pt")
    found = read_checkpoint(tmp_path / "m.pt").lstms[0]
    assert found.source_dtype == found.weights.dtype == dtype
    ours = found.weights.layers[0][0].U["g"]
    np.testing.assert_array_equal(ours.astype(np.float64), module.weight_hh_l0[8:12].detach().double().numpy())


def test_training_checkpoint_with_wrappers_optimizer_and_buffers(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({
        "encoder": lstm(1), "decoder": torch.nn.LSTM(4, 3),
        "norm": torch.nn.BatchNorm1d(3), "head": torch.nn.Linear(3, 1),
    })  # fmt: skip
    wrapped = torch.nn.DataParallel(model)
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    torch.save(
        {"epoch": 3, "losses": [0.5] * 2000, "state_dict": wrapped.state_dict(), "optimizer": optimizer.state_dict(),
         "device": torch.device("cpu"), "shape": torch.Size([2, 3]), "best": {1, 2}, "dtype": torch.float32},
        tmp_path / "ck.pth",
    )  # fmt: skip
    checkpoint = read_checkpoint(tmp_path / "ck.pth")
    assert [found.name for found in checkpoint.lstms] == ["encoder", "decoder"]
    assert_same_bits(checkpoint.lstms[0].weights, model.state_dict(), "encoder.")
    assert_same_bits(checkpoint.lstms[1].weights, model.state_dict(), "decoder.")
    assert checkpoint.lstms[0].tensors[0] == "state_dict.module.encoder.weight_ih_l0"
    listed = {tensor.name: (tensor.shape, tensor.dtype) for tensor in checkpoint.other}
    assert listed["state_dict.module.norm.num_batches_tracked"] == ((), "int64")
    assert listed["state_dict.module.head.weight"] == ((1, 3), "float32")
    assert listed["optimizer.state.0.exp_avg"] == ((16, 5), "float32")
    training = {tensor.name.partition(".")[0] for tensor in checkpoint.other if tensor.training}
    assert training == {"optimizer"}


@pytest.mark.usefixtures("oracle_alone")
def test_a_lightning_checkpoint_is_ported_with_its_layers(tmp_path: Path) -> None:
    """Callbacks, schedulers and two optimizers stand beside the state dict; a layer called scaler stands in it."""
    pytest.importorskip("h5py")
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(5, 4), "scaler": torch.nn.Linear(4, 2)})
    optimizer = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    other_layers = {
        "state_dict": model.state_dict(), "epoch": torch.tensor(3), "best_val": torch.tensor(0.5),
        "optimizer_states": [optimizer.state_dict()], "gen_optimizer_state_dict": optimizer.state_dict(),
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.25)}},
        "lr_schedulers": [{"last": torch.ones(2)}], "hyper_parameters": {"weights": torch.ones(3)},
    }  # fmt: skip
    torch.save(other_layers, tmp_path / "m.ckpt")
    certificate = lx.port(tmp_path / "m.ckpt", tmp_path / "m.keras")
    assert [layer["source"] for layer in certificate["layers"]] == ["scaler"]
    assert len(certificate["training"]) == 2 * 18 + 5
    torch.save({"state_dict": model.state_dict(), "teacher": {"scale": torch.ones(2)}}, tmp_path / "n.ckpt")
    with pytest.raises(lx.DisagreementError, match=r"teacher\.scale float32\[2\]"):
        lx.port(tmp_path / "n.ckpt", tmp_path / "n.keras")


def test_two_state_dicts_get_different_names(tmp_path: Path) -> None:
    first, second = lstm(1), lstm(2)
    torch.save({"model": first.state_dict(), "ema": second.state_dict()}, tmp_path / "ck.pt")
    models = load(tmp_path / "ck.pt")
    assert set(models) == {"model", "ema"}
    assert_same_bits(models["ema"], second.state_dict())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    module = lstm()
    torch.save({"net": module.state_dict()}, tmp_path / "m.pt", pickle_protocol=protocol)
    assert_same_bits(load(tmp_path / "m.pt")["lstm"], module.state_dict())


def test_strides_offsets_and_shared_storage_are_honoured(tmp_path: Path) -> None:
    state = lstm().state_dict()
    state["weight_ih_l0"] = state["weight_ih_l0"].T.contiguous().T
    joined = torch.cat([torch.zeros(3), state["bias_ih_l0"], state["bias_hh_l0"]])
    state["bias_ih_l0"], state["bias_hh_l0"] = joined[3:19], joined[19:]
    assert not state["weight_ih_l0"].is_contiguous()
    torch.save(state, tmp_path / "m.pt")
    assert_same_bits(load(tmp_path / "m.pt")["lstm"], state)


def test_parameters_are_read_like_tensors(tmp_path: Path) -> None:
    module = lstm()
    torch.save(dict(module.named_parameters()), tmp_path / "m.pt")
    assert_same_bits(load(tmp_path / "m.pt")["lstm"], module.state_dict())


def test_lstm_cell_is_a_layer_of_its_own(tmp_path: Path) -> None:
    cell = torch.nn.LSTMCell(5, 4)
    torch.save({f"enc.{k}": v for k, v in cell.state_dict().items()}, tmp_path / "m.pt")
    found = read_checkpoint(tmp_path / "m.pt").lstms[0]
    assert (found.name, found.weights.spec) == ("enc", LSTMSpec(5, 4))
    np.testing.assert_array_equal(found.weights.layers[0][0].U["f"], cell.weight_hh[4:8].detach().numpy())
    assert "LSTMCell" in found.notes[0]


def test_one_vector_named_bias_belongs_to_the_cell(tmp_path: Path) -> None:
    cell = torch.nn.LSTMCell(5, 4)
    bias = torch.arange(16.0)
    torch.save({"weight_ih": cell.weight_ih, "weight_hh": cell.weight_hh, "bias": bias}, tmp_path / "m.pt")
    weights = load(tmp_path / "m.pt")["lstm"]
    assert weights.spec.bias == "single"
    assert weights.layers[0][0].b["f"].tolist() == [4.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize("kind", ["GRU", "RNN", "GRUCell", "RNNCell"])
def test_other_recurrent_layers_are_not_taken_for_an_lstm(tmp_path: Path, kind: str) -> None:
    state = {f"lstm.{k}": v for k, v in getattr(torch.nn, kind)(5, 4).state_dict().items()}
    torch.save({**state, **{f"real.{k}": v for k, v in lstm().state_dict().items()}}, tmp_path / "m.pt")
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    assert [found.name for found in checkpoint.lstms] == ["real"]
    notes = {tensor.note for tensor in checkpoint.other}
    assert len(notes) == 1
    assert notes.pop().startswith({"GRU": "a GRU, not an LSTM", "RNN": "an RNN, not an LSTM"}[kind[:3]])


def test_cell_and_layer_of_one_name_are_refused_with_choices(tmp_path: Path) -> None:
    state = {**lstm().state_dict(), **torch.nn.LSTMCell(5, 4).state_dict()}
    torch.save(state, tmp_path / "m.pt")
    sentence = refusal(tmp_path / "m.pt")
    assert "'weight_ih'" in sentence
    assert "'weight_ih_l0'" in sentence


def test_missing_matrix_is_never_read_as_a_smaller_lstm(tmp_path: Path) -> None:
    state = lstm(num_layers=2).state_dict()
    del state["weight_hh_l1"]
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"holds no LSTM.*weight_hh_l1 is missing"):
        load(tmp_path / "m.pt")


@pytest.mark.parametrize("name", ["bias_hh_l0", "bias_ih_l1"])
def test_missing_bias_is_never_read_as_none(tmp_path: Path, name: str) -> None:
    state = lstm(num_layers=2).state_dict()
    del state[name]
    torch.save(state, tmp_path / "m.pt")
    assert "LSTM lstm cannot be read" in refusal(tmp_path / "m.pt")


def test_mixed_types_and_nan_are_refused(tmp_path: Path) -> None:
    state = lstm().state_dict()
    torch.save({**state, "bias_ih_l0": state["bias_ih_l0"].half()}, tmp_path / "mixed.pt")
    assert "mixes float16 and float32" in refusal(tmp_path / "mixed.pt")
    state["weight_hh_l0"][0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    assert "should be a finite number" in refusal(tmp_path / "nan.pt")


def test_pickled_modules_are_refused(tmp_path: Path) -> None:
    torch.save(lstm(), tmp_path / "whole.pt")
    sentence = refusal(tmp_path / "whole.pt")
    assert "torch.nn.modules.rnn.LSTM" in sentence
    assert "state_dict" in sentence


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    torch.save(lstm().state_dict(), tmp_path / "m.pt")
    code = (
        "import sys; sys.modules['torch'] = None; from lstm_xcheck.checkpoints import load; "
        f"print(load({str(tmp_path / 'm.pt')!r})['lstm'].fingerprint)"
    )
    assert run_python(code).strip() == load(tmp_path / "m.pt")["lstm"].fingerprint


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_weights_are_called_so(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(5, 4)})
    packed = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM}, dtype=torch.qint8)
    torch.save(packed.state_dict(), tmp_path / "m.pt")
    assert "a quantised weight (save the model before it is quantised)" in refusal(tmp_path / "m.pt")
