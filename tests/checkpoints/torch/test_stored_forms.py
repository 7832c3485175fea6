"""LSTMs that PyTorch stores in another form: parametrised, pruned, before dropout, before quantisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import FoundLSTM, read_checkpoint
from lstm_xcheck.checkpoints.detect.torch_names import detect_torch_names
from lstm_xcheck.checkpoints.detect.user_layout import detect
from lstm_xcheck.checkpoints.options import ReadOptions
from lstm_xcheck.checkpoints.tensor_info import TensorInfo
from lstm_xcheck.errors import CheckpointError

torch = pytest.importorskip("torch")

from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm  # noqa: E402

pytestmark = [pytest.mark.framework, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]

HH = "weight_hh_l0"
#: What is done to an LSTM's recurrent weights, and a word of the note.
FORMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "weight-norm": (lambda lstm: weight_norm(lstm, HH), "weight_norm"),
    "weight-norm-of-all": (lambda lstm: weight_norm(lstm, HH, dim=None), "weight_norm"),
    "weight-norm-twice": (lambda lstm: weight_norm(weight_norm(lstm, HH), "weight_ih_l1"), "weight_norm"),
    "parametrised": (lambda lstm: parametrizations.weight_norm(lstm, HH), "weight_norm"),
    "parametrised-columns": (lambda lstm: parametrizations.weight_norm(lstm, HH, dim=1), "weight_norm"),
    "spectral-norm": (lambda lstm: spectral_norm(lstm, HH), "spectral_norm"),
    "parametrised-spectral": (lambda lstm: parametrizations.spectral_norm(lstm, HH), "spectral_norm"),
    "pruned": (lambda lstm: prune.l1_unstructured(lstm, HH, 0.3), "pruning"),
}


class Dropped(torch.nn.Module):  # type: ignore[misc, name-defined]
    """The wrapper of fastai and AWD-LSTM: raw weights here, the others in the module."""

    def __init__(self, keep_copy: bool) -> None:
        super().__init__()
        self.module = torch.nn.LSTM(5, 4)
        self.register_parameter(f"{HH}_raw", torch.nn.Parameter(getattr(self.module, HH).detach().clone()))
        with torch.no_grad():
            getattr(self.module, HH)[::2] = 0
        if not keep_copy:
            delattr(self.module, HH)

    def forward(self, x: Any) -> Any:
        plain = torch.nn.LSTM(5, 4)
        plain.load_state_dict({**self.module.state_dict(), HH: getattr(self, f"{HH}_raw")})
        return plain(x)


def read(path: Path, module: Any) -> FoundLSTM:
    torch.save(torch.nn.ModuleDict({"encoder": module}).state_dict(), path)
    (found,) = read_checkpoint(path).lstms
    return found


def assert_computes(found: FoundLSTM, module: Any) -> None:
    """The module's own outputs lie within the bound of what was read."""
    case = lx.Case.random(found.weights.spec, weights=found.weights, steps=6, seed=1)
    x, h0, c0 = (torch.tensor(np.asarray(array)) for array in (case.x, case.h0, case.c0))
    with torch.no_grad():
        y, (h_n, c_n) = module.eval()(x.transpose(0, 1), (h0, c0))
    verdict = lx.judge(lx.Result(y=y.transpose(0, 1).numpy(), h_n=h_n.numpy(), c_n=c_n.numpy()), case)
    assert verdict.verdict == "match", verdict


