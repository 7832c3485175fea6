"""State dicts written without PyTorch are what PyTorch itself would have saved."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import CheckpointError, LSTMSpec, LSTMWeights
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.torch import write
from lstm_xcheck.checkpoints.torch.write import write_state

STATE: dict[str, tuple[Array, str]] = {
    "enc.weight": (np.arange(12, dtype=np.float32).reshape(3, 4), "float32"),
    "turned": (np.arange(12, dtype=np.float64).reshape(3, 4).T, "float64"),
    "half": (np.array([[1.5], [-0.0]], np.float16), "float16"),
    "brain": (np.array([1.0, -2.5], np.float32), "bfloat16"),
    "count": (np.array(70_000), "int64"),
    "none": (np.zeros((2, 0, 3), np.float32), "float32"),
    "größe": (np.ones(300, np.float32), "float32"),
}


def written(path: Path) -> Path:
    with path.open("xb") as file:
        write_state(file, STATE)
    return path


@pytest.mark.framework
@pytest.mark.parametrize("mapped", [False, True])
def test_torch_loads_what_it_would_have_saved(tmp_path: Path, mapped: bool) -> None:
    torch = pytest.importorskip("torch")
    own = OrderedDict((name, torch.tensor(array).to(getattr(torch, dtype))) for name, (array, dtype) in STATE.items())
    torch.save(own, tmp_path / "own.pt")
    theirs = torch.load(tmp_path / "own.pt", weights_only=True)
    ours = torch.load(written(tmp_path / "m.pt"), weights_only=True, mmap=mapped)
    assert type(ours) is type(theirs)
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert (tensor.dtype, tensor.shape) == (theirs[name].dtype, theirs[name].shape)
        assert torch.equal(tensor, theirs[name])
        assert tensor.is_contiguous()
        assert not tensor.requires_grad


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, 100])
def test_every_storage_is_aligned_also_in_the_large_form_of_zip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    data = written(tmp_path / "m.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        assert archive.testzip() is None
        for key, (array, _) in enumerate(STATE.values()):
            info = archive.getinfo(f"archive/data/{key}")
            name, extra = (int.from_bytes(data[info.header_offset + at :][:2], "little") for at in (26, 28))
            start = info.header_offset + 30 + name + extra
            assert start % 64 == 0
            if array.dtype == np.float32 and STATE[list(STATE)[key]][1] == "float32":
                assert data[start : start + info.file_size] == array.tobytes()


@pytest.mark.framework
def test_the_members_are_those_that_torch_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with (tmp_path / "own.pt").open("wb") as file:
        torch.save(OrderedDict((name, torch.zeros(1)) for name in STATE), file)
    with zipfile.ZipFile(tmp_path / "own.pt") as theirs, zipfile.ZipFile(written(tmp_path / "m.pt")) as ours:
        # Old versions have no mark of format and alignment; the last is a random number.
        assert set(theirs.namelist()) - set(ours.namelist()) <= {"archive/.data/serialization_id"}
        for name in ("archive/version", "archive/byteorder"):
            assert theirs.read(name) == ours.read(name)


def test_writing_needs_no_torch_but_filling_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name == "torch" else ModuleSpec(name, None)

    monkeypatch.setattr(write, "find_spec", find)
    given = LSTMWeights.random(LSTMSpec(3, 4))
    write_checkpoint(tmp_path / "m.pt", {"enc": given})
    assert read_checkpoint(tmp_path / "m.pt").lstms[0].weights == given
    with pytest.raises(CheckpointError, match=r"--like .* needs torch.*pip install 'lstm-xcheck\[torch\]'"):
        write_checkpoint(tmp_path / "n.pt", {"enc": given}, like=tmp_path / "m.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["m.pt"]
