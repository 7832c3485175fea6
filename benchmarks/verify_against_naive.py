"""Times `verify` against a loop written by hand, start-up included.

    python benchmarks/verify_against_naive.py [--cases 200] [--seeds 1] [--rounds 3] [--warm] [--against bare]

This prints wall seconds of each round and the ratio other / verify, the median last. The other side is `naive`, the
loop by hand; `bare`, the same adapters without harness (`bare.py`); or `one-job`, verify with one worker at a time.
JAX's cache is empty at the start of each verify, unless `--warm`. Both sides run Keras on TensorFlow, nn.LSTM and a JAX
scan on the same shapes; verify also runs the float64 oracle with its bounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

VERIFY = """
import sys
sys.path.insert(0, {here!r})
from shapes import shapes
import lstm_xcheck as lx
from lstm_xcheck.engine import Recipe
recipes = [
    Recipe(hidden=h, input=x, steps=t, batch=b, bias="single", states=False, init="normal", seed=s)
    for h, x, t, b in shapes({cases}) for s in range({seeds})
]
report = lx.verify(recipes, adapters=["keras-tensorflow", "torch", "jax"], jobs={jobs})
print(report.totals)
sys.exit(report.exit_code)
"""


def timed(command: list[str], cache: str) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    environment = {**os.environ, "LSTM_XCHECK_CACHE": cache}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def commands(chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The other side, and verify."""
    size = [str(chosen.cases), str(chosen.seeds)]

    def verify(jobs: int) -> list[str]:
        filled = VERIFY.format(here=str(HERE), cases=chosen.cases, seeds=chosen.seeds, jobs=jobs)
        return [sys.executable, "-c", filled]

    others = {
        "naive": [sys.executable, str(HERE / "naive.py"), *size],
        "bare": [sys.executable, str(HERE / "bare.py"), *size, str(chosen.jobs)],
        "one-job": verify(1),
    }
    return others[chosen.against], verify(chosen.jobs)


def main() -> None:
    """Time both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("cases", 200), ("seeds", 1), ("rounds", 3), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--against", choices=("naive", "bare", "one-job"), default="naive")
    parser.add_argument("--warm", action="store_true")
    chosen = parser.parse_args()
    other, verify = commands(chosen)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        if chosen.warm:
            timed(verify, f"{folder}/warm")
        for number in range(chosen.rounds):
            theirs = timed(other, f"{folder}/warm" if chosen.warm else f"{folder}/other-{number}")
            ours = timed(verify, f"{folder}/warm" if chosen.warm else f"{folder}/{number}")
            ratios.append(theirs / ours)
            line = f"round {number}: {chosen.against} {theirs:.1f} s, verify {ours:.1f} s, ratio {ratios[-1]:.2f}"
            print(line, flush=True)
    shapes = f"{chosen.cases} shapes x {chosen.seeds} seeds, {chosen.jobs} jobs, {'warm' if chosen.warm else 'cold'}"
    print(f"median ratio {statistics.median(ratios):.2f} ({chosen.against} / verify, {shapes})")


if __name__ == "__main__":
    main()
