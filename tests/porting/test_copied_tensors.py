"""What no layer is known of: copied between state dicts, left out by name elsewhere, never in silence."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.other_layers.model import CopiedTensor, OtherLayers
from lstm_xcheck.porting.certificate import checksum
from lstm_xcheck.porting.recheck import recheck

from ..helpers import command_line

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("oracle_alone")]


class Mixed(torch.nn.Module):  # type: ignore[misc, name-defined]
    """An LSTM beside a GRU, plain parameters of several types, and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(4, 6)
        self.gru = torch.nn.GRU(6, 5)
        self.scale = torch.nn.Parameter(torch.randn(3))
        self.brain = torch.nn.Parameter(torch.randn(2).bfloat16())
        self.table = torch.nn.Parameter(torch.randn(7, 9))
        self.conv = torch.nn.Conv1d(3, 4, 2)
        self.norm = torch.nn.GroupNorm(1, 5)
        self.head = torch.nn.Linear(5, 2)
        for name, values in {"steps": [1, 2], "mask": [True, False], "bytes": [200]}.items():
            dtype = {"steps": torch.int32, "mask": torch.bool, "bytes": torch.uint8}[name]
            self.register_buffer(name, torch.tensor(values, dtype=dtype))


UNKNOWN = ("gru", "scale", "brain", "table", "conv", "norm", "steps", "mask", "bytes")


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    torch.manual_seed(0)
    state = Mixed().state_dict()
    torch.save({"model": state, "args": argparse.Namespace(rate=1), "epoch": 2}, tmp_path / "m.pt")
    return tmp_path / "m.pt", state


