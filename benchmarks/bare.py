"""Runs cases through adapters without harness: no frames, judge or report.

python benchmarks/bare.py CASES SEEDS JOBS
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shapes import shapes

ADAPTERS = ("keras-tensorflow", "torch", "jax")


def run_one(name: str, cases: int, seeds: int) -> None:
    """Run every case: build for a new shape, load the weights, run."""
    from lstm_xcheck.adapters.registry import entry_named, load_adapter
    from lstm_xcheck.engine import Recipe
    from lstm_xcheck.layouts import to_layout

    adapter, built, model = load_adapter(entry_named(name).target, name), None, None
    for hidden, features, steps, batch in shapes(cases):
        for seed in range(seeds):
            recipe = Recipe(
                hidden=hidden, input=features, steps=steps, batch=batch, bias="single", states=False, init="normal",
                seed=seed,
            )  # fmt: skip
            case = recipe.case()
            if built != case.spec:
                built, model = case.spec, adapter.build(case.spec, case.precision)
            adapter.load(model, to_layout(case.weights, adapter.layout))
            adapter.run(model, case)


def start(name: str, cases: int, seeds: int) -> None:
    """Run one adapter in a process with the environment of its worker."""
    from lstm_xcheck.adapters.registry import entry_named

    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]))
    subprocess.run(
        [sys.executable, __file__, str(cases), str(seeds), name],
        check=True,
        env={**os.environ, **entry_named(name).variables, "PYTHONPATH": path},
    )


def main(cases: int, seeds: int, last: str) -> None:
    """The driver (`last`: jobs), or the process of an adapter (`last`: its name)."""
    if last in ADAPTERS:
        run_one(last, cases, seeds)
        return
    with ThreadPoolExecutor(int(last)) as pool:
        for done in [pool.submit(start, name, cases, seeds) for name in ADAPTERS]:
            done.result()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
