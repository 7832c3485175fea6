"""`verify` against the loop a user writes by hand, whole processes, start-up included, in one run.

    python benchmarks/verify_against_naive.py [--cases 200] [--seeds 1] [--rounds 3] [--jobs 2]

Prints wall seconds of each round in turn and the ratio naive / verify, median last. Both sides run Keras on
TensorFlow, nn.LSTM and a JAX scan on the same shapes; verify also runs the float64 oracle with its bounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

VERIFY = """
import sys
sys.path.insert(0, {here!r})
from shapes import shapes
import lstm_xcheck as lx
from lstm_xcheck.sweep import Recipe
recipes = [
    Recipe(hidden=h, input=x, steps=t, batch=b, bias="single", states=False, init="normal", seed=s)
    for h, x, t, b in shapes({cases}) for s in range({seeds})
]
report = lx.verify(recipes, adapters=["keras-tensorflow", "torch", "jax"], jobs={jobs})
print(report.totals)
sys.exit(report.exit_code)
"""


def timed(command: list[str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Time both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("cases", 200), ("seeds", 1), ("rounds", 3), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    verify = VERIFY.format(here=str(HERE), cases=chosen.cases, seeds=chosen.seeds, jobs=chosen.jobs)
    ratios = []
    for number in range(chosen.rounds):
        naive = timed([sys.executable, str(HERE / "naive.py"), str(chosen.cases), str(chosen.seeds)])
        ours = timed([sys.executable, "-c", verify])
        ratios.append(naive / ours)
        print(f"round {number}: naive {naive:.1f} s, verify {ours:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    shapes = f"{chosen.cases} shapes x {chosen.seeds} seeds, {chosen.jobs} jobs"
    print(f"median ratio {statistics.median(ratios):.2f} ({shapes})")


if __name__ == "__main__":
    main()
