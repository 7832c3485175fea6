"""Hundreds of damaged files of every format: each is refused in one sentence or read, in little time and memory.

Each file has a seed of its own, so that a run can be repeated. LSTM_XCHECK_FUZZ_SEED asks for fresh damage: a number
gives the same again, any other word a random seed, which a failure names. LSTM_XCHECK_FUZZ_COUNT asks for more.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck
from lstm_xcheck import LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import write_checkpoint

from ...helpers import WRITABLE, usable

COUNT = max(300, int(os.environ.get("LSTM_XCHECK_FUZZ_COUNT", "0")))
#: What a damaged file may cost more than a good one, in MiB and in seconds of one processor.
MEMORY, SECONDS = 1024, 10.0
SPECS = {"enc": LSTMSpec(5, 4, bias="single"), "dec": LSTMSpec(3, 6, bias="single")}

pytest.importorskip("resource")


def seed_of(name: str) -> int:
    """The seed of a file, the same each time unless the environment asks for another."""
    asked = os.environ.get("LSTM_XCHECK_FUZZ_SEED", "0")
    fresh = int(asked) if asked.isdecimal() else random.SystemRandom().randrange(1 << 32)
    return zlib.crc32(name.encode()) ^ fresh


def survives(good: Path) -> dict[str, int]:
    """Damage the file many times in a process of its own, and insist on what every reading owes."""
    seed = seed_of(good.name)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("fuzz_child.py")), str(good), str(COUNT),
         str(seed)],
        capture_output=True, text=True, check=False, timeout=240 * COUNT / 300,
        env={**os.environ, "PYTHONPATH": str(Path(lstm_xcheck.__file__).parents[1])},
    )  # fmt: skip
    assert run.returncode == 0, f"seed {seed}: the process ended with {run.returncode}: {run.stderr[-2000:]}"
    found = json.loads(run.stdout)
    assert not found["escape"], f"seed {seed}: {found['escape']}"
    assert found["slowest"] < SECONDS, seed
    assert found["peak"] < MEMORY, seed
    assert found["left"] == [], seed
    outcomes: dict[str, int] = found["outcomes"]
    assert sum(outcomes.values()) == COUNT
    assert outcomes["refused"] > COUNT // 10, "hardly any damage was noticed"
    return outcomes


@pytest.mark.framework
@pytest.mark.parametrize("to", WRITABLE)
def test_every_written_format(tmp_path: Path, to: str) -> None:
    good = tmp_path / f"m-{to}{usable(to).suffixes[0]}"
    write_checkpoint(good, {name: LSTMWeights.random(spec) for name, spec in SPECS.items()}, format=to)
    survives(good)


@pytest.mark.framework
def test_torch_before_1_6(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.LSTM(5, 4).state_dict(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    survives(tmp_path / "legacy.pt")


def test_compressed_npz(tmp_path: Path) -> None:
    arrays = {f"lstm/linear/{name}": array for name, array in (("w", np.ones((9, 16))), ("b", np.ones(16)))}
    np.savez_compressed(tmp_path / "m.npz", **arrays)
    survives(tmp_path / "m.npz")


#: By fixture: a folder of files that a framework wrote.
WRITTEN = {
    "keras_files": ("sequential.keras", "sequential.weights.h5", "functional.keras", "functional.weights.h5"),
    "litert_operators": ("both-with-all.tflite", "peepholes.tflite"),
    "litert_loops": ("model.tflite", "half.tflite"),
}


@pytest.mark.framework
@pytest.mark.parametrize(("folder", "name"), [(folder, name) for folder, names in WRITTEN.items() for name in names])
def test_files_of_frameworks(request: pytest.FixtureRequest, tmp_path: Path, folder: str, name: str) -> None:
    good = tmp_path / name
    good.write_bytes((request.getfixturevalue(folder) / name).read_bytes())
    survives(good)


@pytest.mark.framework
def test_a_repacked_file_of_keras(keras_files: Path, tmp_path: Path, repack: Callable[..., Path]) -> None:
    survives(repack(keras_files / "sequential.weights.h5", tmp_path / "repacked.weights.h5"))


@pytest.mark.framework
def test_onnx_with_external_data(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    good = tmp_path / "m.onnx"
    write_checkpoint(good, {"enc": LSTMWeights.random(SPECS["enc"])})
    onnx.save(onnx.load(good), good, save_as_external_data=True, location="m.data", size_threshold=0)
    survives(good)


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.jit.save(torch.jit.script(torch.nn.LSTM(5, 4, 2, bidirectional=True)), tmp_path / "program.pt")
    survives(tmp_path / "program.pt")


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exported_programs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    program = torch.export.export(torch.nn.LSTM(5, 4), (torch.zeros(3, 2, 5),))
    torch.export.save(program, tmp_path / "program.pt2")
    survives(tmp_path / "program.pt2")


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_checkpoints_with_objects_and_packed_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(5, 4)})
    packed = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM}, dtype=torch.float16)
    objects = {"loss": torch.nn.CrossEntropyLoss(torch.ones(3)), "path": tmp_path, "scores": np.arange(4.0)}
    torch.save({"a": packed.state_dict(), "b": model.state_dict(), "extra": objects}, tmp_path / "m.pt")
    survives(tmp_path / "m.pt")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_haiku(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(7)
    parts = {"w": rng.normal(size=(9, 16)).astype(np.float32), "b": rng.normal(size=16).astype(np.float32)}
    (tmp_path / "params.pkl").write_bytes(pickle.dumps({"lstm/linear": parts, "step": 3}, protocol))
    survives(tmp_path / "params.pkl")


def test_a_folder_of_shards(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    places = {}
    for name, spec in SPECS.items():
        shard = folder / f"model-{name}.safetensors"
        checkpoint = write_checkpoint(shard, {name: LSTMWeights.random(spec)})
        places.update(dict.fromkeys(checkpoint.lstms[0].tensors, shard.name))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    survives(folder)
