"""Checkpoints with objects beside their tensors: placeholders stand for them, nothing is imported or run."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import enum
import pathlib
import pickle
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError

from ...helpers import command_line
from ..damage import memory_below, refusal
from .test_hostile_pickles import tensor, torch_zip

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
]

LSTM = torch.nn.LSTM(4, 6)


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Options:
    rate: float = 0.5


def greet(text: str) -> str:
    """A function that somebody keeps in a checkpoint."""
    return text


#: Objects, and what the checkpoint says of them.
EXTRAS: dict[str, tuple[Any, str]] = {
    "numpy-scalar": (np.float64(0.5), "numpy._core.multiarray.scalar"),
    "namespace": (argparse.Namespace(lr=1e-3), "argparse.Namespace"),
    "path": (pathlib.Path("/data"), "pathlib.PosixPath"),
    "date": (datetime.datetime(2024, 1, 1), "datetime.datetime"),
    "array": (np.arange(3.0), "numpy.ndarray"),
    "loss": (torch.nn.HuberLoss(), "torch.nn.modules.loss.HuberLoss"),
    "enum": (Colour.RED, f"{__name__}.Colour"),
    "dataclass": (Options(), f"{__name__}.Options"),
    "function": (greet, f"{__name__}.greet"),
    "partial": (partial(greet, "a"), f"{__name__}.greet"),
    "default-dict": ({"k": collections.defaultdict(list, a=[1])}, "dict"),
    "deque": (collections.deque([1, 2]), "collections.deque"),
    "dict-of-objects": ({"a": argparse.Namespace(), ("b", 1): 2, Colour.RED: 3}, "dict with argparse.Namespace"),
    "error": (ValueError("no"), "ValueError"),
    "plain": (0.5, "float"),
}


def weights() -> lx.LSTMWeights:
    return lx.LSTMWeights.from_layout({name: value.numpy() for name, value in LSTM.state_dict().items()}, "torch")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", EXTRAS)
def test_the_lstm_with_an_object_is_read_and_the_object_named(tmp_path: Path, name: str, legacy: bool) -> None:
    extra, named = EXTRAS[name]
    state = {f"rnn.{key}": value for key, value in LSTM.state_dict().items()}
    content = {"epoch": 3, "best": extra, "model_state_dict": state}
    torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    assert {lstm.name: lstm.weights for lstm in checkpoint.lstms} == {"rnn": weights()}
    assert checkpoint.content[0] == "epoch: int"
    assert checkpoint.content[1].startswith("best: ")
    assert named in checkpoint.content[1]


def test_inspect_prints_what_stands_with_the_tensors(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = command_line(capfd)
    torch.save({"args": argparse.Namespace(), "state": LSTM.state_dict()}, tmp_path / "m.pt")
    printed = command("inspect", str(tmp_path / "m.pt"))
    assert "other content: 1\n  args: argparse.Namespace, which was not imported" in printed.out
    assert '"content": [\n' in command("inspect", str(tmp_path / "m.pt"), "--json").out


class Attributes(dict):  # type: ignore[type-arg]
    """A dict whose entries are attributes too, as many packages have one."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        setattr(self, key, value)


def test_a_dict_of_another_class_is_a_dict(tmp_path: Path) -> None:
    state = Attributes()
    for name, value in LSTM.state_dict().items():
        state[name] = value
    torch.save({"state": state}, tmp_path / "m.pt")
    assert lx.load(tmp_path / "m.pt") == {"lstm": weights()}


def test_classes_that_are_nowhere_are_not_missed(tmp_path: Path) -> None:
    """Neither the module nor the class exists, so nothing can have been imported."""
    lost = b"cno_such_module\nNoSuchClass\n)\x81}X\x01\x00\x00\x00aK\x01sb"
    pickled = b"\x80\x02}(X\x01\x00\x00\x00o" + lost + b"X\x0c\x00\x00\x00weight_ih_l0" + tensor((4, 1), (1, 1))
    pickled += b"X\x0c\x00\x00\x00weight_hh_l0" + tensor((4, 1), (1, 1)) + b"u."
    path = torch_zip(tmp_path, pickled, {"0": bytes(64)})
    assert read_checkpoint(path).content == ("o: no_such_module.NoSuchClass, which was not imported",)
    assert list(lx.load(path)) == ["lstm"]
    hostile = pickled.replace(b"cno_such_module\nNoSuchClass\n)\x81}X\x01\x00\x00\x00aK\x01sb", b"cos\nsystem\n)R")
    assert "asks for os.system" in refusal(torch_zip(tmp_path, hostile, {"0": bytes(64)}))


def test_placeholders_are_cheap(tmp_path: Path) -> None:
    """A million objects that share one large state take no copies of it."""
    state = b"}(" + b"".join(b"K%cK\x01" % k for k in range(200)) + b"uq\x01"
    objects = b"h\x02)\x81h\x01b" * 100_000
    pickled = b"\x80\x02" + state + b"cm\nC\nq\x02](" + objects + b"e."
    with memory_below(64 << 20):
        assert not read_checkpoint(torch_zip(tmp_path, pickled)).lstms


