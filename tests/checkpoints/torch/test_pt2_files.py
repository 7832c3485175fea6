"""`.pt2` files of torch.export, read without PyTorch."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.errors import CheckpointError

from ..damage import refusal

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]


class Tagger(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two layers in both directions, a head, and a constant that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True)
        self.head = torch.nn.Linear(12, 2)
        self.scale = torch.ones(3)

    def forward(self, x: Any, h0: Any, c0: Any) -> Any:
        y, (h_n, c_n) = self.rnn(x, (h0, c0))
        return y, h_n, c_n, self.head(y) * self.scale.sum()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    torch.manual_seed(0)
    states = (torch.randn(4, 2, 6), torch.randn(4, 2, 6))
    path = tmp_path_factory.mktemp("pt2") / "tagger.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Tagger().eval(), (torch.randn(5, 2, 4), *states))
        torch.export.save(program, path)
    return path, program


def test_the_exported_program_computes_what_is_read(exported: tuple[Path, Any]) -> None:
    path, _ = exported
    checkpoint = read_checkpoint(path)
    (found,) = checkpoint.lstms
    assert found.name == "rnn"
    assert {tensor.name for tensor in checkpoint.other} == {"head.weight", "head.bias", "scale"}
    case = lx.Case.random(found.weights.spec, weights=found.weights, steps=5, batch=2, seed=1)
    given = [torch.tensor(np.asarray(array)) for array in (np.swapaxes(case.x, 0, 1), case.h0, case.c0)]
    with torch.no_grad():
        y, h_n, c_n, _ = torch.export.load(path).module()(*given)
    result = lx.Result(y=y.transpose(0, 1).numpy(), h_n=h_n.numpy(), c_n=c_n.numpy())
    assert lx.judge(result, case).verdict == "match"
    changed = lx.Result(y=y.flip(0).transpose(0, 1).numpy(), h_n=h_n.numpy(), c_n=c_n.numpy())
    assert lx.judge(changed, case).verdict == "mismatch"


def test_programs_of_older_versions_are_read(exported: tuple[Path, Any], tmp_path: Path) -> None:
    """Before 2.8 the archive had two `.pt` files in it."""
    _, program = exported

    def packed(tensors: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(dict(tensors), buffer)
        return buffer.getvalue()

    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("version", "5.1")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", packed(program.state_dict))
        archive.writestr("serialized_constants.pt", packed(program.constants))
    assert lx.load(tmp_path / "old.pt2") == lx.load(exported[0])
    damaged = (tmp_path / "old.pt2").read_bytes()
    (tmp_path / "new.pt2").write_bytes(damaged[: len(damaged) // 2])
    refusal(tmp_path / "new.pt2")


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """The archive with its table of weights changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("weights_config.json"):
                table = json.loads(content)
                change(table["config"])
                content = json.dumps(table).encode()
            new.writestr(name, content)
    return target


CHANGES = {
    "no-type": (lambda c: c["rnn.weight_hh_l0"]["tensor_meta"].pop("dtype"), "described in an unknown way"),
    "no-entry": (lambda c: c.update({"rnn.weight_hh_l0": 3}), "described in an unknown way"),
    "beyond": (lambda c: c["rnn.weight_hh_l0"]["tensor_meta"]["sizes"].__setitem__(0, {"as_int": 99}), "reaches"),
    "negative": (lambda c: c["rnn.weight_hh_l0"]["tensor_meta"]["storage_offset"].update(as_int=-1), "impossible"),
    "no-member": (lambda c: c["rnn.weight_hh_l0"].update(path_name="../x"), "has no member"),
    "pickled": (lambda c: c["rnn.weight_hh_l0"].update(use_pickle=True), "not an LSTM|not read"),
    "unknown-type": (lambda c: c["rnn.weight_hh_l0"]["tensor_meta"].update(dtype=99), "stored as unknown"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_tables_that_lie_are_refused(exported: tuple[Path, Any], tmp_path: Path, name: str) -> None:
    change, says = CHANGES[name]
    with pytest.raises(CheckpointError, match=says):
        lx.load(rewritten(exported[0], tmp_path / "m.pt2", change))


def test_compiled_packages_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/data/aotinductor/model/a.so", "x")
    assert "compiled PyTorch code" in refusal(tmp_path / "m.pt2")