@pytest.mark.parametrize("form", FORMS)
def test_the_module_computes_what_is_read(tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    module = torch.nn.LSTM(5, 4, num_layers=2)
    change, word = FORMS[form]
    change(module)
    with torch.no_grad():
        module(torch.randn(6, 2, 5))  # trains the vectors of spectral_norm
        for name, parameter in module.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.mul_(1.5)
    found = read(tmp_path / "m.pt", module)
    assert any(word in note for note in found.notes)
    assert_computes(found, module)


def test_another_norm_is_seen(tmp_path: Path) -> None:
    """The mutant: a norm over the columns of what was normed by rows."""
    torch.manual_seed(0)
    module = torch.nn.LSTM(5, 4)
    weight_norm(module, HH)
    with torch.no_grad():
        getattr(module, f"{HH}_g").mul_(1.5)
    found = read(tmp_path / "m.pt", module)
    by_columns = torch.nn.LSTM(5, 4)
    by_columns.load_state_dict({name: torch.tensor(array) for name, array in found.weights.to_layout("torch").items()})
    with torch.no_grad():
        v = getattr(module, f"{HH}_v")
        getattr(by_columns, HH).copy_(v / v.norm(dim=0) * getattr(module, f"{HH}_g"))
    with pytest.raises(AssertionError, match="mismatch"):
        assert_computes(found, by_columns)


@pytest.mark.parametrize("keep_copy", [True, False])
def test_the_weights_before_dropout_are_the_model(tmp_path: Path, keep_copy: bool) -> None:
    torch.manual_seed(0)
    wrapper = Dropped(keep_copy)
    found = read(tmp_path / "m.pt", wrapper)
    np.testing.assert_array_equal(found.weights.to_layout("torch")[HH], getattr(wrapper, f"{HH}_raw").detach())
    assert "before dropout" in found.notes[0]
    copies = [(tensor.name, tensor.note) for tensor in read_checkpoint(tmp_path / "m.pt").other]
    assert [name for name, _ in copies] == (["encoder.module.weight_hh_l0"] if keep_copy else [])
    assert all("a copy of what the file also holds" in note for _, note in copies)
    plain = torch.nn.LSTM(5, 4)  # with the same keys at one level, as awd-lstm-lm has them
    state = {**plain.state_dict(), f"{HH}_raw": torch.ones(16, 4)}
    torch.save(state, tmp_path / "n.pt")
    assert (read_checkpoint(tmp_path / "n.pt").lstms[0].weights.to_layout("torch")[HH] == 1).all()


def test_a_form_that_is_not_known_is_named(tmp_path: Path) -> None:
    lstm = torch.nn.LSTM(5, 4)
    parametrizations.orthogonal(lstm, HH)
    torch.save(lstm.state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="an LSTM, not read: weight_hh_l0 is stored in a form that is not known"):
        lx.load(tmp_path / "m.pt")


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstms_before_quantisation_are_read(tmp_path: Path, split: bool, bidirectional: bool) -> None:
    plain = torch.nn.LSTM(5, 4, num_layers=2, bidirectional=bidirectional).eval()
    plain.qconfig = torch.ao.quantization.default_qconfig
    module = torch.ao.nn.quantizable.LSTM.from_float(plain, split_gates=split)
    found = read(tmp_path / "m.pt", module)
    assert found.notes == ()
    assert_computes(found, module)


@pytest.mark.filterwarnings("ignore:Please use quant_min")
def test_quantisation_aware_training_is_noted(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(5, 4)}).train()
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    prepared = torch.ao.quantization.prepare_qat(model)
    torch.save(prepared.state_dict(), tmp_path / "m.pt")
    (found,) = read_checkpoint(tmp_path / "m.pt").lstms
    assert "rounded them and its steps to 8 bits" in found.notes[0]
    np.testing.assert_array_equal(found.weights.to_layout("torch")[HH], model["encoder"].weight_hh_l0.detach())


NO_LSTMS = {
    "GRU": lambda: torch.nn.GRU(48, 64), "RNN": lambda: torch.nn.RNN(5, 20), "GRUCell": lambda: torch.nn.GRUCell(3, 4),
}  # fmt: skip


@pytest.mark.parametrize("renamed", [False, True], ids=["own-names", "other-names"])
@pytest.mark.parametrize("kind", NO_LSTMS)
def test_no_layout_makes_an_lstm_of_a_gru_or_rnn(tmp_path: Path, kind: str, renamed: bool) -> None:
    """`GRU(48, 64)` has the shapes of an LSTM of 48 units whose two matrices are exchanged."""
    state = {f"enc.{'my_' * renamed}{name}": value for name, value in NO_LSTMS[kind]().state_dict().items()}
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="holds no LSTM") as refused:
        lx.load(tmp_path / "m.pt")
    assert "--layout" not in str(refused.value)
    for layout in ("torch", "mxnet", "coreml", "tinygrad", "keras", "tf1"):
        with pytest.raises(CheckpointError, match=f"holds no LSTM that fits --layout {layout}"):
            lx.load(tmp_path / "m.pt", layout=layout)


def test_the_same_names_with_the_shapes_of_an_lstm_are_offered(tmp_path: Path) -> None:
    torch.save({f"my_{name}": value for name, value in torch.nn.LSTM(3, 4).state_dict().items()}, tmp_path / "m.pt")
    assert lx.load(tmp_path / "m.pt", layout="torch")["lstm"].spec.hidden_size == 4
    with pytest.raises(CheckpointError, match=r"say it with --layout: .*torch"):
        lx.load(tmp_path / "m.pt")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_gates_of_burn_are_read(tmp_path: Path, bidirectional: bool) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = lx.LSTMWeights.random(lx.LSTMSpec(5, 4, bidirectional=bidirectional), seed=0)
    arrays = {f"model.enc.{name}": np.ascontiguousarray(array) for name, array in weights.to_layout("burn").items()}
    safetensors.save_file(arrays, tmp_path / "m.safetensors")
    assert lx.load(tmp_path / "m.safetensors") == {"enc": weights}


