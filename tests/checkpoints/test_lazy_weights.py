"""Weights are read when they are used: what a description needs, what a later use finds, and bombs left alone."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.cli.main import run

from ..conftest import needs
from .damage import refusal

pytestmark = pytest.mark.framework

#: What each needs.
SUFFIXES = {".safetensors": (), ".npz": (), ".pt": (), ".keras": ("h5py",), ".weights.h5": ("h5py",)}
WEIGHTS = lx.LSTMWeights.random(lx.LSTMSpec(300, 200, bias="single"))


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    needs(*SUFFIXES[request.param])
    file = tmp_path / f"m{request.param}"
    write_checkpoint(file, {"enc": WEIGHTS})
    return file


def test_nothing_is_read_before_it_is_used(path: Path) -> None:
    (found,) = read_checkpoint(path).lstms
    assert isinstance(found.weights, lx.LSTMWeights)
    assert (found.weights.spec.hidden_size, found.weights.dtype) == (200, "float32")
    assert found.weights.parameter_count == found.native_count
    assert "layers" not in vars(found.weights)
    assert found.weights.fingerprint == read_checkpoint(path).lstms[0].weights.fingerprint
    assert "layers" not in vars(found.weights)
    assert np.array_equal(found.weights.layers[0][0].W, WEIGHTS.layers[0][0].W)
    assert "layers" in vars(found.weights)


def test_copies_are_plain_weights_without_the_file(path: Path) -> None:
    (found,) = read_checkpoint(path).lstms
    copies = [pickle.loads(pickle.dumps(found.weights)), copy.deepcopy(found.weights)]  # noqa: S301 - made here
    path.unlink()
    assert [type(twin) for twin in copies] == [lx.LSTMWeights, lx.LSTMWeights]
    assert copies[0] == copies[1] == found.weights


@pytest.mark.parametrize("change", ["replaced", "removed", "shortened"])
def test_a_file_changed_meanwhile_is_refused(path: Path, change: str) -> None:
    (found,) = read_checkpoint(path).lstms
    if change == "replaced":
        write_checkpoint(path, {"enc": lx.LSTMWeights.random(WEIGHTS.spec, seed=1)}, force=True)
    elif change == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(lx.CheckpointError, match="was changed after it had been opened"):
        _ = found.weights.layers


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_inspect_reads_headers_and_a_use_finds_the_damage(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"m{suffix}"
    write_checkpoint(path, {"enc": WEIGHTS})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert run(["inspect", str(path)]) == 0
    assert "300" in capsys.readouterr().out
    with pytest.raises(lx.CheckpointError, match="CRC"):
        _ = lx.load(path)["enc"].layers


FULL_DISK = """
import resource, sys
from lstm_xcheck.cli.main import run
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(run(["port", *sys.argv[1:], "--force"]))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_sentence_and_exit_2(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("resource")
    needs(*SUFFIXES[suffix])
    write_checkpoint(tmp_path / "source.npz", {"enc": WEIGHTS})
    target = tmp_path / f"m{suffix}"
    write_checkpoint(target, {"enc": lx.LSTMWeights.random(lx.LSTMSpec(3, 4))})
    before = target.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "source.npz"), str(target)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert target.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [target.name, "source.npz"]


def bomb(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("m.npz", {"lstm/linear/w.npy": bytes(64 << 20)}),
        ("own.npz", {"lstm_xcheck.npy": bytes(64 << 20)}),
        ("config.keras", {"config.json": bytes(64 << 20), "metadata.json": b"{}", "model.weights.h5": b""}),
        ("weights.keras", {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": bytes(64 << 20)}),
        ("m.pt", {"m/data.pkl": bytes(32 << 20)}),
    ],
    ids=["npz", "own-npz", "keras-config", "keras-weights", "torch"],
)
def test_bombs_are_not_unpacked(tmp_path: Path, name: str, members: dict[str, bytes]) -> None:
    needs(*SUFFIXES[Path(name).suffix])
    assert "was not unpacked" in refusal(bomb(tmp_path / name, members))


def test_a_lambda_layer_is_not_decoded(keras_files: Path) -> None:
    with zipfile.ZipFile(keras_files / "functional.keras") as archive:
        assert b'"__lambda__"' in archive.read("config.json")
    assert "hard" in {lstm.name for lstm in read_checkpoint(keras_files / "functional.keras").lstms}