def test_objects_within_themselves_end(tmp_path: Path) -> None:
    itself = b"\x80\x02cm\nC\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00b" + tensor((4, 1), (1, 1)) + b"ub."
    assert [tensor.name for tensor in read_checkpoint(torch_zip(tmp_path, itself, {"0": bytes(64)})).other] == ["b"]


@pytest.mark.parametrize("another", [False, True])
def test_an_lstm_within_an_object_is_named_and_not_read(tmp_path: Path, another: bool) -> None:
    """Its class may compute anything. Where another LSTM is read, this one is marked."""
    model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(4, 6)})
    torch.save({"whole": model, **({"state": LSTM.state_dict()} if another else {})}, tmp_path / "m.pt")
    says = (
        "encoder, an LSTM, not read: part of an object of torch.nn.modules.rnn.LSTM, a class that may compute anything"
    )
    if not another:
        assert says in refusal(tmp_path / "m.pt")
        return
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    assert [lstm.name for lstm in checkpoint.lstms] == ["lstm"]
    assert {tensor.unread for tensor in checkpoint.other} == {"encoder"}


def test_pickles_of_arrays_have_placeholders_too(tmp_path: Path) -> None:
    arrays = {"lstm/linear": {"w": np.ones((10, 24), np.float32), "b": np.ones(24, np.float32)}}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"params": arrays, "args": argparse.Namespace()}))
    checkpoint = read_checkpoint(tmp_path / "m.pkl")
    assert [lstm.name for lstm in checkpoint.lstms] == ["lstm"]
    assert checkpoint.content == ("args: argparse.Namespace, which was not imported",)


# Quantised modules


def quantised(dtype: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"input_size": 5, "hidden_size": 4, **options}
    model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(**sizes)})
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM}, dtype=dtype)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True}])
def test_float16_weights_are_read_and_computed_with(tmp_path: Path, options: dict[str, Any]) -> None:
    model = quantised(torch.float16, **options)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    (found,) = read_checkpoint(tmp_path / "m.pt").lstms
    assert found.notes == ("dynamic quantisation rounded its weights to float16",)
    case = lx.Case.random(found.weights.spec, weights=found.weights, steps=6, seed=1)
    x, h0, c0 = (torch.tensor(np.asarray(array)) for array in (case.x, case.h0, case.c0))
    with torch.no_grad():
        y, (h_n, c_n) = model["encoder"](x.transpose(0, 1), (h0, c0))
    result = lx.Result(y=y.transpose(0, 1).numpy(), h_n=h_n.numpy(), c_n=c_n.numpy())
    assert lx.judge(result, case).verdict == "match"
    wrong = lx.LSTMWeights.random(found.weights.spec, seed=2)
    assert lx.judge(result, dataclasses.replace(case, weights=wrong)).verdict == "mismatch"


def test_cells_that_may_be_layers_or_directions_are_not_guessed(tmp_path: Path) -> None:
    torch.save(quantised(torch.float16, input_size=4, num_layers=2).state_dict(), tmp_path / "m.pt")
    assert "which may be two layers or two directions" in refusal(tmp_path / "m.pt")


def test_eight_bit_weights_are_named_with_their_type(tmp_path: Path) -> None:
    torch.save({"q": quantised(torch.qint8).state_dict(), "plain": LSTM.state_dict()}, tmp_path / "m.pt")
    checkpoint = read_checkpoint(tmp_path / "m.pt")
    assert [lstm.name for lstm in checkpoint.lstms] == ["lstm"]
    assert {tensor.unread for tensor in checkpoint.other} == {"encoder"}
    assert "stored as qint8, a quantised weight" in checkpoint.other[0].note
    cell = torch.ao.quantization.quantize_dynamic(
        torch.nn.ModuleDict({"c": torch.nn.LSTMCell(4, 6)}), {torch.nn.LSTMCell}, dtype=torch.qint8
    )
    torch.save(cell.state_dict(), tmp_path / "c.pt")
    assert "holds c, an LSTM, not read: stored as qint8" in refusal(tmp_path / "c.pt")


def test_a_quantised_gru_is_no_lstm(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"g": torch.nn.GRU(4, 6)})
    packed = torch.ao.quantization.quantize_dynamic(model, {torch.nn.GRU}, dtype=torch.float16)
    torch.save(packed.state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="a GRU, not an LSTM"):
        lx.load(tmp_path / "m.pt")


# Files within files


def test_a_zip_of_checkpoints_names_its_members(tmp_path: Path) -> None:
    torch.save(LSTM.state_dict(), tmp_path / "policy.pth")
    for suffix in ("zip", "pt"):
        with zipfile.ZipFile(tmp_path / f"model.{suffix}", "w") as archive:
            archive.writestr("data", "{}")
            archive.write(tmp_path / "policy.pth", "policy.pth")
        assert refusal(tmp_path / f"model.{suffix}").endswith("name one of these in it: policy.pth")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", "{}")
    assert "is of an unknown format" in refusal(tmp_path / "other.zip")


def test_a_folder_names_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert "expected a checkpoint file" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert "it holds model.safetensors; name one of these" in refusal(tmp_path)
