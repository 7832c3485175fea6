"""Time of `verify FILE`, `port` and `recheck` beside the imports that nobody can avoid.

The floor is the processor time of `import torch`, `import keras` on each backend and `import jax`, each in a process of
its own without what is not needed (TensorFlow and JAX on other backends), divided by two cores. Both are measured in
turn in one run, and the ratio is printed. Run it on a quiet machine:

    python benchmarks/latency.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORES = 2

#: What each verb needs to import: (modules to keep out, KERAS_BACKEND, statement).
TORCH = ("tensorflow,jax", "torch", "import torch")
KERAS_TORCH = ("tensorflow,jax", "torch", "import torch, keras")
KERAS_JAX = ("tensorflow", "jax", "import jax, keras")
KERAS_TENSORFLOW = ("jax", "tensorflow", "import keras")
FIVE = "torch,keras-torch,jax,keras-jax,keras-tensorflow"


def processor_seconds(command: list[str], **variables: str) -> tuple[float, float]:
    """Processor and wall seconds of a command and its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def import_seconds(needed: tuple[str, str, str]) -> float:
    """Processor seconds of an import in a fresh process."""
    without, backend, statement = needed
    code = f"import sys; sys.modules.update(dict.fromkeys({without.split(',')!r})); {statement}"
    return processor_seconds([sys.executable, "-c", code], KERAS_BACKEND=backend)[0]


def main() -> None:
    """Print wall seconds, the floor and their ratio for each verb, the best of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    from lstm_xcheck import LSTMSpec, LSTMWeights
    from lstm_xcheck.checkpoints import write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "model.pt", Path(folder) / "model.keras"
        write_checkpoint(source, {"rnn": LSTMWeights.random(LSTMSpec(input_size=16, hidden_size=32))})
        run = [sys.executable, "-m", "lstm_xcheck"]
        verbs = {
            "verify FILE": (
                [*run, "verify", str(source), "--adapters", FIVE],
                (KERAS_TORCH, KERAS_JAX, KERAS_TENSORFLOW),
            ),
            "port": ([*run, "port", str(source), str(target), "--force"], (KERAS_TORCH,)),
            "recheck": ([*run, "recheck", f"{target}.xcheck.json"], (KERAS_TORCH,)),
        }
        best: dict[str, tuple[float, float, float]] = {}
        for _ in range(rounds):
            for verb, (command, needed) in verbs.items():
                floor = sum(map(import_seconds, needed)) / CORES
                processor, wall = processor_seconds(command)
                best[verb] = min(best.get(verb, (9e9, 0.0, 0.0)), (wall / floor, wall, processor))
    for verb, (ratio, wall, processor) in best.items():
        print(f"{verb:12} {wall:5.2f} s, {processor:5.2f} s of processor, {ratio:.2f} x the floor")


if __name__ == "__main__":
    main()
