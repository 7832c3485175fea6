"""`port --force` killed at any moment: the old file or the new one, whole, and nothing that breaks a later run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint

pytestmark = pytest.mark.framework

ROUNDS = 100

#: Has everything imported, and forks a child for each round; a child ports, and is killed after its delay.
SERVER = """
import json, os, random, signal, sys, time
from pathlib import Path
from lstm_xcheck.porting import verification
from lstm_xcheck.porting.port import port

# The oracle alone, and no statement of power: what is killed here writes files.
verification.installed = dict
verification.detection_power = lambda lstms, rows: []
source, target, rounds, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def child():
    process = os.fork()
    if process == 0:
        port(source, target, force=True)
        os._exit(0)
    return process

port(source, target, force=True)
# The fastest of a few: one that a busy machine made wait would let all others end before they are killed.
took = float("inf")
for _ in range(5):
    start = time.monotonic()
    os.waitpid(child(), 0)
    took = min(took, time.monotonic() - start)
old = target.read_bytes()
rng = random.Random(seed)
outcomes = []
for number in range(rounds):
    # In every other round what is there is another whole file, so that the old and the new can be told apart.
    before = Path(sys.argv[5]).read_bytes() if number % 2 else old
    target.write_bytes(before)
    process = child()
    time.sleep(rng.uniform(0.0, 1.1) * took)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    now = target.read_bytes()
    outcomes.append([os.WIFSIGNALED(status), "old" if now == before else "new" if now == old else "torn"])
print(json.dumps(outcomes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5"])
def test_killed_at_any_moment(tmp_path: Path, suffix: str) -> None:
    if suffix == ".weights.h5":
        pytest.importorskip("h5py")
    spec = lx.LSTMSpec(40, 60, bias="single")
    weights, other = (lx.LSTMWeights.random(spec, seed) for seed in (1, 2))
    write_checkpoint(tmp_path / "source.npz", {"lstm": weights})
    write_checkpoint(tmp_path / f"other{suffix}", {"lstm": other})
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"m{suffix}"
    seed = random.Random(suffix).randrange(1000)
    run = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path / "source.npz"), str(target), str(ROUNDS // 2), str(seed),
         str(tmp_path / f"other{suffix}")],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    outcomes = json.loads(run.stdout)
    assert len(outcomes) == ROUNDS // 2
    assert {content for _, content in outcomes} <= {"old", "new"}
    killed = [content for was_killed, content in outcomes if was_killed]
    assert len(killed) > ROUNDS // 8, "nothing was killed in the middle"
    assert {"old", "new"} <= {content for _, content in outcomes}
    # What the killed ones left behind is hidden, and stands in nobody's way.
    assert all(file.name.startswith(".") or file.name.startswith("m.") for file in folder.iterdir())
    assert lx.port(tmp_path / "source.npz", target, force=True)["verdict"] == "agree"
    assert {file.name for file in folder.iterdir()} == {target.name, f"{target.name}.xcheck.json"}
    assert lx.load(target)["lstm"].fingerprint
