"""Files that are missing, empty, truncated, altered or of another kind: one sentence each, whatever the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.checkpoints import FORMATS, formats, read_checkpoint

from ...helpers import run_python
from ..damage import outcomes_of_alterations, refusal

KINDS = ["m.pt", "legacy.pt", "m.safetensors", "m.keras", "m.weights.h5"]


@pytest.fixture(scope="module")
def good(keras_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good file of each kind."""
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("safetensors.torch")
    folder = tmp_path_factory.mktemp("good")
    state = torch.nn.LSTM(5, 4).state_dict()
    torch.save(state, folder / "m.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    package.save_file(state, folder / "m.safetensors")
    (folder / "m.keras").write_bytes((keras_files / "sequential.keras").read_bytes())
    (folder / "m.weights.h5").write_bytes((keras_files / "sequential.weights.h5").read_bytes())
    for kind in KINDS:
        assert read_checkpoint(folder / kind).lstms
    return folder


@pytest.mark.framework
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_any_length(good: Path, tmp_path: Path, kind: str) -> None:
    data = (good / kind).read_bytes()
    lengths = {0, 1, 2, 3, 4, 7, 8, 9, 10, 16, 33, 64, 100}
    lengths |= {len(data) - n for n in (1, 2, 22, 23)}
    lengths |= {int(n) for n in np.linspace(0, len(data) - 1, 60)}
    path = tmp_path / kind
    for length in sorted(lengths):
        path.write_bytes(data[:length])
        refusal(path)


@pytest.mark.framework
@pytest.mark.parametrize("kind", KINDS)
def test_altered_bytes_never_escape_as_another_exception(good: Path, tmp_path: Path, kind: str) -> None:
    data = (good / kind).read_bytes()
    assert len(outcomes_of_alterations(tmp_path / kind, data, 200)) > 2, "no alteration was noticed"


@pytest.mark.parametrize("suffix", sorted({s for f in FORMATS for s in f.suffixes}))
@pytest.mark.parametrize(
    "content",
    [b"hello, this is text\n", b"<!DOCTYPE html>", b"\x00" * 100, b"PK\x03\x04"],
    ids=["text", "html", "zeros", "zip"],
)
def test_other_content_under_a_known_suffix(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    refusal(path)


def test_text_named_pt_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("hello world")
    assert "is not a PyTorch file: it begins with 'hello world'" in refusal(tmp_path / "m.pt")


def test_missing_empty_directory_and_pointer(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing.pt") == " does not exist; check the path"
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "empty.pt").touch()
    assert "is empty" in refusal(tmp_path / "empty.pt")
    (tmp_path / "lfs.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refusal(tmp_path / "lfs.pt")


def test_unknown_format_lists_the_readable_ones(tmp_path: Path) -> None:
    (tmp_path / "m.xyz").write_bytes(b"\x01\x02")
    sentence = refusal(tmp_path / "m.xyz")
    for entry in FORMATS:
        assert entry.folder or (entry.name in sentence and entry.suffixes[0] in sentence)


@pytest.mark.framework
@pytest.mark.parametrize("kind", ["m.keras", "m.weights.h5"])
def test_missing_h5py_names_the_extra(good: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'lstm-xcheck[hdf5]'" in refusal(good / kind)


@pytest.mark.framework
@pytest.mark.parametrize("kind", KINDS)
def test_content_decides_whatever_the_name(good: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "name.without_meaning").write_bytes((good / kind).read_bytes())
    assert read_checkpoint(tmp_path / "name.without_meaning").lstms


@pytest.mark.framework
def test_reading_pytorch_and_safetensors_loads_numpy_alone(good: Path) -> None:
    code = (
        "import sys; from lstm_xcheck.checkpoints import load; "
        f"load({str(good / 'm.pt')!r}); load({str(good / 'm.safetensors')!r}); "
        "print([m for m in ('torch', 'h5py', 'safetensors', 'keras') if m in sys.modules])"
    )
    assert run_python(code).strip() == "[]"