def same(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("through", [".pt", ".safetensors", ".pdparams"])
def test_everything_is_copied_bit_for_bit_from_state_dict_to_state_dict(
    source: tuple[Path, dict[str, Any]], tmp_path: Path, through: str
) -> None:
    path, state = source
    leave_out = ["norm"] if through == ".pdparams" else []  # perhaps a layer that Paddle stores otherwise
    certificate = lx.port(path, tmp_path / f"there{through}", leave_out=leave_out)
    lx.port(tmp_path / f"there{through}", tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert set(back) == {name for name in state if name.partition(".")[0] not in leave_out}
    assert all(same(back[name], state[name]) for name in back)
    assert len(certificate["copied"]) == len(back) - 4 - 2
    assert certificate["left_out"][-2:] == ["args: argparse.Namespace, which was not imported", "epoch: int"]
    assert "still agree" in recheck(tmp_path / f"there{through}.xcheck.json")


def test_a_copy_that_changes_is_refused(source: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The mutants: a writer that gives other numbers, and a file that was changed with its certificate."""
    path, _ = source
    weights = lx.load(path)["rnn"]
    wrong = OtherLayers(copied=(CopiedTensor("a.b", "a.b", np.float32([1, 2]), "int32"),))
    with pytest.raises(lx.CheckpointError, match=r"a\.b read back is not what was written"):
        write_checkpoint(tmp_path / "w.safetensors", {"rnn": weights}, other_layers=wrong)
    lx.port(path, tmp_path / "new.pt")
    file = tmp_path / "new.pt.xcheck.json"
    content = json.loads(file.read_text())
    content["copied"][0]["fingerprint"] = "0" * 64
    content["seal"] = checksum(content)
    file.write_text(json.dumps(content))
    with pytest.raises(lx.DisagreementError, match="the tensor read now is not that of"):
        recheck(file)


def test_elsewhere_each_is_left_out_by_its_name(
    source: tuple[Path, dict[str, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py")
    path, state = source
    command = command_line(capfd)
    refused = command("port", str(path), str(tmp_path / "m.keras"))
    assert refused.code == 1
    assert "add --leave-out NAME to leave one out, or --lstm-only for all" in refused.err
    names = [argument for name in UNKNOWN for argument in ("--leave-out", name)]
    done = command("port", str(path), str(tmp_path / "m.keras"), *names)
    assert done.code == 0, done.err
    listed = json.loads((tmp_path / "m.keras.xcheck.json").read_text())["left_out"]
    left = [name for name in state if name.partition(".")[0] in UNKNOWN]
    assert sorted(line.split()[0].removeprefix("model.") for line in listed[: len(left)]) == sorted(left)
    assert "left out: model.gru.weight_ih_l0 float32[15, 6]" in done.out
    wrong = command("port", str(path), str(tmp_path / "n.keras"), "--leave-out", "nope")
    assert wrong.code == 2
    assert "has no 'nope', but rnn, model.scale" in wrong.err


def test_an_lstm_is_left_out_by_its_name_too(tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"a": torch.nn.LSTM(2, 3), "b": torch.nn.LSTM(2, 3), "c": torch.nn.LSTM(2, 3)})
    state = {k: v.int() if k.startswith("c.") else v for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(lx.DisagreementError, match="holds LSTMs that are not read: c"):
        lx.port(tmp_path / "m.pt", tmp_path / "n.pt")
    certificate = lx.port(tmp_path / "m.pt", tmp_path / "n.pt", leave_out=["b", "c"])
    assert [lstm["source"] for lstm in certificate["lstms"]] == ["a"]
    assert certificate["left_out"][0] == "b"
    assert [lstm.name for lstm in read_checkpoint(tmp_path / "n.pt").lstms] == ["a"]
    with pytest.raises(lx.CheckpointError, match="holds no LSTM but what --leave-out names, a, b, c: every LSTM was"):
        lx.port(tmp_path / "m.pt", tmp_path / "o.pt", leave_out=["a", "b", "c"])
    with pytest.raises(lx.CheckpointError, match="holds no LSTM that can be read; c is an LSTM, not read"):
        lx.port(tmp_path / "m.pt", tmp_path / "o.pt", leave_out=["a", "b"])
    torch.save({name: value for name, value in state.items() if name.startswith("c.")}, tmp_path / "p.pt")
    with pytest.raises(lx.CheckpointError, match="every LSTM was left out"):
        lx.port(tmp_path / "p.pt", tmp_path / "o.pt", leave_out=["c"])
    torch.save({name: value for name, value in state.items() if name.startswith("b.")}, tmp_path / "p.pt")
    with pytest.raises(lx.CheckpointError, match="every LSTM was left out"):
        lx.port(tmp_path / "p.pt", tmp_path / "o.pt", leave_out=["b"])


def test_two_state_dicts_keep_their_full_names(tmp_path: Path) -> None:
    one, two = (torch.nn.ModuleDict({"rnn": torch.nn.LSTM(2, 3)}).state_dict() for _ in "ab")
    torch.save({"a": {**one, "s": torch.ones(1)}, "b": {**two, "s": torch.zeros(1)}}, tmp_path / "m.pt")
    lx.port(tmp_path / "m.pt", tmp_path / "n.safetensors")
    names = {tensor.name for tensor in read_checkpoint(tmp_path / "n.safetensors").other}
    assert names == {"a.s", "b.s"}


def renamed(command: Any, *arguments: Any) -> Any:
    return command("port", *map(str, arguments))


def test_several_layers_are_renamed_in_one_option(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = command_line(capfd)
    model = torch.nn.ModuleDict({
        "a": torch.nn.LSTM(2, 3), "b": torch.nn.LSTM(3, 3), "c": torch.nn.LSTM(3, 3), "head": torch.nn.Linear(3, 1),
    })  # fmt: skip
    torch.save(model.state_dict(), tmp_path / "m.pt")
    done = renamed(command, tmp_path / "m.pt", tmp_path / "n.pt", "--rename", "a=enc,b,c=dec,head=top")
    assert done.code == 0, done.err
    assert [lstm.name for lstm in read_checkpoint(tmp_path / "n.pt").lstms] == ["enc", "dec"]
    assert {tensor.name for tensor in read_checkpoint(tmp_path / "n.pt").other} == {"top.weight", "top.bias"}
    unknown = renamed(command, tmp_path / "m.pt", tmp_path / "o.pt", "--rename", "x=y,z=w")
    assert unknown.code == 2
    assert "there is no layer 'x', 'z', but a, b, c, head" in unknown.err
    for text in ("a=b,c", "a", "=b", "a=b,=c"):
        assert (
            "should be written OLD=NEW" in renamed(command, tmp_path / "m.pt", tmp_path / "o.pt", "--rename", text).err
        )


def test_a_template_says_all_renames_at_once(tmp_path: Path) -> None:
    def save(path: Path, **layers: Any) -> Path:
        torch.save(torch.nn.ModuleDict(layers).state_dict(), path)
        return path

    def lstm(size: int) -> Any:
        return torch.nn.LSTM(size, 3)

    ours = save(tmp_path / "m.pt", a=lstm(2), b=lstm(5), c=lstm(5), head=torch.nn.Linear(3, 1))
    like = save(tmp_path / "like.pt", x=lstm(5), b=lstm(2), y=lstm(5), top=torch.nn.Linear(3, 1))
    with pytest.raises(lx.CheckpointError, match=r"add --rename a=b,b=x,c=y,head=top$"):
        lx.port(ours, tmp_path / "n.pt", like=like)
    renames = {"a": "b", "b": "x", "c": "y", "head": "top"}
    lx.port(ours, tmp_path / "n.pt", like=like, rename=renames)
    filled = lx.load(tmp_path / "n.pt")
    assert all(filled[renames[name]] == weights for name, weights in lx.load(ours).items())
    several = save(tmp_path / "two.pt", x=lstm(5), y=lstm(5), z=lstm(5), b=lstm(2))
    with pytest.raises(lx.CheckpointError, match=r"with the one that is meant|should be 2 as in the source"):
        lx.port(ours, tmp_path / "o.pt", like=several, lstm_only=True)
