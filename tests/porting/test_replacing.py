"""What `port --force` may replace: an old regular file, and nothing that the source consists of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.atomic_files import write_atomically
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.checkpoints.publish import port_folder
from lstm_xcheck.porting import port as port_module

from ..helpers import usable

pytestmark = [
    pytest.mark.usefixtures("oracle_alone"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links"),
]

WEIGHTS = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, bias="single"), seed=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(path: Path) -> Path:
    write_checkpoint(path, {"enc": WEIGHTS})
    return path


@pytest.mark.parametrize("name", ["m.safetensors", "m.xml", "m.bin", "m.safetensors.xcheck.json"])
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/null"), lambda path: path.symlink_to("nowhere")],
    ids=["pipe", "device", "dangling"],
)
def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    source = written(tmp_path / "source.npz")
    make(tmp_path / name)
    before = os.lstat(tmp_path / name).st_mode
    target = tmp_path / ("m.xml" if name == "m.bin" else name.removesuffix(".xcheck.json"))
    with pytest.raises(lx.CheckpointError, match=f"{name} exists already and is no regular file"):
        lx.port(source, target, force=True)
    assert os.lstat(tmp_path / name).st_mode == before
    assert names(tmp_path) == sorted([name, "source.npz"])


#: A source, and a destination one of whose files is a part of it.
OWN = {
    "itself": ("m.npz", "m.npz"),
    "data of an .xml as a destination": ("m.xml", "m.bin"),
    "second part of the destination": ("m.bin", "m.xml"),
    "certificate": ("m.pt.xcheck.json", "m.pt"),
    "data of TensorFlow": ("m.index", "m.data-00000-of-00001"),
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.framework("tensorflow")) if c == "data of TensorFlow" else c for c in OWN],
)
def test_no_part_of_the_source_is_replaced(tmp_path: Path, case: str) -> None:
    source, target = (tmp_path / name for name in OWN[case])
    if case == "certificate":
        written(tmp_path / "other.npz").rename(source)
    else:
        written(source)
    before = contents(tmp_path)
    with pytest.raises(lx.CheckpointError, match=r"is (the source itself|a part of the source), without which"):
        lx.port(source, target, to="safetensors" if target.suffix != ".xml" else None, force=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_part_under_another_name_is_known_by_its_inode(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    written(tmp_path / "m.xml")
    link(tmp_path / "m.bin", tmp_path / "alias.safetensors")
    before = contents(tmp_path)
    with pytest.raises(lx.CheckpointError, match="is a part of the source"):
        lx.port(tmp_path / "m.xml", tmp_path / "alias.safetensors", force=True)
    assert contents(tmp_path) == before


@pytest.mark.framework
def test_external_data_is_a_part(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    source = written(tmp_path / "m.onnx")
    onnx.save(onnx.load(source), source, save_as_external_data=True, location="m.data", size_threshold=0)
    before = contents(tmp_path)
    with pytest.raises(lx.CheckpointError, match=r"m\.data is a part of the source"):
        lx.port(source, tmp_path / "m.data", to="safetensors", force=True)
    assert contents(tmp_path) == before


@pytest.mark.framework
def test_a_folder_that_holds_the_source_is_not_replaced(tmp_path: Path) -> None:
    usable("orbax")
    folder = written(tmp_path / "m.orbax")
    source = written(folder / "inner.safetensors")
    with pytest.raises(lx.CheckpointError, match="is the source itself"):
        lx.port(source, folder, to="orbax", force=True)
    assert source.exists()


def test_without_the_check_the_source_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant without the comparison of inodes shows that these tests can fail."""
    source = written(tmp_path / "m.bin")
    before = source.read_bytes()
    monkeypatch.setattr(port_module, "_identity", lambda path: object())
    lx.port(source, tmp_path / "m.xml", force=True)
    assert source.read_bytes() != before


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """Reports may go to /dev/null; through a link here, so that a failure harms nothing."""
    sink = tmp_path / "sink"
    sink.symlink_to("/dev/null")
    write_atomically(sink, b"gone")
    assert sink.is_symlink()
    assert names(tmp_path) == ["sink"]


#: What a killed port leaves: temporary files, their second parts, and that of a certificate.
LEFT = (".0123abcd-m.npz", ".0123abcd-m.npz.partial", ".m.npz.xcheck.json.0123abcd")
MINE = (".0123abcd-other.npz", ".m.npz", ".0123-m.npz", "0123abcd-m.npz", ".m.npz.xcheck.json")


def test_the_next_port_removes_what_killed_ones_left(tmp_path: Path) -> None:
    source = written(tmp_path / "source.npz")
    (tmp_path / ".0123abcd-m.npz.old").mkdir()
    for name in (*LEFT, *MINE):
        (tmp_path / name).touch()
    lx.port(source, tmp_path / "m.npz")
    assert names(tmp_path) == sorted([*MINE, "source.npz", "m.npz", "m.npz.xcheck.json"])


def test_an_old_file_that_stepped_aside_stays_until_there_is_a_new_one(tmp_path: Path) -> None:
    source = written(tmp_path / "source.npz")
    (tmp_path / ".0123abcd-m.npz.old").touch()
    with pytest.raises(lx.CheckpointError, match="no LSTM 'dec'"):
        lx.port(source, tmp_path / "m.npz", layer="dec")
    assert (tmp_path / ".0123abcd-m.npz.old").exists()


def test_nothing_is_removed_while_another_port_is_at_work(tmp_path: Path) -> None:
    source, target = written(tmp_path / "source.npz"), tmp_path / "m.npz"
    (tmp_path / LEFT[0]).touch()
    with port_folder(tmp_path / "x.npz", usable("npz"), tmp_path / "x.npz.xcheck.json"):
        lx.port(source, target)
        assert (tmp_path / LEFT[0]).exists()
    lx.port(source, target, force=True)
    assert not (tmp_path / LEFT[0]).exists()