def test_one_matrix_among_several_is_no_kernel_of_tensorflow(tmp_path: Path) -> None:
    """The siblings of a gate each have a matrix and a vector, as a cell of TensorFlow 1 has."""
    linear = torch.nn.Linear(16, 8)
    torch.save(
        {f"lstm.{part}.{k}": v for part in ("a", "b") for k, v in linear.state_dict().items()}, tmp_path / "m.pt"
    )
    with pytest.raises(CheckpointError, match="holds no LSTM") as refused:
        lx.load(tmp_path / "m.pt")
    assert "--layout" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["a{}.weight_ih_l0", "a{}.weight_hh_l0_raw", "a{}.parametrizations.weight_hh_l0.original0", "lstm.{}.w"]
)
def test_names_alone_are_no_lstm(name: str) -> None:
    tensors = [TensorInfo(name.format(k), (4, 3), "float32", lambda: np.zeros((4, 3))) for k in range(1_900)]
    lstms, other = detect(Path("m.pt"), tensors, detect_torch_names, ReadOptions())
    assert (lstms, len(other)) == ((), len(tensors))


class Scaled(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A parametrisation of somebody's own."""

    def __init__(self, own_parameter: bool) -> None:
        super().__init__()
        factor = torch.tensor(0.5)
        self.factor = torch.nn.Parameter(factor) if own_parameter else 0.5

    def forward(self, weight: Any) -> Any:
        return weight * self.factor


BIASES = [name + end for name in ("bias_ih_l0", "bias_hh_l0") for end in ("", "_reverse")]


@pytest.mark.parametrize("norm", [weight_norm, parametrizations.weight_norm, prune.random_unstructured])
@pytest.mark.parametrize("names", [BIASES[:1], BIASES[2:3], BIASES[2:], BIASES])
def test_a_bias_in_another_form_is_computed(tmp_path: Path, norm: Callable[..., Any], names: list[str]) -> None:
    torch.manual_seed(0)
    module = torch.nn.LSTM(5, 4, bidirectional=True)
    for name in names:
        norm(module, name, 0.5) if norm is prune.random_unstructured else norm(module, name)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.mul_(-1.5)
    found = read(tmp_path / "m.pt", module)
    assert found.weights.spec.bias == "split"
    assert_computes(found, module)


@pytest.mark.parametrize("own_parameter", [False, True])
@pytest.mark.parametrize(
    "names",
    [["bias_hh_l0"], ["bias_ih_l0", "bias_hh_l0"], ["weight_ih_l0"], ["weight_hh_l0"], ["weight_hr_l0"],
     ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0", "bias_ih_l0", "bias_hh_l0"], ["bias_hh_l1"]],
)  # fmt: skip
def test_no_weight_or_bias_in_a_form_of_its_own_is_dropped(
    tmp_path: Path, names: list[str], own_parameter: bool
) -> None:
    for size in (0, 3) if "weight_hr_l0" not in names else (3,):
        module = torch.nn.LSTM(5, 4, num_layers=2, proj_size=size)
        gru = torch.nn.GRU(5, 4, num_layers=2)
        for name in names:
            torch.nn.utils.parametrize.register_parametrization(module, name, Scaled(own_parameter))
            if hasattr(gru, name):
                torch.nn.utils.parametrize.register_parametrization(gru, name, Scaled(own_parameter))
        state = torch.nn.ModuleDict({"enc": module, "gru": gru, "plain": torch.nn.LSTM(2, 3)}).state_dict()
        torch.save(state, tmp_path / "m.pt")
        checkpoint = read_checkpoint(tmp_path / "m.pt")
        assert [lstm.name for lstm in checkpoint.lstms] == ["plain"]
        (unread,) = checkpoint.unread
        assert unread.name == "enc"
        assert f"{' and '.join(names)} is stored in a form that is not known" in unread.why


def test_the_spectral_norm_of_a_bias_is_not_known(tmp_path: Path) -> None:
    module = torch.nn.LSTM(5, 4)
    parametrizations.spectral_norm(module, "bias_hh_l0")
    torch.save(module.state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="bias_hh_l0 is stored in a form that is not known"):
        lx.load(tmp_path / "m.pt")
