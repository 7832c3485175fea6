"""Safetensors in several files: LSTMs spread over shards, and indexes that name what they should not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.porting.recheck import recheck

from ..damage import refusal

pytestmark = pytest.mark.framework

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, dict[str, Array]]:
    """A folder as `save_pretrained` writes it, the tensors of one LSTM by turns in one and the other shard."""
    torch = pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.numpy").save_file
    torch.manual_seed(3)
    module = torch.nn.ModuleDict({"enc": torch.nn.LSTM(5, 4, 2, bidirectional=True), "head": torch.nn.Linear(8, 2)})
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    places = {name: SHARDS[number % 2] for number, name in enumerate(arrays)}
    for shard in SHARDS:
        save({name: array for name, array in arrays.items() if places[name] == shard}, tmp_path / shard)
    write_index(tmp_path, places)
    return tmp_path, arrays


def write_index(folder: Path, places: Mapping[str, object]) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))


def read_index(folder: Path) -> dict[str, str]:
    places: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
    return places


@pytest.mark.parametrize("given", ["folder", "index"])
def test_an_lstm_spread_over_shards_is_complete(model: tuple[Path, dict[str, Array]], given: str) -> None:
    torch = pytest.importorskip("torch")
    folder, arrays = model
    checkpoint = read_checkpoint(folder if given == "folder" else folder / INDEX)
    assert [str(tensor) for tensor in checkpoint.other] == ["head.weight float32[2, 8]", "head.bias float32[2]"]
    (found,) = checkpoint.lstms
    lstm = torch.nn.LSTM(5, 4, 2, bidirectional=True, batch_first=True)
    lstm.load_state_dict({k.removeprefix("enc."): torch.from_numpy(a) for k, a in arrays.items() if "enc" in k})
    case = lx.Case.random(found.weights.spec, weights=found.weights, states=False)
    with torch.no_grad():
        y, _ = lstm(torch.from_numpy(np.array(case.x)))
    assert lx.judge(lx.Result(y=y.numpy()), case).verdict == "match"


def test_a_folder_can_be_ported_and_rechecked(model: tuple[Path, dict[str, Array]]) -> None:
    folder, _ = model
    certificate = lx.port(folder, folder.parent / "m.npz", lstm_only=True)
    assert certificate["source"]["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert "still agree" in recheck(folder.parent / "m.npz.xcheck.json")
    (folder / "notes.txt").write_text("a file that the index does not name")
    assert "still agree" in recheck(folder.parent / "m.npz.xcheck.json")
    with (folder / SHARDS[1]).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(lx.DisagreementError, match=rf"{SHARDS[1]} is not the part of the source"):
        recheck(folder.parent / "m.npz.xcheck.json")


def test_links_of_a_download_cache_are_followed(model: tuple[Path, dict[str, Array]], tmp_path: Path) -> None:
    folder, _ = model
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for number, name in enumerate((INDEX, *SHARDS)):
        (folder / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(blobs / str(number))
    assert list(lx.load(snapshot)) == ["enc"]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "link.safetensors", "a/../../secret", "..", ""])
def test_shards_outside_the_folder_are_not_opened(
    tmp_path: Path, model: tuple[Path, dict[str, Array]], name: str
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret").write_bytes((tmp_path / SHARDS[0]).read_bytes())
    (inner / "link.safetensors").symlink_to(tmp_path / "secret")
    write_index(inner, {"x": name})
    expected = "is not there" if not name else "leaves the model's folder"
    assert expected in refusal(inner)


EDITS: dict[str, tuple[dict[str, object], str]] = {
    "missing-shard": ({"enc.weight_ih_l0": "gone.safetensors"}, "is not there"),
    "wrong-shard": ({"enc.weight_ih_l0": SHARDS[1]}, "but it does not"),
    "no-tensor": ({"enc.invented": SHARDS[1]}, "but it does not"),
    "number": ({"enc.weight_ih_l0": 3}, "no weight_map"),
    "impossible": ({"enc.weight_ih_l0": "a\0b"}, "cannot be"),
    "index-itself": ({"enc.weight_ih_l0": INDEX}, "is no complete safetensors file"),
}


@pytest.mark.parametrize(("change", "reason"), EDITS.values(), ids=EDITS)
def test_an_index_that_lies_is_refused(
    model: tuple[Path, dict[str, Array]], change: dict[str, object], reason: str
) -> None:
    folder, _ = model
    write_index(folder, {**read_index(folder), **change})
    assert reason in refusal(folder / INDEX)


def test_a_tensor_the_index_leaves_out_is_named(model: tuple[Path, dict[str, Array]]) -> None:
    folder, _ = model
    places = read_index(folder)
    write_index(folder, {name: shard for name, shard in places.items() if name != "head.bias"})
    assert read_checkpoint(folder).other[-1].note == f"in {places['head.bias']}, but not in the index"


def test_damaged_indexes_are_refused(model: tuple[Path, dict[str, Array]], tmp_path: Path) -> None:
    index = tmp_path / INDEX
    good = index.read_bytes()
    for length in range(0, len(good) - 1, 37):
        index.write_bytes(good[:length])
        refusal(index)
    for content in (b"[" * 100_000, b'{"weight_map": 3}', b'{"weight_map": {"a": "x", "a": "y"}}', b"[]", b"\xff{}"):
        index.write_bytes(content)
        refusal(index)


def test_a_folder_without_one_index_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)
    for name in (INDEX, f"other{INDEX}"):
        (tmp_path / name).write_text("{}")
    assert "holds 2 files" in refusal(tmp_path)
